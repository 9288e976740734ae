"""A table of numbers in four classes for a perceptron, with AdamW, warm-up, and an accuracy that rises."""

import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from batchtime import Target, Task
from batchtime.train.datasets import split

WARM_UP = 100
"""Updates in which the learning rate rises to its own value."""


def perceptron() -> nn.Module:
    """Return two hidden layers of 100 rectifiers, as scikit-learn's classifier has one."""
    return nn.Sequential(
        nn.Linear(20, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Dropout(0.1), nn.Linear(100, 4)
    )


def adamw(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW as torch sets it."""
    return torch.optim.AdamW(model.parameters(), lr=learning_rate)


def warm_up(optimizer: torch.optim.Optimizer, _batch_size: int) -> LRScheduler:
    """Return a learning rate that rises in a straight line, and stays."""
    return LambdaLR(optimizer, lambda update: min(1.0, (update + 1) / WARM_UP))


def right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return 1 for each example whose likeliest class is the right one, else 0."""
    return (outputs.argmax(dim=1) == targets).float()


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats of each example."""
    return functional.cross_entropy(outputs, targets, reduction="none")


def tabular() -> Task:
    """Return 8,000 rows that scikit-learn generates, 20 features in four classes, to an accuracy of 85 %."""
    features, labels = datasets.make_classification(
        9000, n_features=20, n_informative=10, n_classes=4, class_sep=1.2, random_state=0
    )
    inputs = torch.as_tensor((features - features.mean(axis=0)) / features.std(axis=0), dtype=torch.float32)
    train, validation = split(inputs, torch.as_tensor(labels), validation=1000)
    return Task(
        model=perceptron,
        train=train,
        validation=validation,
        loss=cross_entropy,
        metrics={"accuracy": right, "loss": cross_entropy},
        target=Target(metric="accuracy", value=0.85, hold=3, rises=True),
        learning_rate=0.001,
        optimizer=adamw,
        schedule=warm_up,
        version="1",
    )
