"""Write small logs by the libraries themselves: python tests/logs/write.py FOLDER, in an environment of its own.

The environment is that of requirements.txt beside this file. One task is trained in every library: a perceptron on
scikit-learn's digits by plain SGD, from the same weights, on the same batches in the same order, evaluated once an
epoch. So what the logs say of a run must agree, whichever library wrote it.
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import lightning
import numpy as np
import torch
import transformers
from mlperf_logging.mllog.mllog import MLLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset
from torch.utils.tensorboard import SummaryWriter

RATE = 0.2
HIDDEN = 32
EPOCHS = {8: 5, 32: 8, 96: 15, 256: 34}
"""By batch size: enough to meet a validation loss of 0.3."""
SEEDS = (0, 1)
TARGET = 0.3
RATES = (0.1, 0.2, 0.4, 0.8)
"""Learning rates of a grid of runs beside those at `RATE`, written as JSON lines alone."""

_IMAGES, _LABELS = load_digits(return_X_y=True)
_ORDER = np.random.default_rng(0).permutation(len(_LABELS))
_X = torch.tensor(_IMAGES[_ORDER] / 16, dtype=torch.float32)
_Y = torch.tensor(_LABELS[_ORDER])
TRAIN, VALIDATION = (_X[:1437], _Y[:1437]), (_X[1437:], _Y[1437:])


class Order(Sampler[int]):
    """The examples of one epoch after the other, each in an order of its own; an epoch is over when all were taken."""

    def __init__(self, seed: int) -> None:
        """Start with the first epoch."""
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(TRAIN[1])

    def __iter__(self) -> Iterator[int]:
        """Yield the examples of the epoch."""
        yield from np.random.default_rng((self._seed, self._epoch)).permutation(len(self)).tolist()
        self._epoch += 1


def model(seed: int) -> nn.Sequential:
    """Return the perceptron with the weights of this seed."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def loader(batch_size: int, seed: int) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Return the batches of one epoch after the other."""
    return DataLoader(TensorDataset(*TRAIN), batch_size=batch_size, sampler=Order(seed))


def validated(network: nn.Module) -> tuple[float, float]:
    """Return the loss and the share of right answers on the validation examples."""
    with torch.no_grad():
        scores = network(VALIDATION[0])
    right = (scores.argmax(1) == VALIDATION[1]).double().mean()
    return float(functional.cross_entropy(scores, VALIDATION[1])), float(right)


def train(
    batch_size: int, seed: int, told: Callable[[int, int, nn.Module, float], bool | None], rate: float = RATE
) -> None:
    """Train by a loop of one's own.

    `told` hears of each update (its number, updates an epoch, model and loss), and says whether the run may end.
    """
    network, done = model(seed), 0
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    batches = loader(batch_size, seed)
    for _ in range(round(EPOCHS[batch_size] * max(1, RATE / rate))):
        for images, labels in batches:
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            done += 1
            if told(done, len(batches), network, float(loss.detach())):
                return


