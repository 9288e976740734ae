"""Workloads by name: turns a `Workload` into examples, a model, a loss and metrics."""

import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, float32, inference_mode, nn, random
from torch.nn import functional

from batchtime.errors import WorkloadError, check
from batchtime.runs.spec import Device, Source, Target, Workload
from batchtime.runs.store import datasets_folder
from batchtime.train.augment import Augment, flip_and_shift
from batchtime.train.datasets import (
    Examples,
    Split,
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
        examples_sha256: Checksum of all examples, so that a record names the data that it was made of; it is computed.
        target: Of a workload of one's own: what its runs are to reach.
        learning_rate: Of a workload of one's own: step size of plain SGD.
        version: Of a workload of one's own: raise it with any change that changes its runs. None to take the checksum
            of the module's source instead, so that any edit makes it another workload.
        augment: Changes the inputs of a batch at random, by bits that the run's own generator draws.
    """

    model: Callable[[], nn.Module]
    train: Examples
    validation: Examples
    loss: Measure
    metrics: Mapping[str, Measure]
    report: Callable[[nn.Module], Mapping[str, float]] | None = None
    examples_sha256: str | None = None
    target: Target | None = None
    learning_rate: float | None = None
    version: str | None = None
    augment: Augment | None = None


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


def build(workload: Workload) -> Task:
    """Return the task of a workload; its data set is loaded once a process.

    Raises:
        ParameterError: If the data set, the model or the metric is not known.
        DatasetError: If the data set cannot be had.
        WorkloadError: If it is one's own, and cannot be used or is not what it was.
    """
    if workload.source is None:
        task = _named(workload)
    else:
        task, here = own(workload.source.function)
        if here != workload.source:
            changed = "version" if here.version != workload.source.version else "examples"
            remedy = "give every worker the same files, or start the sweep again"
            raise WorkloadError(f"{here.function} is not what this sweep was started with (other {changed}); {remedy}")
    metric = workload.target.metric
    check(metric in task.metrics, name="metric", value=metric, allowed=", ".join(task.metrics))
    return task


def on_device(task: Task, device: Device) -> Task:
    """Return a task with its examples and new models on a device; initial weights are drawn on the processor."""

    def moved(examples: Examples) -> Examples:
        return Examples(inputs=examples.inputs.to(device), targets=examples.targets.to(device))

    model, report = task.model, task.report
    return replace(
        task,
        model=lambda: model().to(device),
        train=moved(task.train),
        validation=moved(task.validation),
        report=None if report is None else lambda trained: report(trained.to("cpu")),
    )


@functools.cache
def own(function: str) -> tuple[Task, Source]:
    """Return the task that a function of one's own makes, called once a process, and what identifies it.

    Args:
        function: "module:function", importable here and in every worker; it takes nothing and returns a `Task`.

    Raises:
        WorkloadError: If it cannot be imported or stops, or if what it returns cannot be trained.
    """
    module, _, name = function.partition(":")
    if module == "__main__":
        raise WorkloadError(f"workers cannot import a program's main file: put the function {name} into a module")
    try:
        made = getattr(importlib.import_module(module), name)()
        problem = _problem(made)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        remedy = "name a function that takes nothing, as module:function, with its folder on the PYTHONPATH"
        raise WorkloadError(f"{function} gives no workload ({reason}); {remedy}") from error
    if problem is not None:
        raise WorkloadError(f"{function} cannot be trained: {problem}")
    digest = _checksum(made.train, made.validation)
    version = made.version or f"sha256:{_source_checksum(function, module)}"
    return replace(made, examples_sha256=digest), Source(function=function, version=version, examples_sha256=digest)


def _source_checksum(function: str, module: str) -> str:
    try:
        source = inspect.getsource(importlib.import_module(module))
    except (OSError, TypeError) as error:
        raise WorkloadError(f"the source of {function} cannot be read; give its Task a version") from error
    return hashlib.sha256(source.encode()).hexdigest()


_TRIED = 2  # examples that are tried before a sweep starts


def _problem(made: object) -> str | None:
    """Return why something cannot be trained, or None; two examples are tried."""
    if not isinstance(made, Task):
        return f"it returned {type(made).__name__}, not a batchtime.train.workloads.Task"
    if made.target is None or made.learning_rate is None:
        return "its Task needs a target and a learning_rate"
    if made.target.metric not in made.metrics:
        return f"its target's metric {made.target.metric!r} is none of its metrics: {', '.join(made.metrics)}"
    for part, examples in (("train", made.train), ("validation", made.validation)):
        if not len(examples.inputs) == len(examples.targets) > 0:
            return f"{part} has {len(examples.inputs)} inputs and {len(examples.targets)} targets"
    tried = min(_TRIED, len(made.validation.targets))
    inputs, targets = made.validation.inputs[:tried], made.validation.targets[:tried]
    with random.fork_rng(devices=[]), inference_mode():
        outputs = made.model().eval()(inputs)
        for measure, values in {"its loss": made.loss, **made.metrics}.items():
            shape = tuple(values(outputs, targets).shape)
            if shape != (tried,):
                return f"{measure} has shape {shape} for {tried} examples, not one value an example"
    return None


def _named(workload: Workload) -> Task:
    """Return the task of a workload of the package."""
    check(workload.dataset in DATASETS, name="dataset", value=workload.dataset, allowed=", ".join(DATASETS))
    check(workload.model in MODELS, name="model", value=workload.model, allowed=", ".join(MODELS))
    train, validation, examples_sha256 = _load(workload.dataset)
    loss, metrics = _MEASURES.get(workload.dataset, (_cross_entropy, {"error": _misclassified, "loss": _cross_entropy}))
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


_TRANSLATED = {"europarl": 200, "europarl-2k": 2000}  # sentences that a report translates
_AUGMENTED = ("cifar10-augmented", "cifar100-augmented")
_TEST_SETS: dict[str, Callable[[], Examples]] = {
    "mnist-5k": lambda: load_mnist_test(datasets_folder()),
    "cifar10-augmented": lambda: load_cifar_test(datasets_folder(), classes=10),
    "cifar100-augmented": lambda: load_cifar_test(datasets_folder(), classes=100),
}


@functools.cache
def _test_set(dataset: str) -> Examples:
    return _TEST_SETS[dataset]()


@inference_mode()
def _error(model: nn.Module, examples: Examples) -> float:
    """Return the fraction of examples whose likeliest class is not theirs."""
    model.eval()
    parts = zip(examples.inputs.split(_AT_ONCE), examples.targets.split(_AT_ONCE), strict=True)
    wrong = sum(int(_misclassified(model(inputs), targets).sum()) for inputs, targets in parts)
    model.train()
    return wrong / len(examples.targets)


_AT_ONCE = 500  # examples in one forward pass


@functools.cache
def _load(dataset: str) -> tuple[Examples, Examples, str]:
    train, validation = DATASETS[dataset]()
    return train, validation, _checksum(train, validation)


def _checksum(*parts: Examples) -> str:
    digest = hashlib.sha256()
    for examples in parts:
        digest.update(examples.inputs.contiguous().numpy().data)
        digest.update(examples.targets.contiguous().numpy().data)
    return digest.hexdigest()


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
    "europarl-2k": (_nats_a_piece, {"loss": _nats_a_piece}),
}
