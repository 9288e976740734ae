"""Workloads by name: turns a `Workload` into examples, a model, a loss and metrics."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, float32, nn
from torch.nn import functional

from batchtime.datasets import (
    Examples,
    Split,
    load_anisotropic_noise,
    load_cifar,
    load_digits,
    load_gaussian_features,
    load_gaussian_noise,
    load_mnist,
    load_pooled_mnist,
)
from batchtime.europarl import bleu, load_europarl
from batchtime.models import MODELS
from batchtime.records import Workload, check
from batchtime.store import datasets_folder

Measure = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets of n examples to n values, one an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the training loop needs of a workload.

    Args:
        model: Makes a new model; its random weights come from torch's global generator.
        train: Examples to draw batches from.
        validation: Fixed examples on which the metrics are taken.
        loss: The loss of each example; its mean over a batch is what is differentiated.
        metrics: For each metric its value for each validation example; the mean is recorded.
        report: Numbers to take once, of a model that reached its target.
        examples_sha256: Checksum of all examples, so that a record names the data that it was made of.
    """

    model: Callable[[], nn.Module]
    train: Examples
    validation: Examples
    loss: Measure
    metrics: Mapping[str, Measure]
    report: Callable[[nn.Module], Mapping[str, float]] | None = None
    examples_sha256: str | None = None


DATASETS: dict[str, Callable[[], Split]] = {
    "digits": load_digits,
    "mnist": lambda: load_mnist(datasets_folder()),
    "cifar10": lambda: load_cifar(datasets_folder(), classes=10),
    "cifar100": lambda: load_cifar(datasets_folder(), classes=100),
    "europarl": lambda: load_europarl(datasets_folder()),
    "gaussian-noise": load_gaussian_noise,
    "anisotropic-noise": load_anisotropic_noise,
    "gaussian-features": load_gaussian_features,
    "mnist-pooled": lambda: load_pooled_mnist(datasets_folder()),
}


def build(workload: Workload) -> Task:
    """Return the task of a workload; its data set is loaded once a process.

    Raises:
        ParameterError: If the data set or the model is not known.
        DatasetError: If the data set cannot be had.
    """
    check(workload.dataset in DATASETS, name="dataset", value=workload.dataset, allowed=", ".join(DATASETS))
    check(workload.model in MODELS, name="model", value=workload.model, allowed=", ".join(MODELS))
    train, validation, examples_sha256 = _load(workload.dataset)
    loss, metrics = _MEASURES.get(workload.dataset, (_cross_entropy, {"error": _misclassified, "loss": _cross_entropy}))
    report = None
    if workload.dataset == "europarl":

        def report(model: nn.Module) -> Mapping[str, float]:
            return {"bleu": bleu(model, validation, datasets_folder(), sentences=_TRANSLATED)}

    return Task(
        model=MODELS[workload.model],
        train=train,
        validation=validation,
        loss=loss,
        metrics=metrics,
        report=report,
        examples_sha256=examples_sha256,
    )


_TRANSLATED = 200  # sentences that a report translates


@functools.cache
def _load(dataset: str) -> tuple[Examples, Examples, str]:
    train, validation = DATASETS[dataset]()
    digest = hashlib.sha256()
    for examples in (train, validation):
        digest.update(examples.inputs.numpy().data)
        digest.update(examples.targets.numpy().data)
    return train, validation, digest.hexdigest()


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def _misclassified(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) != targets).to(float32)


def _energy(outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG001 - a measure takes targets; here there are none
    return outputs.square().sum(dim=1) / 2


def _nats_a_piece(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return nats a piece: the mean of sentences weighs each by its pieces, for `targets` is their mean number."""
    return outputs / targets


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square() / 2


def _penalised(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return cross entropy and the penalty that the last column holds."""
    return _cross_entropy(outputs[:, :-1], targets) + outputs[:, -1]


def _misclassified_scores(outputs: Tensor, targets: Tensor) -> Tensor:
    return _misclassified(outputs[:, :-1], targets)


_MEASURES: dict[str, tuple[Measure, Mapping[str, Measure]]] = {
    "gaussian-noise": (_energy, {"loss": _energy}),
    "anisotropic-noise": (_energy, {"loss": _energy}),
    "gaussian-features": (_squared_error, {"loss": _squared_error}),
    "mnist-pooled": (_penalised, {"loss": _penalised, "error": _misclassified_scores}),
    "europarl": (_nats_a_piece, {"loss": _nats_a_piece}),
}
