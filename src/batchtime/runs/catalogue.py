"""The named sweeps of the book, and those that belong together."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from batchtime.errors import ParameterError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.experiment import Experiment
from batchtime.runs.spec import EvaluationGrid, Optimizer, Setting, SweepSpec, Target, Workload


def experiment(name: str) -> Experiment:
    """Return a named experiment.

    Raises:
        ParameterError: If there is none of this name.
    """
    if name not in EXPERIMENTS:
        near = ", ".join(difflib.get_close_matches(name, EXPERIMENTS, n=3))
        raise ParameterError(
            f"workload = {name!r} is not allowed; allowed: a name that `batchtime workloads` lists"
            f"{f' ({near}?)' if near else ''}, module:function of your own, or, to fit, a table that exists"
        )
    return EXPERIMENTS[name]


def rate_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweeps at other step sizes, by increasing step size, as a reader names them.

    Raises:
        ParameterError: If there is no such task, or it was swept at one step size only.
    """
    swept = sorted({e.variant_of for e in EXPERIMENTS.values() if e.variant_of and "-rate-" in e.name})
    check(base in swept, name="workload", value=base, allowed=f"swept at several step sizes: {', '.join(swept)}")
    same = [e for e in EXPERIMENTS.values() if e.name == base or e.name.startswith(f"{base}-rate-")]
    ordered = sorted(same, key=lambda e: e.sweep.setting.learning_rate.maximum)
    return {f"step size {e.sweep.setting.learning_rate.maximum:g}": e for e in ordered}


def optimizer_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweeps with other optimizers, as a reader names them."""
    return _named_arms(base, {"plain SGD": "", "momentum 0.9": "-momentum", "Adam": "-adam"})


def sampling_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweep epoch by epoch, as a reader names them."""
    return _named_arms(base, {"drawn with replacement": "", "drawn epoch by epoch": "-epochs"})


def harmonic_arms(base: str) -> dict[str, Experiment]:
    """Return a task and its sweep with a step size that shrinks with the batch, as a reader names them."""
    return _named_arms(base, {"constant step size": "", "harmonic step size": "-harmonic"})


def _named_arms(base: str, suffixes: Mapping[str, str]) -> dict[str, Experiment]:
    have = [name for name in EXPERIMENTS if all(name + suffix in EXPERIMENTS for suffix in suffixes.values())]
    check(base in have, name="workload", value=base, allowed=f"swept in these ways: {', '.join(have)}")
    return {label: EXPERIMENTS[base + suffix] for label, suffix in suffixes.items()}


def changed_all(chosen: Mapping[str, Experiment], *, seeds: int | None) -> dict[str, Experiment]:
    """Return some experiments with the first so many of their seeds; None keeps them as they are."""
    return {label: one.changed(seeds=seeds) for label, one in chosen.items()}


def tasks() -> dict[str, Experiment]:
    """Return the four tasks of the book, as a reader names them."""
    names = {"MNIST": "mnist-lenet", "CIFAR-10": "cifar10-cnn", "CIFAR-100": "cifar100-cnn", "Europarl": "europarl-gru"}
    return {title: experiment(name) for title, name in names.items()}


def swept(names: Sequence[str]) -> dict[str, Experiment]:
    """Return the tasks and their variants among some names, each task before its variants, as a reader names them."""
    labels: dict[str, Experiment] = {}
    for title, task in tasks().items():
        if task.name in names:
            labels[title] = task
        variants = [e for e in EXPERIMENTS.values() if e.variant_of == task.name and e.name in names]
        for one in sorted(variants, key=lambda e: (e.sweep.setting.learning_rate.maximum, e.name)):
            labels[f"{title}, {one.name.removeprefix(task.name + '-').replace('-', ' ')}"] = one
    return labels


