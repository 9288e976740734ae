"""Friedman's first regression problem for a perceptron: the smallest workload of one's own, to copy from."""

import torch
from sklearn import datasets
from torch import Tensor, nn

from batchtime import Target, Task
from batchtime.train.datasets import split


def perceptron() -> nn.Module:
    """Return one hidden layer of 32 rectifiers."""
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each example, in variances of the answers."""
    return (outputs.squeeze(dim=1) - targets).square()


def regression() -> Task:
    """Return Friedman's first regression problem: 2,000 examples of ten features, and 400 more to validate on."""
    features, answers = datasets.make_friedman1(2400, noise=1.0, random_state=0)
    inputs = torch.as_tensor(2 * features - 1, dtype=torch.float32)
    targets = torch.as_tensor((answers - answers.mean()) / answers.std(), dtype=torch.float32)
    train, validation = split(inputs, targets, validation=400)
    return Task(
        model=perceptron,
        train=train,
        validation=validation,
        loss=squared_error,
        metrics={"squared_error": squared_error},
        target=Target(metric="squared_error", value=0.2, hold=3),
        learning_rate=0.1,
        version="1",
    )
