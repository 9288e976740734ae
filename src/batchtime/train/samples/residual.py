"""Small images of MNIST for the first half of ResNet-18, through a loader that shifts each of them at random."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from batchtime import Target, Task
from batchtime.runs.store import datasets_folder
from batchtime.train.datasets import Examples, import_torchvision, load_mnist


class Shifted(Dataset[tuple[Tensor, Tensor]]):
    """Images that are cut out anew each time, up to a pixel off; by torch's random numbers, which are the run's."""

    def __init__(self, examples: Examples) -> None:
        """Keep the images."""
        self.examples = examples
        self.cut = import_torchvision().transforms.RandomCrop(14, padding=1)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image, (1, 14, 14), and its label."""
        return self.cut(self.examples.inputs[index]), self.examples.targets[index]


def loader(dataset: Dataset[Any], batch_size: int, generator: torch.Generator) -> DataLoader[Any]:
    """Return a loader without worker processes, so that a run comes out the same again."""
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, generator=generator)


def resnet() -> nn.Module:
    """Return torchvision's ResNet-18 without its last two stages, for images of one channel: 674,000 weights."""
    network: nn.Module = import_torchvision().models.resnet18()
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network.layer3 = network.layer4 = nn.Identity()
    network.fc = nn.Linear(128, 10)
    return network


def momentum(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return SGD as ResNets are usually trained."""
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-4)


def wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return 1 for each example whose likeliest class is not the right one, else 0."""
    return (outputs.argmax(dim=1) != targets).float()


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats of each example."""
    return functional.cross_entropy(outputs, targets, reduction="none")


def halved(examples: Examples) -> Examples:
    """Return images of half the width and height, (n, 1, 14, 14)."""
    return Examples(inputs=functional.avg_pool2d(examples.inputs, 2), targets=examples.targets)


def residual() -> Task:
    """Return 4,000 images of MNIST, and 500 others to validate on, to 10 % error."""
    train, validation = load_mnist(datasets_folder())
    return Task(
        model=resnet,
        train=Shifted(halved(train.part(0, 4000))),
        validation=halved(validation.part(0, 500)),
        loss=cross_entropy,
        metrics={"error": wrong, "loss": cross_entropy},
        target=Target(metric="error", value=0.1, hold=2),
        learning_rate=0.01,
        optimizer=momentum,
        loader=loader,
        version="1",
    )