def timed_batch_sizes(chosen: Experiment, given: str | None = None) -> tuple[int, ...]:
    """Return the batch sizes at which an experiment's updates are timed.

    Without `given`: 1, those of its sweep, and a size between each two neighbours, so that not all are powers of two.

    Raises:
        ParameterError: If `given` is no list of batch sizes.
    """
    if given is not None:
        return chosen.changed(batch_sizes=given).sweep.batch_sizes
    swept = sorted({1, *chosen.sweep.batch_sizes})
    between = {low + (high - low) // 2 for low, high in pairwise(swept)}
    return tuple(sorted(between | set(swept)))


_TASKS = (
    Experiment(
        name="digits-mlp",
        summary="scikit-learn's embedded 8 x 8 digits, a perceptron with one hidden layer; needs no download",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="digits-mlp",
                    dataset="digits",
                    model="mlp",
                    target=Target(metric="error", value=0.08, hold=3),
                ),
                learning_rate=LearningRate(maximum=0.1),
                max_updates=10_000,
                grid=EvaluationGrid(ratio=1.05, stride=5, near=3.0),
            ),
            batch_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            seeds=tuple(range(10)),
        ),
        n_examples=1437,
        description=(
            "The data are the 8 x 8 digits that come with scikit-learn, 1,437 to train on and 360 to validate "
            "on. The model is a perceptron with one hidden layer of 64 rectifiers."
        ),
        sealed=(8, 128),
        left_out=(1,),
    ),
    Experiment(
        name="mnist-lenet",
        summary="MNIST, a LeNet with strided convolutions; its images are downloaded when a run is missing",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="mnist-lenet",
                    dataset="mnist",
                    model="lenet",
                    target=Target(metric="error", value=0.06, hold=3),
                ),
                learning_rate=LearningRate(maximum=0.02),
                max_updates=20_000,
                grid=EvaluationGrid(ratio=1.05, stride=5, near=3.0),
            ),
            batch_sizes=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 96, 128, 256, 512),
            seeds=tuple(range(20)),
        ),
        n_examples=59_000,
        description=(
            "The data are the handwritten digits of MNIST, 28 x 28 pixels: 59,000 of the training images to "
            "train on, the last 1,000 to validate on; the test images are not touched. The model is a LeNet "
            "whose two convolutions have stride 2, 61,706 parameters."
        ),
        sealed=(6, 96),
        left_out=(1,),
    ),
    Experiment(
        name="cifar10-cnn",
        summary="CIFAR-10, three strided convolutions with group norm; its images are downloaded when a run is missing",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="cifar10-cnn",
                    dataset="cifar10",
                    model="cnn-10",
                    target=Target(metric="error", value=0.5, hold=3),
                ),
                learning_rate=LearningRate(maximum=0.01),
                max_updates=30_000,
                grid=EvaluationGrid(ratio=1.05, stride=8, near=1.06),
            ),
            batch_sizes=(2, 3, 4, 6, 8, 12, 16, 32, 64, 96, 128, 256),
            seeds=tuple(range(10)),
        ),
        n_examples=48_000,
        description=(
            "The data are the photographs of CIFAR-10, 32 x 32 pixels in three colours, ten classes: 48,000 of "
            "the training images to train on, the last 2,000 to validate on; the test images are not touched. "
            "The model has three convolutions of stride 2 with 16, 32 and 64 channels, each followed by group "
            "norm and rectifiers, and a linear layer: 34,058 parameters. The images are neither shifted nor "
            "mirrored."
        ),
        sealed=(6, 96),
    ),
    Experiment(
        name="cifar10-resnet",
        summary="CIFAR-10, torchvision's residual network with group norm; not recorded, for it costs 20 times as much",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="cifar10-resnet",
                    dataset="cifar10",
                    model="resnet-10",
                    target=Target(metric="error", value=0.5, hold=3),
                ),
                learning_rate=LearningRate(maximum=0.02),
                max_updates=10_000,
                grid=EvaluationGrid(ratio=1.05, stride=8, near=1.06),
            ),
            batch_sizes=(4, 6, 8, 12, 16, 24, 32, 64, 96, 128, 256),
            seeds=tuple(range(10)),
        ),
        n_examples=48_000,
        description=(
            "The data are those of CIFAR-10. The model is the residual network of torchvision with one basic block in "
            "each of its four stages and group norm instead of batch norm: 4,910,922 parameters."
        ),
        sealed=(6, 96),
    ),
    Experiment(
        name="cifar100-cnn",
        summary="CIFAR-100, the same network with 100 outputs; its images are downloaded when a run is missing",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="cifar100-cnn",
                    dataset="cifar100",
                    model="cnn-100",
                    target=Target(metric="error", value=0.8, hold=3),
                ),
                learning_rate=LearningRate(maximum=0.02),
                max_updates=30_000,
                grid=EvaluationGrid(ratio=1.05, stride=8, near=1.05, first=300),
            ),
            batch_sizes=(2, 3, 4, 6, 8, 12, 16, 32, 64, 96, 128, 256),
            seeds=tuple(range(10)),
        ),
        n_examples=48_000,
        description=(
            "The data are the photographs of CIFAR-100, like those of CIFAR-10 but of a hundred classes: a "
            "guess is wrong 99 times in a hundred. The model is that of CIFAR-10 with 100 outputs: 126,308 "
            "parameters."
        ),
        sealed=(6, 96),
    ),
    Experiment(
        name="europarl-gru",
        summary="Europarl, short sentences from French to English, recurrent with attention; downloaded when missing",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="europarl-gru",
                    dataset="europarl",
                    model="gru",
                    target=Target(metric="loss", value=4.25, hold=3),
                ),
                learning_rate=LearningRate(maximum=2),
                max_updates=6_000,
                grid=EvaluationGrid(ratio=1.05, stride=6, near=1.12),
            ),
            batch_sizes=(4, 5, 6, 8, 10, 12, 16, 32, 64, 128, 256, 512),
            seeds=tuple(range(6)),
        ),
        n_examples=75_644,
        description=(
            "The data are sentences of the European Parliament, release 7, French to English, of 3 to 12 words "
            "and at most 40 pieces a side: 75,644 pairs to train on and 500 from other sittings to validate on. "
            "A piece is one of 1,000 symbols of a byte-pair vocabulary of each language. The model reads the "
            "French pieces with one gated recurrent layer of 96 units and writes the English ones with another, "
            "which attends to the states of the first: 375,016 parameters. A batch is M pairs drawn at random "
            "like any other; only inside of a batch are pairs of like length put together, which saves padding "
            "and changes no gradient. The loss of a pair is its nats over the mean number of pieces of a pair, "
            "so that the mean loss is in nats a piece. Batch sizes below twice the pole are left out of the fit, as on "
            "MNIST; where the pole lies was seen only in these runs, and before them 4 alone was to be left out."
        ),
        sealed=(10, 128),
        left_out=(4, 5, 6, 8),
    ),
    Experiment(
        name="noisy-quadratic",
        summary="an isotropic quadratic with additive noise, whose updates are known in closed form",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="noisy-quadratic",
                    dataset="gaussian-noise",
                    model="position",
                    target=Target(metric="loss", value=0.05),
                ),
                learning_rate=LearningRate(maximum=0.05, half_batch_size=16),
                max_updates=20_000,
                grid=EvaluationGrid(ratio=1.02, stride=1),
            ),
            batch_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            seeds=tuple(range(10)),
        ),
        n_examples=4096,
        description=("The data are 4,096 noise vectors, and the model is a point that is pulled to the origin."),
        sealed=(8, 128),
    ),
    Experiment(
        name="anisotropic-quadratic",
        summary="a quadratic whose curvatures span a factor of 10, with additive noise; known in closed form",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="anisotropic-quadratic",
                    dataset="anisotropic-noise",
                    model="scaled-position",
                    target=Target(metric="loss", value=0.05),
                ),
                learning_rate=LearningRate(maximum=0.1, half_batch_size=16),
                max_updates=20_000,
                grid=EvaluationGrid(ratio=1.02, stride=1),
            ),
            batch_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            seeds=tuple(range(10)),
        ),
        n_examples=4096,
        description=(
            "The data are noise vectors, and the model is a point that is pulled to the origin, in some directions ten "
            "times harder."
        ),
        sealed=(8, 128),
    ),
    Experiment(
        name="least-squares",
        summary="linear regression on Gaussian features without noise at the optimum; known in closed form",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="least-squares",
                    dataset="gaussian-features",
                    model="weights",
                    target=Target(metric="loss", value=1e-5),
                ),
                learning_rate=LearningRate(maximum=1, half_batch_size=65),
                max_updates=20_000,
                grid=EvaluationGrid(ratio=1.02, stride=1),
            ),
            batch_sizes=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256),
            seeds=tuple(range(10)),
        ),
        n_examples=65_536,
        description=(
            "The data are Gaussian features with exact answers; the model is a vector of weights that starts elsewhere."
        ),
        sealed=(3, 12),
        left_out=(64, 128, 256),
    ),
    Experiment(
        name="mnist-logistic",
        summary="softmax regression with ridge on 10,000 pooled MNIST images, to a training loss; constants computable",
        sweep=SweepSpec(
            setting=Setting(
                workload=Workload(
                    name="mnist-logistic",
                    dataset="mnist-pooled",
                    model="softmax",
                    target=Target(metric="loss", value=1.22),
                ),
                # The step of the bound for the last iterate, 1/L = 15.3 and sigma^2 / (mu epsilon) = 18,286, both
                # rounded to the safe side.
                learning_rate=LearningRate(maximum=15, half_batch_size=18_500),
                max_updates=20_000,
                grid=EvaluationGrid(ratio=1.05, stride=1),
            ),
            batch_sizes=(64, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
            seeds=tuple(range(10)),
        ),
        n_examples=10_000,
        description=(
            "The data are 10,000 images of MNIST, averaged over blocks of pixels; the model is softmax regression with "
            "a ridge penalty, and its target is a training loss, so that all constants of the bound can be computed."
        ),
        sealed=(512, 4096),
    ),
)


