"""The book's named sweeps: which runs, which batch sizes are sealed, and how a reader may change them."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from batchtime.curves import CURVES, SEEDS, Cells, Curve
from batchtime.records import (
    EvaluationGrid,
    LearningRate,
    Observation,
    Optimizer,
    ParameterError,
    RunRecord,
    Setting,
    SweepSpec,
    Target,
    UpdateTiming,
    Workload,
    check,
)

_Kind = TypeVar("_Kind")
MOST_SEEDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A sweep with its plan of analysis, fixed before its runs were seen.

    Args:
        name: Names the sweep on the command line and its files in the data folder.
        summary: One line for a reader.
        description: What the data and the model are, for the task's page.
        sweep: The runs.
        sealed: Batch sizes kept out of the fit and predicted by it.
        left_out: Batch sizes at which the law is not expected to hold, for instance so small that a constant step size
            is too long for them; run and shown, not fitted.
        n_examples: Training examples.
        variant_of: The experiment that this one differs from in one setting, if it is such.
        sealed_until_predicted: Whether the sealed runs are started only when their predictions are committed.
        unfinished: Whether its runs are still being recorded, so that what is published may lack some.
    """

    name: str
    summary: str
    sweep: SweepSpec
    n_examples: int
    sealed: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    variant_of: str | None = None
    description: str = ""
    sealed_until_predicted: bool = False
    unfinished: bool = False

    @property
    def workload(self) -> Workload:
        """What is trained."""
        return self.sweep.setting.workload

    @property
    def fitted(self) -> tuple[int, ...]:
        """Batch sizes that the law is fitted to."""
        return tuple(m for m in self.sweep.batch_sizes if m not in self.sealed + self.left_out)

    @property
    def rate_text(self) -> str:
        """The step size as a reader says it."""
        rate = self.sweep.setting.learning_rate
        if rate.half_batch_size == 0:
            return f"{rate.maximum:g}, the same at every batch size"
        return f"{rate.maximum:g} / (1 + {rate.half_batch_size:g} / M)"

    def check_fittable(self) -> None:
        """Refuse, before anything is trained, a grid to which no law can be fitted.

        Raises:
            ParameterError: If fewer than two batch sizes are fitted.
        """
        allowed = "at least two batch sizes, for a law of two parameters"
        check(len(self.fitted) >= 2, name="batch_sizes", value=list(self.fitted), allowed=allowed)

    def part(self, *, sealed: bool) -> "Experiment":
        """Return the experiment with the runs that are trained now.

        Args:
            sealed: False for all runs, without those that are sealed until they are predicted; True for these alone.

        Raises:
            ParameterError: If there are none.
        """
        if not (sealed or self.sealed_until_predicted):
            return self
        held_back = self.sealed if self.sealed_until_predicted else ()
        sizes = tuple(size for size in self.sweep.batch_sizes if (size in held_back) == sealed)
        allowed = (
            "a sweep with cells that are sealed until they are predicted"
            if sealed
            else "a sweep with cells that are not sealed; when their predictions are committed, say --sealed"
        )
        check(len(sizes) > 0, name="workload", value=self.name, allowed=allowed)
        return replace(self, sweep=replace(self.sweep, batch_sizes=sizes))

    def fit_observations(self, records: Sequence[RunRecord]) -> list[Observation]:
        """Return what is fitted: the runs at the batch sizes that are neither sealed nor below the pole."""
        return self.select(records, self.fitted)

    def relevant(self, timings: Sequence[UpdateTiming]) -> list[UpdateTiming]:
        """Return the timings from the least batch size of the sweep on: below it nothing is predicted.

        A single example may take quite another path through torch than two do.
        """
        return [timing for timing in timings if timing.batch_size >= min(self.sweep.batch_sizes)]

    @staticmethod
    def select(records: Sequence[RunRecord], batch_sizes: Sequence[int]) -> list[Observation]:
        """Return what the fit needs of the runs at some batch sizes."""
        return [record.observation() for record in records if record.batch_size in batch_sizes]

    def changed(
        self,
        *,
        learning_rate: float | str | None = None,
        target: float | str | None = None,
        batch_sizes: Sequence[int] | str | None = None,
        seeds: Sequence[int] | int | str | None = None,
    ) -> "Experiment":
        """Return this experiment with other parameters; None keeps what it has.

        Values may be text, as they come from a command line: "[8, 16]" or "0.1".

        Args:
            learning_rate: Step size, more than 0.
            target: Threshold in the unit of this workload's metric.
            batch_sizes: Distinct whole numbers; all of them are fitted then, none is sealed.
            seeds: How many seeds, counted from 0; or the list of them.

        Raises:
            ParameterError: If a value is not allowed; it names the parameter, the value and what is.
        """
        setting = self.sweep.setting
        sweep, sealed, left_out = self.sweep, self.sealed, self.left_out
        if learning_rate is not None:
            rate = _convert(learning_rate, float, name="learning_rate", allowed="a finite number more than 0")
            setting = replace(setting, learning_rate=replace(setting.learning_rate, maximum=rate))
        if target is not None:
            unit = {"error": "a fraction of examples, more than 0 and less than 1", "loss": "nats, more than 0"}
            allowed = f"this workload's target is a validation {setting.workload.target.metric}: "
            allowed += unit.get(setting.workload.target.metric, "more than 0")
            value = _convert(target, float, name="target", allowed=allowed)
            goal = replace(setting.workload.target, value=value)
            setting = replace(setting, workload=replace(setting.workload, target=goal))
        if batch_sizes is not None:
            allowed = "a list of distinct whole numbers, each at least 1, for instance [8, 32, 128]"
            sizes = _convert(batch_sizes, tuple[int, ...], name="batch_sizes", allowed=allowed)
            sweep = replace(sweep, batch_sizes=sizes, costly=())
            sealed, left_out = (), ()
        if seeds is not None:
            allowed = f"how many seeds (a whole number from 1 to {MOST_SEEDS:,}), or a list of distinct seeds"
            if isinstance(seeds, str) and not seeds.lstrip().startswith("["):
                seeds = _convert(seeds, int, name="seeds", allowed=allowed)
            if isinstance(seeds, int):
                check(1 <= seeds <= MOST_SEEDS, name="seeds", value=seeds, allowed=allowed)
                seeds = range(seeds)
            sweep = replace(sweep, seeds=_convert(seeds, tuple[int, ...], name="seeds", allowed=allowed))
        return replace(self, sweep=replace(sweep, setting=setting), sealed=sealed, left_out=left_out)


