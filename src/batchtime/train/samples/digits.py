"""Handwritten digits for a vision transformer: a network of torchvision, and a torch data set read into memory."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from batchtime import Target, Task
from batchtime.train.datasets import import_torchvision


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Handwritten digits in three equal channels, as networks for photographs take them."""

    def __init__(self, indices: range) -> None:
        """Choose some of the 1,797."""
        self.indices = indices
        self.images, self.labels = load_digits(return_X_y=True)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image, (3, 8, 8), and its label."""
        image = torch.as_tensor(self.images[self.indices[index]], dtype=torch.float32) / 16
        return image.view(1, 8, 8).expand(3, 8, 8), torch.as_tensor(self.labels[self.indices[index]])


def transformer() -> nn.Module:
    """Return torchvision's vision transformer, the smallest: one layer, images of four patches, 10,698 parameters."""
    models = import_torchvision().models
    network: nn.Module = models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )
    return network


def wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return 1 for each example whose likeliest class is not the right one, else 0."""
    return (outputs.argmax(dim=1) != targets).float()


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats of each example."""
    return functional.cross_entropy(outputs, targets, reduction="none")


def digits() -> Task:
    """Return the digits for a vision transformer, to 20 % error."""
    return Task(
        model=transformer,
        train=Digits(range(1400)),
        validation=Digits(range(1400, 1797)),
        loss=cross_entropy,
        metrics={"error": wrong, "loss": cross_entropy},
        target=Target(metric="error", value=0.2, hold=3),
        learning_rate=0.05,
        version="1",
    )
