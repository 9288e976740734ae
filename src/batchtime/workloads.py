"""Data sets and models by name: turns a `Workload` into tensors, a model, a loss and metrics."""

import contextlib
import fcntl
import functools
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from batchtime.records import BatchtimeError, Workload, check
from batchtime.store import datasets_folder
from batchtime.theory import NOISY_QUADRATIC


class DatasetError(BatchtimeError):
    """A data set is missing or damaged; the message names the file, what was found, what was expected, the remedy."""


Measure = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets of n examples to n values, one an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Inputs and targets that belong together, the first dimension counts examples."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the training loop needs of a workload.

    Args:
        model: Makes a new model; its random weights come from torch's global generator.
        train: Examples to draw batches from.
        validation: Fixed examples on which the metrics are taken.
        loss: The loss of each example; its mean over a batch is what is differentiated.
        metrics: For each metric its value for each validation example; the mean is recorded.
    """

    model: Callable[[], nn.Module]
    train: Examples
    validation: Examples
    loss: Measure
    metrics: Mapping[str, Measure]


def build(workload: Workload) -> Task:
    """Return the task of a workload; its data set is loaded once a process.

    Raises:
        ParameterError: If the data set or the model is not known.
        DatasetError: If the data set cannot be had.
    """
    check(workload.dataset in DATASETS, name="dataset", value=workload.dataset, allowed=", ".join(DATASETS))
    check(workload.model in MODELS, name="model", value=workload.model, allowed=", ".join(MODELS))
    train, validation = _load(workload.dataset)
    if workload.dataset == "gaussian-noise":
        return Task(
            model=MODELS[workload.model], train=train, validation=validation, loss=_energy, metrics={"loss": _energy}
        )
    return Task(
        model=MODELS[workload.model],
        train=train,
        validation=validation,
        loss=_cross_entropy,
        metrics={"error": _misclassified, "loss": _cross_entropy},
    )


@functools.cache
def _load(dataset: str) -> tuple[Examples, Examples]:
    return DATASETS[dataset]()


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def _misclassified(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) != targets).to(torch.float32)


def _energy(outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG001 - a measure takes targets; here there are none
    return outputs.square().sum(dim=1) / 2


# --- data sets -------------------------------------------------------------------------------------------------------


def _digits() -> tuple[Examples, Examples]:
    """scikit-learn's embedded 8 x 8 digits: 1,437 to train on and 360 to validate on, split once at random."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    inputs = torch.as_tensor(images, dtype=torch.float32) / 16  # (1797, 64), 0 to 1
    targets = torch.as_tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return _split(inputs[order], targets[order], validation=360)


def _mnist() -> tuple[Examples, Examples]:
    return load_mnist(datasets_folder())


def load_mnist(folder: Path) -> tuple[Examples, Examples]:
    """Return the 60,000 training images of MNIST, the last 1,000 of them to validate; the test images stay untouched.

    Args:
        folder: Holds MNIST/raw, as torchvision lays it out; downloaded into it where that is missing.

    Returns:
        Images of shape (n, 1, 28, 28) with mean 0 and deviation 1 over the pixels, and labels of shape (n,).

    Raises:
        DatasetError: If a file is missing, cut off or changed, or cannot be downloaded.
    """
    torchvision = import_torchvision()
    raw = folder / "MNIST" / "raw"
    with _alone(folder):
        if not any((raw / name).exists() for name in _MNIST_MD5):
            _download(lambda: torchvision.datasets.MNIST(str(folder), download=True), "MNIST", folder)
        _verify(raw, _MNIST_MD5)
    images = torchvision.datasets.MNIST(str(folder), train=True)
    inputs = (images.data.to(torch.float32) / 255 - 0.1307) / 0.3081
    return _split(inputs.unsqueeze(1), images.targets, validation=1000)


def _gaussian_noise() -> tuple[Examples, Examples]:
    """Noise vectors of mean exactly 0 and mean squared length exactly sigma^2; the one validation example is 0."""
    problem = NOISY_QUADRATIC
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(problem.examples, problem.dimension, dtype=torch.float64, generator=generator)
    noise -= noise.mean(dim=0)
    noise *= math.sqrt(problem.noise_variance / noise.square().sum(dim=1).mean())
    return (
        Examples(inputs=noise.to(torch.float32), targets=torch.zeros(len(noise))),
        Examples(inputs=torch.zeros(1, problem.dimension), targets=torch.zeros(1)),
    )


def _split(inputs: Tensor, targets: Tensor, *, validation: int) -> tuple[Examples, Examples]:
    """Keep the last `validation` examples apart."""
    return (
        Examples(inputs=inputs[:-validation].contiguous(), targets=targets[:-validation].contiguous()),
        Examples(inputs=inputs[-validation:].contiguous(), targets=targets[-validation:].contiguous()),
    )


_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at a folder of data sets, so that none reads what another still downloads."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DatasetError(
            f"cannot use {folder}: {error.strerror}; set BATCHTIME_DATASETS to another folder"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Refuse a data set with a missing, cut-off or changed file."""
    from torchvision.datasets.utils import calculate_md5

    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            remedy = "delete that folder, and the data set is downloaded again"
            raise DatasetError(f"{folder} lacks {name}: half a download; {remedy}")
        found = calculate_md5(str(path))
        if found != expected:
            remedy = "delete that folder, and the data set is downloaded again"
            raise DatasetError(f"{path} ({path.stat().st_size} bytes) has md5 {found}, expected {expected}; {remedy}")


def _download(download: Callable[[], object], name: str, folder: Path) -> None:
    try:
        download()
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        remedy = f"connect to a network, or put its files into {folder} (or set BATCHTIME_DATASETS to where they are)"
        raise DatasetError(f"{name} is not in {folder} and could not be downloaded ({reason}); {remedy}") from error


def import_torchvision() -> Any:
    """Import torchvision, also beside a torch without its compiled operators.

    The package index's torchvision stops beside a CPU build of torch, at two operators that are not there. Nothing
    used here needs them, so declaring their schemas is enough.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its note that image codecs are missing: no codec is used here
        try:
            import torchvision
        except RuntimeError:
            torch.library.define("torchvision::nms", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            torch.library.define("torchvision::qnms", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            import torchvision
    return torchvision


DATASETS: dict[str, Callable[[], tuple[Examples, Examples]]] = {
    "digits": _digits,
    "mnist": _mnist,
    "gaussian-noise": _gaussian_noise,
}


# --- models ----------------------------------------------------------------------------------------------------------


def _mlp() -> nn.Module:
    """64-64-10 perceptron."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _lenet() -> nn.Module:
    """LeNet with rectifiers, for 28 x 28 images of one channel: 61,706 parameters.

    Its convolutions have stride 2, as those of LeCun et al. (1989), where LeNet-5 subsamples after them: the same
    shapes at a third of the cost.
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=2, padding=2),  # (batch, 6, 14, 14)
        nn.ReLU(),
        nn.Conv2d(6, 16, 5, stride=2),  # (batch, 16, 5, 5)
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


class _Position(nn.Module):
    """A point in space, as far from the optimum as the problem says; outputs its differences to the inputs."""

    def __init__(self) -> None:
        super().__init__()
        direction = torch.randn(NOISY_QUADRATIC.dimension)
        self.position = nn.Parameter(direction / direction.norm() * NOISY_QUADRATIC.distance)

    def forward(self, inputs: Tensor) -> Tensor:  # (batch, dimension)
        return self.position - inputs


MODELS: dict[str, Callable[[], nn.Module]] = {"mlp": _mlp, "lenet": _lenet, "position": _Position}