def _variant(
    base: str,
    suffix: str,
    summary: str,
    *,
    batch_sizes: tuple[int, ...],
    left_out: tuple[int, ...] = (),
    seeds: int = 10,
    **changes: Any,
) -> Experiment:
    """Return a task's sweep with another setting and other batch sizes, none sealed, and its first seeds."""
    task = next(task for task in _TASKS if task.name == base)
    sweep = SweepSpec(
        setting=replace(task.sweep.setting, **changes), batch_sizes=batch_sizes, seeds=task.sweep.seeds[:seeds]
    )
    name, summary = f"{base}-{suffix}", f"as {base}, but {summary}"
    return replace(task, name=name, summary=summary, sweep=sweep, sealed=(), left_out=left_out, variant_of=base)


def _powers(first: int, last: int) -> tuple[int, ...]:
    """Return the powers of two from one to another."""
    return tuple(2**k for k in range(first.bit_length() - 1, last.bit_length()))


def _rates(
    base: str, rates: Mapping[float, tuple[int, int]], *, pole_per_rate: float = 0, seeds: int = 10
) -> Iterator[Experiment]:
    """Yield sweeps at other step sizes, over the powers of two between two batch sizes.

    Below twice the pole, which theory puts in proportion to the step size, batch sizes are run and left out of the fit.
    """
    for rate, ends in rates.items():
        sizes = _powers(*ends)
        yield _variant(
            base,
            f"rate-{rate:g}",
            f"with step size {rate:g}",
            batch_sizes=sizes,
            left_out=tuple(size for size in sizes if size < 2 * pole_per_rate * rate),
            learning_rate=LearningRate(maximum=rate),
            seeds=seeds,
        )


