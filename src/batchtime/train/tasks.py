"""The package's own tasks, made as anybody makes one: a function that returns a `Task`.

`batchtime sweep batchtime.train.tasks:mnist` trains what `batchtime sweep mnist-lenet` trains, bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from torch import Tensor, float32, inference_mode, nn
from torch.nn import functional

from batchtime.errors import check
from batchtime.runs.catalogue import experiment
from batchtime.runs.spec import Workload
from batchtime.runs.store import datasets_folder
from batchtime.train.augment import flip_and_shift
from batchtime.train.datasets import (
    Examples,
    Split,
    checksum,
    load_anisotropic_noise,
    load_cifar,
    load_cifar_test,
    load_digits,
    load_gaussian_features,
    load_gaussian_noise,
    load_mnist,
    load_mnist_test,
    load_pooled_mnist,
)
from batchtime.train.europarl import bleu, load_europarl
from batchtime.train.models import MODELS
from batchtime.train.task import Measure, Task

DATASETS: dict[str, Callable[[], Split]] = {
    "digits": load_digits,
    "mnist": lambda: load_mnist(datasets_folder()),
    "cifar10": lambda: load_cifar(datasets_folder(), classes=10),
    "cifar100": lambda: load_cifar(datasets_folder(), classes=100),
    "europarl": lambda: load_europarl(datasets_folder()),
    "mnist-5k": lambda: load_mnist(datasets_folder(), validation=5000),
    "cifar10-augmented": lambda: load_cifar(datasets_folder(), classes=10, validation=5000),
    "cifar100-augmented": lambda: load_cifar(datasets_folder(), classes=100, validation=5000),
    "europarl-2k": lambda: load_europarl(datasets_folder(), words=range(3, 14), validation=2000),
    "gaussian-noise": load_gaussian_noise,
    "anisotropic-noise": load_anisotropic_noise,
    "gaussian-features": load_gaussian_features,
    "mnist-pooled": lambda: load_pooled_mnist(datasets_folder()),
}


def mnist() -> Task:
    """Return MNIST for LeNet, to 6 % error."""
    return of_sweep("mnist-lenet")


def cifar10() -> Task:
    """Return CIFAR-10 for a small convolutional network, to 50 % error."""
    return of_sweep("cifar10-cnn")


def cifar100() -> Task:
    """Return CIFAR-100 for the same network, to 80 % error."""
    return of_sweep("cifar100-cnn")


def europarl() -> Task:
    """Return short sentences of Europarl for a small recurrent network."""
    return of_sweep("europarl-gru")


def of_sweep(name: str) -> Task:
    """Return the task of a named sweep with its target and its learning rate, as a workload of one's own has them.

    Raises:
        ParameterError: If there is no such sweep.
        DatasetError: If its data set cannot be had.
    """
    setting = experiment(name).sweep.setting
    task = of_workload(setting.workload)
    return replace(task, target=setting.workload.target, learning_rate=setting.learning_rate.maximum)


def of_workload(workload: Workload) -> Task:
    """Return the task of a workload of the package; its data set is loaded once a process.

    Raises:
        ParameterError: If the data set or the model is not known.
        DatasetError: If the data set cannot be had.
    """
    check(workload.dataset in DATASETS, name="dataset", value=workload.dataset, allowed=", ".join(DATASETS))
    check(workload.model in MODELS, name="model", value=workload.model, allowed=", ".join(MODELS))
    train, validation, examples_sha256 = _load(workload.dataset)
    loss, metrics = _MEASURES.get(workload.dataset, (cross_entropy, {"error": wrong, "loss": cross_entropy}))
    report = None
    if workload.dataset in _TRANSLATED:

        def report(model: nn.Module) -> Mapping[str, float]:
            return {"bleu": bleu(model, validation, datasets_folder(), sentences=_TRANSLATED[workload.dataset])}

    elif workload.dataset in _TEST_SETS:

        def report(model: nn.Module) -> Mapping[str, float]:
            return {"test_error": _error(model, _test_set(workload.dataset))}

    return Task(
        model=MODELS[workload.model],
        train=train,
        validation=validation,
        loss=loss,
        metrics=metrics,
        report=report,
        examples_sha256=examples_sha256,
        augment=flip_and_shift if workload.dataset in _AUGMENTED else None,
    )


@cache
def _load(dataset: str) -> tuple[Examples, Examples, str]:
    train, validation = DATASETS[dataset]()
    return train, validation, checksum(train, validation)


_TRANSLATED = {"europarl": 200, "europarl-2k": 2000}  # sentences that a report translates
_AUGMENTED = ("cifar10-augmented", "cifar100-augmented")
_TEST_SETS: dict[str, Callable[[], Examples]] = {
    "mnist-5k": lambda: load_mnist_test(datasets_folder()),
    "cifar10-augmented": lambda: load_cifar_test(datasets_folder(), classes=10),
    "cifar100-augmented": lambda: load_cifar_test(datasets_folder(), classes=100),
}


@cache
def _test_set(dataset: str) -> Examples:
    return _TEST_SETS[dataset]()


@inference_mode()
def _error(model: nn.Module, examples: Examples) -> float:
    """Return the fraction of examples whose likeliest class is not theirs."""
    model.eval()
    count = sum(int(wrong(model(part.inputs), part.targets).sum()) for part in examples.split(_AT_ONCE))
    model.train()
    return count / len(examples)


_AT_ONCE = 500  # examples in one forward pass

# --- measures --------------------------------------------------------------------------------------------------------


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats of each example, (n,)."""
    return functional.cross_entropy(outputs, targets, reduction="none")


def wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return 1 for each example whose likeliest class is not the right one, else 0."""
    return (outputs.argmax(dim=1) != targets).to(float32)


def energy(outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG001 - a measure takes targets; here there are none
    """Return half the squared length of each output."""
    return outputs.square().sum(dim=1) / 2


def nats_a_piece(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return nats a piece: the mean of sentences weighs each by its pieces, for `targets` is their mean number."""
    return outputs / targets


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return half the squared error of each example."""
    return (outputs - targets).square() / 2


def penalised(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return cross entropy and the penalty that the last column holds."""
    return cross_entropy(outputs[:, :-1], targets) + outputs[:, -1]


def wrong_scores(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return `wrong` of outputs whose last column is a penalty."""
    return wrong(outputs[:, :-1], targets)


_MEASURES: dict[str, tuple[Measure, Mapping[str, Measure]]] = {
    "gaussian-noise": (energy, {"loss": energy}),
    "anisotropic-noise": (energy, {"loss": energy}),
    "gaussian-features": (half_squared_error, {"loss": half_squared_error}),
    "mnist-pooled": (penalised, {"loss": penalised, "error": wrong_scores}),
    "europarl": (nats_a_piece, {"loss": nats_a_piece}),
    "europarl-2k": (nats_a_piece, {"loss": nats_a_piece}),
}