class Module(lightning.LightningModule):
    """The perceptron as Lightning trains it."""

    def __init__(self, batch_size: int, seed: int, learning_rate: float) -> None:  # noqa: ARG002 - they are kept by name
        """Keep what is written to hparams.yaml."""
        super().__init__()
        self.save_hyperparameters()
        self.network = model(seed)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> torch.Tensor:
        """Return the loss of a batch."""
        loss = functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> None:
        """Log the loss on the validation examples, which are one batch."""
        loss, right = validated(self.network)
        self.log("val_loss", loss, batch_size=len(batch[0]))
        self.log("val_acc", right, batch_size=len(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=self.hparams["learning_rate"])


def write_lightning(folder: Path, batch_size: int, seed: int) -> None:
    """Let Lightning's CSVLogger write."""
    logger = lightning.pytorch.loggers.CSVLogger(folder, name="", version=f"bs{batch_size}-seed{seed}")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS.get(batch_size, 2),
        logger=logger,
        log_every_n_steps=60,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    validation = DataLoader(TensorDataset(*VALIDATION), batch_size=len(VALIDATION[1]))
    trainer.fit(Module(batch_size, seed, RATE), loader(batch_size, seed), validation)


class Classifier(nn.Module):
    """The perceptron as the Hugging Face Trainer calls it."""

    def __init__(self, seed: int) -> None:
        """Keep the perceptron."""
        super().__init__()
        self.network = model(seed)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and scores."""
        scores = self.network(images)
        return {"loss": functional.cross_entropy(scores, labels), "logits": scores}


class Ordered(transformers.Trainer):
    """A Trainer that takes the batches of this task."""

    def get_train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """Return the batches of one epoch after the other."""
        examples = [{"images": image, "labels": label} for image, label in zip(*TRAIN, strict=True)]
        size = self.args.per_device_train_batch_size
        return DataLoader(examples, batch_size=size, sampler=Order(self.args.seed))  # type: ignore[arg-type]


def write_transformers(folder: Path, batch_size: int, seed: int, *, accumulated: int = 1) -> None:
    """Let the Hugging Face Trainer write; an update may take several batches."""
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / f"bs{batch_size}-seed{seed}"),
        per_device_train_batch_size=batch_size // accumulated,
        gradient_accumulation_steps=accumulated,
        per_device_eval_batch_size=len(VALIDATION[1]),
        num_train_epochs=EPOCHS.get(batch_size, 2),
        learning_rate=RATE,
        lr_scheduler_type="constant",
        optim="sgd",
        weight_decay=0.0,
        max_grad_norm=0.0,
        seed=seed,
        use_cpu=True,
        eval_strategy="epoch",
        logging_strategy="steps",
        logging_steps=180,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    examples = [{"images": image, "labels": label} for image, label in zip(*VALIDATION, strict=True)]
    trainer = Ordered(Classifier(seed), arguments, train_dataset=examples, eval_dataset=examples)  # type: ignore[arg-type]
    trainer.train()
    trainer.save_state()


def write_tensorboard(folder: Path, batch_size: int, seed: int) -> None:
    """Let torch's SummaryWriter write."""
    run = folder / f"bs{batch_size}-seed{seed}"
    with SummaryWriter(str(run)) as writer:
        writer.add_hparams({"batch_size": batch_size, "lr": RATE, "seed": seed}, {}, run_name=".")

        def told(done: int, an_epoch: int, network: nn.Module, loss: float) -> None:
            if done % max(1, an_epoch // 3) == 0:
                writer.add_scalar("loss/train", loss, done)
            if done % an_epoch == 0:
                writer.add_scalar("loss/validation", validated(network)[0], done)

        train(batch_size, seed, told)
    for number, file in enumerate(sorted(run.glob("*tfevents*"))):
        file.rename(run / f"events.out.tfevents.{number}")  # without the time and the machine's name


def write_keras(folder: Path, batch_size: int, seed: int) -> None:
    """Let Keras' CSVLogger write."""
    folder.mkdir(parents=True, exist_ok=True)
    network = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(10)]
    )
    network.set_weights([w.detach().numpy().T for w in model(seed).parameters()])
    network.compile(
        optimizer=keras.optimizers.SGD(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    network.fit(
        loader(batch_size, seed),
        epochs=EPOCHS.get(batch_size, 2),
        shuffle=False,
        verbose=0,
        validation_data=tuple(part.numpy() for part in VALIDATION),
        validation_batch_size=len(VALIDATION[1]),
        callbacks=[keras.callbacks.CSVLogger(str(folder / f"bs{batch_size}-seed{seed}.csv"))],
    )


def write_mlperf(folder: Path, batch_size: int, seed: int) -> None:
    """Let MLPerf's logger write."""
    folder.mkdir(parents=True, exist_ok=True)
    out = logging.getLogger(f"mlperf-{batch_size}-{seed}")
    out.addHandler(logging.FileHandler(folder / f"bs{batch_size}-seed{seed}.txt"))
    out.setLevel(logging.INFO)
    out.propagate = False
    logger = MLLogger(out, root_dir=str(Path(__file__).parent))
    logger.event(key="global_batch_size", value=batch_size)
    logger.event(key="opt_base_learning_rate", value=RATE)
    logger.event(key="seed", value=seed)
    logger.event(key="train_samples", value=len(TRAIN[1]))
    logger.start(key="run_start")

    def told(done: int, an_epoch: int, network: nn.Module, _loss: float) -> None:
        if done % an_epoch == 0:
            at = {"epoch_num": done // an_epoch}
            logger.start(key="eval_start", metadata=at)
            logger.event(key="eval_loss", value=validated(network)[0], metadata=at)
            logger.end(key="eval_stop", metadata=at)

    train(batch_size, seed, told)
    logger.end(key="run_stop", metadata={"status": "success"})


def write_own(folder: Path, batch_size: int, seed: int) -> None:
    """Write JSON lines and plain text as one's own loop does."""
    for kind in ("json", "text"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    name = f"bs{batch_size}-seed{seed}"
    with (folder / "json" / f"{name}.jsonl").open("w") as lines, (folder / "text" / f"{name}.log").open("w") as text:
        settings = {"batch_size": batch_size, "seed": seed, "learning_rate": RATE}

        def told(done: int, an_epoch: int, network: nn.Module, loss: float) -> None:
            now = time.time()
            clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}"
            if done % max(1, an_epoch // 3) == 0 or done % an_epoch == 0:
                lines.write(json.dumps({"step": done, "time": now, "loss": round(loss, 5), **settings}) + "\n")
                text.write(f"[{clock}] update {done}: loss {loss:.5f}\n")
            if done % an_epoch == 0:
                at = validated(network)[0]
                lines.write(
                    json.dumps({"step": done, "time": time.time(), "val_loss": round(at, 6), **settings}) + "\n"
                )
                text.write(f"update {done}: validation loss {at:.6f}\n")

        train(batch_size, seed, told)


def write_grid(folder: Path, batch_size: int, seed: int, rate: float) -> None:
    """Write JSON lines of a run at another learning rate, until it meets the target; settings stand in its first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"bs{batch_size}-lr{rate:g}-seed{seed}.jsonl").open("w") as lines:
        lines.write(json.dumps({"batch_size": batch_size, "learning_rate": rate, "seed": seed}) + "\n")

        def told(done: int, an_epoch: int, network: nn.Module, _loss: float) -> bool:
            if done % an_epoch:
                return False
            lines.write(json.dumps({"step": done, "time": round(time.time(), 6)}) + "\n")
            at = validated(network)[0]
            lines.write(json.dumps({"step": done, "time": round(time.time(), 6), "val_loss": round(at, 5)}) + "\n")
            return at <= TARGET

        train(batch_size, seed, told, rate)


def main(top: Path) -> None:
    """Write every log."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for size in EPOCHS:
        for seed in SEEDS:
            write_lightning(top / "lightning", size, seed)
            write_transformers(top / "transformers", size, seed)
            write_tensorboard(top / "tensorboard", size, seed)
            write_keras(top / "keras", size, seed)
            write_mlperf(top / "mlperf", size, seed)
            write_own(top, size, seed)
            for rate in RATES:
                write_grid(top / "grid", size, seed, rate)
    write_transformers(top / "accumulated", 64, 0, accumulated=4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
