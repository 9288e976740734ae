"""A Lightning script that knows of batchtime by two lines: it says when a validation accuracy of 0.9 is met."""

import argparse

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from batchtime.lightning import StepsToTarget

options = argparse.ArgumentParser()
options.add_argument("--batch-size", type=int, default=32)
options.add_argument("--accumulate", type=int, default=1)
options.add_argument("--processes", type=int, default=1)
options.add_argument("--seed", type=int, default=0)
options.add_argument("--out", default="measured")


class Digits(lightning.LightningModule):
    """A perceptron for scikit-learn's digits."""

    def __init__(self, batch_size: int) -> None:
        """Make the network, and keep the batch size where Lightning looks for it."""
        super().__init__()
        self.batch_size = batch_size
        self.network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        images, labels = load_digits(return_X_y=True)
        data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
        self.parts = torch.utils.data.random_split(data, [1437, 360], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Return the examples to train on."""
        return DataLoader(self.parts[0], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Return the examples to validate on."""
        return DataLoader(self.parts[1], 360)

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        """Return the loss of a batch."""
        return functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], _index: int) -> None:
        """Log the share of right answers."""
        right = (self.network(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("val_acc", right, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.2)


if __name__ == "__main__":
    given = options.parse_args()
    lightning.seed_everything(given.seed)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=given.processes,
        strategy="ddp" if given.processes > 1 else "auto",
        accumulate_grad_batches=given.accumulate,
        max_epochs=60,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[StepsToTarget(metric="val_acc", at_least=0.9, out=given.out)],
    )
    trainer.fit(Digits(given.batch_size))
    print(f"{trainer.global_step} updates")