def _convert(value: object, kind: type[_Kind], *, name: str, allowed: str) -> _Kind:
    try:
        read = msgspec.json.decode(value) if isinstance(value, str) else value
        return msgspec.convert(list(read) if isinstance(read, range) else read, kind)
    except msgspec.MsgspecError as error:
        raise ParameterError(f"{name} = {value!r} is not allowed; allowed: {allowed}") from error


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


def _curve(curve: Curve) -> Iterator[Experiment]:
    """Yield the sweep of a curve's middle step size, then those of the other step sizes, then its arms."""
    name, middle = curve.setting.workload.name, curve.setting.learning_rate.maximum

    def cells(chosen: Cells, *, title: str, summary: str, **changes: Any) -> Experiment:
        return Experiment(
            name=title,
            summary=summary,
            sweep=SweepSpec(
                setting=replace(curve.setting, **changes),
                batch_sizes=chosen.batch_sizes,
                seeds=tuple(range(SEEDS)),
                costly=chosen.costly,
            ),
            n_examples=curve.n_examples,
            sealed=chosen.sealed,
            variant_of=None if title == name else name,
            description=curve.description,
            sealed_until_predicted=True,
            unfinished=True,
        )

    yield cells(curve.rates[middle], title=name, summary=curve.summary)
    for rate, chosen in curve.rates.items():
        if rate != middle:
            summary = f"as {name}, but with step size {rate:g}"
            yield cells(
                chosen, title=f"{name}-rate-{rate:g}", summary=summary, learning_rate=LearningRate(maximum=rate)
            )
    for arm in curve.arms:
        yield cells(
            arm.cells,
            title=f"{name}-{arm.suffix}",
            summary=f"as {name}, but {arm.summary}",
            learning_rate=arm.learning_rate,
            optimizer=arm.optimizer,
        )


_CURVES = tuple(one for curve in CURVES for one in _curve(curve))

EXPERIMENTS = {experiment.name: experiment for experiment in (*_TASKS, *_VARIANTS, *_CURVES)}