_VARIANTS = (
    *_rates(
        "mnist-lenet",
        {
            0.005: (1, 128),
            0.08: (2, 256),
            0.32: (4, 512),
        },
        pole_per_rate=50,
    ),
    _variant(
        "mnist-lenet",
        "momentum",
        "with momentum 0.9 and a tenth of the step size",
        batch_sizes=_powers(2, 256),
        learning_rate=LearningRate(maximum=0.002),
        optimizer=Optimizer(momentum=0.9),
    ),
    _variant(
        "mnist-lenet",
        "adam",
        "with Adam, step size 0.001",
        batch_sizes=_powers(1, 256),
        learning_rate=LearningRate(maximum=0.001),
        optimizer=Optimizer(name="adam"),
    ),
    _variant(
        "mnist-lenet",
        "epochs",
        "drawn without replacement, epoch by epoch",
        batch_sizes=_powers(4, 512),
        seeds=6,
        sampling="epochs",
    ),
    _variant(
        "europarl-gru",
        "harmonic",
        "with step size 2 / (1 + 8 / M), smaller where the batch is",
        batch_sizes=_powers(2, 64),
        learning_rate=LearningRate(maximum=2, half_batch_size=8),
    ),
    *_rates(
        "mnist-logistic",
        {
            0.25: (1, 64),
            0.5: (1, 256),
            1: (1, 1024),
            2: (1, 4096),
            4: (1, 4096),
            8: (1, 16384),
            16: (2, 16384),
        },
        pole_per_rate=2,
    ),
    *_rates("cifar10-cnn", {0.005: (2, 64), 0.02: (2, 128)}, seeds=6),
)

EXPERIMENTS = {experiment.name: experiment for experiment in (*_TASKS, *_VARIANTS)}
