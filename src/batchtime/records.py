"""Frozen values of the method, and the formulas that they mean.

Everything that the other modules hand to each other is defined here: what a run is (`RunSpec`), what came of it
(`RunRecord`), the law that describes many of them (`InverseLaw`) and the time that follows (`TrainingTime`).
Symbols: M batch size in examples, N updates to the target, t seconds per update, T seconds to the target.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Scalars = TypeVar("Scalars", float, Array)
Metric = str
"""Name of a mean over validation examples that falls as the model gets better, such as "error" or "loss"."""

PROTOCOL_VERSION = 1
"""Part of every `RunSpec`: raise it with any code change that changes what a run records."""


class BatchtimeError(Exception):
    """A problem told in one line: what is wrong, the value, and the remedy."""


class ParameterError(BatchtimeError):
    """A value outside of what is allowed; the message names the parameter, the value and the allowed range."""


class FitError(BatchtimeError):
    """Runs or timings that do not determine a law; the message names what, the value and the remedy."""


LARGEST_BATCH = 10**6
"""Examples in a batch: more is a slip of the keyboard, and more than memory holds."""
LARGEST_SEED = 2**63 - 1
"""The largest number that torch's generators take."""


def check(condition: bool, *, name: str, value: object, allowed: str) -> None:
    """Refuse a value in one line.

    Raises:
        ParameterError: If `condition` is false.
    """
    if not condition:
        raise ParameterError(f"{name} = {value!r} is not allowed; allowed: {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The event that ends a run: `metric` at or below `value` at `hold` successive evaluations.

    Args:
        metric: "error" (fraction of validation examples, 0 to 1), "loss" (nats, mean over validation examples), or
            another name that a workload of one's own gives; less is better.
        value: Threshold, in the metric's unit.
        hold: Number of successive evaluations that must be at or below the threshold.
    """

    metric: Metric
    value: float
    hold: int = 1

    def __post_init__(self) -> None:
        """Refuse thresholds in a wrong unit."""
        check(
            self.metric.isidentifier(), name="metric", value=self.metric, allowed="error, loss, or a name of one's own"
        )
        if self.metric == "error":
            allowed = "an error is a fraction of examples, more than 0 and less than 1"
            check(0 < self.value < 1, name="target", value=self.value, allowed=allowed)
        allowed = "a loss is in nats, finite and more than 0" if self.metric == "loss" else "finite and more than 0"
        check(0 < self.value < math.inf, name="target", value=self.value, allowed=allowed)
        check(self.hold >= 1, name="hold", value=self.hold, allowed="a whole number of evaluations, at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What identifies a workload of one's own, so that runs of changed code or data are not taken for its runs.

    Args:
        function: Where it is imported from, "module:function".
        version: What its author calls it, or "sha256:" and the checksum of the module's source.
        examples_sha256: Checksum of all examples.
    """

    function: str
    version: str
    examples_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is trained: a data set and a model, by the names that `workloads` knows, to a target.

    `source` is where a workload of one's own comes from; None for those of the package.
    """

    name: str
    dataset: str
    model: str
    target: Target
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """Step size as a function of the batch size, constant over a run.

    eta(M) = maximum / (1 + half_batch_size / M): the same for every batch size where `half_batch_size` is 0, and
    the harmonic rate of the theory chapter otherwise (it halves at M = `half_batch_size`).
    """

    maximum: float
    half_batch_size: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that cannot train."""
        allowed = "a finite number more than 0"
        check(0 < self.maximum < math.inf, name="learning_rate", value=self.maximum, allowed=allowed)
        allowed = "a finite number of examples, at least 0"
        check(0 <= self.half_batch_size < math.inf, name="half_batch_size", value=self.half_batch_size, allowed=allowed)

    def at(self, batch_size: float) -> float:
        """Return the step size used at this batch size."""
        return self.maximum / (1 + self.half_batch_size / batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How a gradient becomes a step.

    Args:
        name: "sgd", or "adam" (Kingma and Ba 2015, with their decay rates 0.9 and 0.999).
        momentum: Fraction of the last step that the next one keeps, "sgd" only (heavy ball); 0 for plain SGD.
    """

    name: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Refuse optimizers that do not exist."""
        check(self.name in ("sgd", "adam"), name="optimizer", value=self.name, allowed="sgd, adam")
        allowed = "at least 0 and less than 1; 0 for adam, which has its own"
        valid = 0 <= self.momentum < 1 and (self.name == "sgd" or self.momentum == 0)
        check(valid, name="momentum", value=self.momentum, allowed=allowed)


Device = Literal["cpu", "cuda"]
"""What a run is trained on, as torch names it."""

Sampling = Literal["with replacement", "epochs"]
"""How batches are drawn: each example anew from all, or from one random order of all after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationGrid:
    """When a run is evaluated: a geometric grid in updates, the same for every batch size.

    Far from the target only every `stride`-th point is evaluated; from the first evaluation within `near` times the
    target on, every point is. The rule looks at nothing but the evaluations so far, so the interval that a run
    reports stays honest: it is wider where the metric fell from far to below the target between two coarse points.

    Args:
        ratio: Quotient of successive points, more than 1.
        stride: Points from one coarse evaluation to the next.
        near: Factor of the target value below which every point is evaluated.
        first: Updates before which nothing is evaluated, for no run gets there so soon.
    """

    ratio: float = 1.05
    stride: int = 4
    near: float = 2.0
    first: int = 1

    def __post_init__(self) -> None:
        """Refuse grids that stand still."""
        check(1 < self.ratio <= 2, name="ratio", value=self.ratio, allowed="more than 1 and at most 2")
        check(self.stride >= 1, name="stride", value=self.stride, allowed="a whole number, at least 1")
        check(self.near >= 1, name="near", value=self.near, allowed="at least 1")
        check(self.first >= 1, name="first", value=self.first, allowed="a whole number of updates, at least 1")

    def points(self, max_updates: int) -> list[int]:
        """Return the grid from `first` to `max_updates` updates, the last included, strictly increasing."""
        count = math.ceil(math.log(max_updates) / math.log(self.ratio)) if max_updates > 1 else 0
        points = {min(max_updates, round(self.ratio**k)) for k in range(count + 1)} | {max_updates}
        return sorted(point for point in points if point >= min(self.first, max_updates))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything that the runs of one sweep share."""

    workload: Workload
    learning_rate: LearningRate
    max_updates: int
    grid: EvaluationGrid = EvaluationGrid()
    protocol_version: int = PROTOCOL_VERSION
    optimizer: Optimizer = Optimizer()
    sampling: Sampling = "with replacement"
    max_examples: int | None = None

    def __post_init__(self) -> None:
        """Refuse an empty budget, and a way of sampling that does not exist."""
        check(self.max_updates >= 1, name="max_updates", value=self.max_updates, allowed="a whole number, at least 1")
        most = self.max_examples
        check(most is None or most >= 1, name="max_examples", value=most, allowed="a whole number, at least 1")
        check(
            self.sampling in get_args(Sampling), name="sampling", value=self.sampling, allowed=str(get_args(Sampling))
        )

    def budget(self, batch_size: int) -> int:
        """Return the most updates of a run: `max_updates`, or fewer where `max_examples` are spent before."""
        if self.max_examples is None:
            return self.max_updates
        return max(1, min(self.max_updates, self.max_examples // batch_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run, completely: two equal specs give the same record on one class of machine."""

    setting: Setting
    batch_size: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """A grid of runs: every batch size with every seed, so that batch sizes are paired by seed.

    At the batch sizes in `costly` it is the first three seeds alone.
    """

    setting: Setting
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    costly: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse grids with nothing in them, or with the same run twice."""
        allowed = f"a list of distinct whole numbers from 1 to {LARGEST_BATCH:,}"
        sizes = self.batch_sizes
        valid = len(sizes) > 0 and len(set(sizes)) == len(sizes) and 1 <= min(sizes) <= max(sizes) <= LARGEST_BATCH
        check(valid, name="batch_sizes", value=list(sizes), allowed=allowed)
        allowed = f"a list of distinct whole numbers from 0 to {LARGEST_SEED:,}"
        seeds = self.seeds
        valid = len(seeds) > 0 and len(set(seeds)) == len(seeds) and 0 <= min(seeds) <= max(seeds) <= LARGEST_SEED
        check(valid, name="seeds", value=list(seeds), allowed=allowed)

    def runs(self) -> list[RunSpec]:
        """Return every run of the grid, by batch size and then by seed."""
        return [
            RunSpec(setting=self.setting, batch_size=m, seed=s)
            for m in self.batch_sizes
            for s in (self.seeds[:3] if m in self.costly else self.seeds)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """Every evaluation of a run, in columns.

    Args:
        updates: Updates done at each evaluation, strictly increasing.
        metrics: For each metric its value at each evaluation; None where it was not finite.
    """

    updates: tuple[int, ...]
    metrics: Mapping[str, tuple[float | None, ...]]

    def smoothed(self, window: int) -> "Evaluations":
        """Return these with each metric averaged over the last `window` evaluations; None until there are as many.

        Raises:
            ParameterError: If the window is less than 1.
        """
        check(window >= 1, name="window", value=window, allowed="a whole number of evaluations, at least 1")
        return Evaluations(
            updates=self.updates,
            metrics={name: tuple(_running_mean(values, window)) for name, values in self.metrics.items()},
        )

    def outcome(self, target: Target) -> "Outcome":
        """Return the updates at which `target` was reached, as the interval between two evaluations.

        Reached means: at or below the target at this and the following `hold - 1` evaluations.
        """
        values = self.metrics[target.metric]
        held = 0
        for position, value in enumerate(values):
            held = held + 1 if value is not None and value <= target.value else 0
            if held == target.hold:
                first = position - target.hold + 1
                lower = self.updates[first - 1] if first > 0 else 0
                return Outcome(status="reached", lower=lower, upper=self.updates[first])
        # `held` evaluations at the end are at or below: what is known is only that the ones before them were not.
        above = len(values) - held
        last = self.updates[above - 1] if above > 0 else 0
        diverged = bool(values) and values[-1] is None
        return Outcome(status="diverged" if diverged else "censored", lower=last, upper=None)


def _running_mean(values: Sequence[float | None], window: int) -> Iterator[float | None]:
    for end in range(1, len(values) + 1):
        last = values[max(0, end - window) : end]
        finite = [value for value in last if value is not None]
        yield sum(finite) / window if len(finite) == window else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is known of the updates N of one run: lower < N <= upper; no upper bound where it never got there.

    "censored": the run ended first, for its budget was spent. "diverged": the loss stopped being finite.
    """

    status: Literal["reached", "censored", "diverged"]
    lower: int
    upper: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run cost: wall and thread-CPU seconds, the CPU seconds of it spent evaluating, examples trained on."""

    wall_seconds: float
    cpu_seconds: float
    evaluation_cpu_seconds: float
    examples: int

    def __add__(self, other: "Cost") -> "Cost":
        """Return what both cost together."""
        return Cost(
            wall_seconds=self.wall_seconds + other.wall_seconds,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            evaluation_cpu_seconds=self.evaluation_cpu_seconds + other.evaluation_cpu_seconds,
            examples=self.examples + other.examples,
        )

    @property
    def evaluation_share(self) -> float:
        """Fraction of the CPU time that was spent evaluating."""
        return self.evaluation_cpu_seconds / self.cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a record comes from: code, versions, machine, date (UTC, ISO 8601), SHA-256 of the examples if known."""

    commit: str | None
    dirty: bool | None
    versions: Mapping[str, str]
    cpu: str
    threads: int
    device: str
    date: str
    examples_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run: its spec (setting, batch size, seed), what came of it, what it cost, where it comes from.

    `reports` are numbers taken once, of the model that reached the target (a translation's BLEU score).
    """

    setting: Setting
    batch_size: int
    seed: int
    outcome: Outcome
    evaluations: Evaluations
    cost: Cost
    provenance: Provenance
    reports: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> RunSpec:
        """The run that was asked for: equal specs are the same run."""
        return RunSpec(setting=self.setting, batch_size=self.batch_size, seed=self.seed)

    def at(self, target: Target) -> "RunRecord":
        """Return the same run read at another target, from its kept evaluations.

        At a harder target than its own a run is censored where it ended. At a much easier one its interval is wide:
        far from its own target a run is evaluated rarely.
        """
        setting = replace(self.setting, workload=replace(self.setting.workload, target=target))
        return replace(self, setting=setting, outcome=self.evaluations.outcome(target))

    def observation(self) -> "Observation":
        """Return what the fit needs of this run."""
        return Observation(
            batch_size=self.batch_size, lower=self.outcome.lower, upper=self.outcome.upper, seed=self.seed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Updates to the target seen at one batch size.

    lower < N <= upper; exact where lower == upper; not reached within `lower` updates where `upper` is None.
    """

    batch_size: float
    lower: float
    upper: float | None
    seed: int | None = None

    @property
    def censored(self) -> bool:
        """Whether the target was not reached."""
        return self.upper is None


LARGEST_STUDENT = 999
"""Of a class: seeds from 1,000 on are those of runs by the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentResult:
    """What one student of a class measured.

    Args:
        student: Number, which is the seed of the student's runs.
        observations: One run at each of some batch sizes.
        seconds: By batch size the median seconds of an update on the student's machine.
    """

    student: int
    observations: tuple[Observation, ...]
    seconds: Mapping[int, float]

    def __post_init__(self) -> None:
        """Refuse numbers that are no student's."""
        allowed = f"a whole number from 1 to {LARGEST_STUDENT}"
        check(1 <= self.student <= LARGEST_STUDENT, name="student", value=self.student, allowed=allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseLaw:
    """Mean updates to the target N(M) = n_inf + alpha / M.

    Args:
        n_inf: Updates that remain however large the batch; 0 if the law is alpha / M alone.
        alpha: Examples needed in the limit of small batches.
    """

    n_inf: float
    alpha: float

    def updates(self, batch_size: Scalars) -> Scalars:
        """Return the mean updates N at a batch size (a number, or an array of any shape)."""
        return self.n_inf + self.alpha / batch_size

    def examples(self, batch_size: Scalars) -> Scalars:
        """Return the examples trained on, E = N M = alpha + n_inf M: a straight line in M."""
        return self.alpha + self.n_inf * batch_size

    @property
    def sharpness(self) -> float:
        """Of the bend between the two arms, as `KneeLaw` has it: 1."""
        return 1.0

    @property
    def critical_batch_size(self) -> float:
        """Batch size alpha / n_inf at which both terms are equal."""
        return self.alpha / self.n_inf if self.n_inf > 0 else math.inf


Interval = tuple[float | None, float | None]
"""A 95 % interval; None where the data leave that side open."""


def holds(interval: Interval, value: float | None) -> bool:
    """Return whether a value is known and lies in an interval, its ends included."""
    low, high = interval
    return value is not None and (low is None or low <= value) and (high is None or value <= high)


@dataclass(frozen=True, slots=True, kw_only=True)
class LawIntervals:
    """Profile-likelihood intervals, 95 %, widened where seeds go together or batch sizes stand off the law."""

    n_inf: Interval
    alpha: Interval
    critical_batch_size: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """An inverse law fitted to runs, with what is known of its uncertainty and quality.

    Args:
        law: Point estimate.
        spread: Standard deviation of log N between runs at one batch size.
        intervals: 95 % profile-likelihood intervals; both sides None where the scatter of the runs is not known.
        r2_examples: R^2 of the mean examples E against M over batch sizes that all reached; None below 3 of them.
        leave_one_out_error: Root mean square, over batch sizes, of the relative error in the mean updates predicted
            by a fit without that batch size; None where too few batch sizes are left.
        n_runs: Runs used, censored ones included.
        n_censored: Runs that did not reach the target.
        batch_sizes: Batch sizes used, increasing.
        lack_of_fit: p-value of the test that the batch sizes stand off the law by no more than their runs scatter; None
            where it cannot be tested.
        warnings: What a reader should know before trusting the numbers, one sentence each.
    """

    law: InverseLaw
    spread: float
    intervals: LawIntervals
    r2_examples: float | None
    leave_one_out_error: float | None
    n_runs: int
    n_censored: int
    batch_sizes: tuple[float, ...]
    lack_of_fit: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTiming:
    """Durations of single updates at one batch size, every repeat kept: wall and thread-CPU seconds, paired."""

    batch_size: int
    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median wall seconds per update."""
        return float(np.median(self.wall_seconds))

    @property
    def wall_over_cpu(self) -> float:
        """Median of wall / CPU: 1 on a quiet machine."""
        return float(np.median(np.divide(self.wall_seconds, self.cpu_seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRecord:
    """The update timings of one workload on one machine, measured in one session."""

    workload: str
    timings: tuple[UpdateTiming, ...]
    provenance: Provenance

    @property
    def wall_over_cpu(self) -> float:
        """Wall / CPU time at the batch size where it is largest: 1 on a quiet machine."""
        return max(timing.wall_over_cpu for timing in self.timings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRun:
    """One run to its target with the clock running, which evaluations stop.

    Args:
        setting: What the run shares with its sweep.
        batch_size: In examples.
        seed: Of the run.
        outcome: Updates between which the target was reached.
        lower_seconds: Wall seconds of the first `outcome.lower` updates.
        upper_seconds: Wall seconds of the first `outcome.upper` updates; None where the target was not reached.
        wall_over_cpu: Wall over CPU seconds of all updates: 1 on a quiet machine.
        provenance: Where this comes from.
    """

    setting: Setting
    batch_size: int
    seed: int
    outcome: Outcome
    lower_seconds: float
    upper_seconds: float | None
    wall_over_cpu: float
    provenance: Provenance

    @property
    def spec(self) -> RunSpec:
        """The run that was timed."""
        return RunSpec(setting=self.setting, batch_size=self.batch_size, seed=self.seed)


CommunicationMode = Literal["compute", "in turn", "overlapped"]
"""How learners exchange gradients: not at all, after the backward pass, or bucket by bucket during it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceTiming:
    """Seconds of single all-reduces of so many bytes, the slowest learner's, every repeat kept."""

    payload_bytes: int
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """Median over repeats."""
        return float(np.median(self.seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnersRecord:
    """What updates and all-reduces of some learners took on one machine, measured in one session.

    Args:
        workload: What was trained.
        learners: Processes, one thread each.
        gradient_bytes: What one update exchanges.
        timings: By way of communication, updates at some total batch sizes; of the learners' durations the longest.
        all_reduce: All-reduces of several payloads; none for one learner.
        provenance: Where this comes from.
    """

    workload: str
    learners: int
    gradient_bytes: int
    timings: Mapping[CommunicationMode, tuple[UpdateTiming, ...]]
    all_reduce: tuple[AllReduceTiming, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRecord:
    """Gradient noise along one run, in columns: one entry for each point at which it was measured.

    With G the gradient of the mean training loss and S the covariance of one example's gradient, the simple noise
    scale is tr S / |G|^2 (McCandlish et al. 2018). Both are estimated without bias from `examples` examples.

    Args:
        setting: Of the run.
        batch_size: Of the run.
        seed: Of the run.
        examples: Examples whose gradients were taken at each point.
        updates: Updates done.
        noise_variance: tr S.
        gradient_square: |G|^2; may be negative where the noise hides it.
        groups: For each point tr S and |G|^2 without one of several groups of examples, for the jackknife.
        metric: The target's metric on the validation examples.
        provenance: Where this comes from.
    """

    setting: Setting
    batch_size: int
    seed: int
    examples: int
    updates: tuple[int, ...]
    noise_variance: tuple[float, ...]
    gradient_square: tuple[float, ...]
    groups: tuple[tuple[tuple[float, float], ...], ...]
    metric: tuple[float | None, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantsRecord:
    """Constants of a workload that were computed once, by name, and where they come from."""

    name: str
    values: Mapping[str, float]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class KneeLaw:
    """Mean updates N(M) = (n_inf^q + (alpha / M)^q)^(1/q): the two arms of the inverse law, joined more sharply.

    Args:
        n_inf: Updates of the flat arm.
        alpha: Examples of the steep arm.
        sharpness: q, more than 0; 1 is the inverse law, infinite the larger of the two arms.
    """

    n_inf: float
    alpha: float
    sharpness: float

    def updates(self, batch_size: Scalars) -> Scalars:
        """Return the mean updates N at a batch size (a number, or an array of any shape)."""
        return _joined(self.n_inf, self.alpha / batch_size, self.sharpness)

    @property
    def critical_batch_size(self) -> float:
        """Batch size alpha / n_inf at which the two arms meet."""
        return self.alpha / self.n_inf if self.n_inf > 0 else math.inf


def _joined(one: Scalars | float, other: Scalars, sharpness: float) -> Scalars:
    """Return (one^s + other^s)^(1/s) for numbers of at least 0: their sum for s = 1, the larger for an infinite s."""
    high, low = np.maximum(one, other), np.minimum(one, other)
    joined = high
    if math.isfinite(sharpness):
        ratio = np.divide(low, high, out=np.zeros_like(high, dtype=np.float64), where=high > 0)
        joined = high * (1 + ratio**sharpness) ** (1 / sharpness)
    return joined if isinstance(other, np.ndarray) else float(joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTime:
    """Seconds per update t(M) = (fixed_seconds^p + (seconds_per_example M)^p)^(1/p).

    Args:
        fixed_seconds: What an update costs however small the batch.
        seconds_per_example: What each further example costs in a large batch.
        sharpness: p, more than 0; 1 is the straight line, infinite the larger of the two costs.
    """

    fixed_seconds: float
    seconds_per_example: float
    sharpness: float = 1.0

    def seconds(self, batch_size: Scalars) -> Scalars:
        """Return the seconds of one update at a batch size (a number, or an array of any shape)."""
        if self.sharpness == 1:
            return self.fixed_seconds + self.seconds_per_example * batch_size
        return _joined(self.fixed_seconds, self.seconds_per_example * batch_size, self.sharpness)

    @property
    def break_even_batch_size(self) -> float:
        """Batch size at which both costs are equal: the machine's own; infinite if examples are free."""
        return self.fixed_seconds / self.seconds_per_example if self.seconds_per_example > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTime:
    """Mean seconds to the target T(M) = N(M) t(M).

    With knees of sharpness q (of the law) and p (of the time per update), the slope of log T in log M is
    -u / (1 + u) + v / (1 + v) with u = (a / M)^q, v = (M / h)^p, a = alpha / n_inf, h = fixed / per example. It is 0
    where u = v, at M_opt = a^(q / (p + q)) h^(p / (p + q)), and there T = n_inf fixed (1 + u)^(1/p + 1/q).
    For p = q = 1 that is the geometric mean of a and h.
    """

    law: InverseLaw | KneeLaw
    update_time: UpdateTime

    def seconds(self, batch_size: Scalars) -> Scalars:
        """Return the mean seconds to the target at a batch size (a number, or an array of any shape)."""
        return self.law.updates(batch_size) * self.update_time.seconds(batch_size)

    @property
    def weight(self) -> float:
        """How much the algorithm's batch size counts in the optimum, q / (p + q); the machine's counts 1 less it."""
        p, q = self.update_time.sharpness, self.law.sharpness
        if math.isinf(p) or math.isinf(q):
            return 0.5 if p == q else float(q > p)
        return q / (p + q)

    @property
    def optimal_batch_size(self) -> float:
        """Batch size of the least training time: weighted geometric mean of the algorithm's and the machine's.

        0 where alpha or the fixed time is 0, for T then only grows with M, and infinite where n_inf or the time per
        example is 0, for T then only falls; where both are so, T does not depend on M, and 1 is returned.
        """
        falls = self.law.alpha * self.update_time.fixed_seconds
        grows = self.law.n_inf * self.update_time.seconds_per_example
        if falls == 0 and grows == 0:
            return 1.0
        if grows == 0:
            return math.inf
        if falls == 0:
            return 0.0
        if self.weight == 0.5:
            return math.sqrt(falls / grows)
        algorithm, machine = self.law.critical_batch_size, self.update_time.break_even_batch_size
        return math.exp(self.weight * math.log(algorithm) + (1 - self.weight) * math.log(machine))

    @property
    def least_seconds(self) -> float:
        """Training time at the optimal batch size; what T tends to where that is 0 or infinite."""
        waiting, working = self._flat_parts()
        p, q = self.update_time.sharpness, self.law.sharpness
        if p == q == 1:
            return (math.sqrt(waiting) + math.sqrt(working)) ** 2
        best = self.optimal_batch_size
        return self.seconds(best) if 0 < best < math.inf else _joined(waiting, working, min(p, q))

    @property
    def noise_share(self) -> float:
        """Fraction by which the least time falls where alpha, or the time per example, falls by one: u / (1 + u).

        The rest, 1 / (1 + u), is the same for n_inf and for the fixed time. For p = q = 1 the share is
        sqrt(alpha gamma) / (sqrt(n_inf delta) + sqrt(alpha gamma)).
        """
        waiting, working = self._flat_parts()
        p, q = self.update_time.sharpness, self.law.sharpness
        exponent = q * (1 - self.weight) if math.isfinite(q) else p * self.weight
        if waiting == 0:
            return 1.0
        u = (working / waiting) ** exponent
        return u / (1 + u) if math.isfinite(u) else 1.0

    def _flat_parts(self) -> tuple[float, float]:
        """Return n_inf fixed and alpha per_example: the seconds that no batch size takes away."""
        return (
            self.law.n_inf * self.update_time.fixed_seconds,
            self.law.alpha * self.update_time.seconds_per_example,
        )

    def within(self, excess: float) -> tuple[float, float]:
        """Return the batch sizes between which T(M) is at most (1 + excess) times the least.

        For p = q = 1, T(M) - T_min = grows M + falls / M - 2 sqrt(grows falls), with grows = n_inf gamma and
        falls = alpha delta: a quadratic in M. Else log T falls and then grows with M, and each end is bisected.
        Where grows is 0 no batch size is too large (infinite), where falls is 0 none is too small (0).
        """
        falls = self.law.alpha * self.update_time.fixed_seconds
        grows = self.law.n_inf * self.update_time.seconds_per_example
        if self.update_time.sharpness == self.law.sharpness == 1:
            # grows M^2 - 2 half M + falls = 0, without a difference of nearly equal numbers
            half = math.sqrt(grows * falls) + excess * self.least_seconds / 2
            larger = half + math.sqrt(max(half * half - grows * falls, 0.0))
            low = 0.0 if falls == 0 else falls / larger if larger > 0 else math.inf
            return low, larger / grows if grows > 0 else math.inf
        return self._end(excess, -1.0) if falls > 0 else 0.0, self._end(excess, 1.0) if grows > 0 else math.inf

    def _end(self, excess: float, direction: float) -> float:
        """Return where T(M) has grown by a fraction on one side of the optimum, bisected in log M."""
        best = self.optimal_batch_size
        most = (1 + excess) * self.least_seconds
        near, far = 0.0, 1.0
        while far < _LONGEST and self.seconds(best * math.exp(direction * far)) <= most:
            far *= 2
        for _ in range(100):
            middle = (near + far) / 2
            inside = self.seconds(best * math.exp(direction * middle)) <= most
            near, far = (middle, far) if inside else (near, middle)
        return best * math.exp(direction * near)


_LONGEST = 500.0
"""Of log M from the optimum: beyond it a training time that has not grown does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceTime:
    """Seconds to average gradients over a network: a latency for each message, and seconds for each byte.

    "ring" (bandwidth-optimal): c(L) = 2 (L - 1) latency + 2 (L - 1) / L bytes seconds_per_byte.
    "tree": c(L) = 2 log2(L) (latency + bytes seconds_per_byte).

    Args:
        latency_seconds: Of one message.
        seconds_per_byte: One over the bandwidth.
        shape: How the learners are joined.
    """

    latency_seconds: float
    seconds_per_byte: float
    shape: Literal["ring", "tree"] = "ring"

    def __post_init__(self) -> None:
        """Refuse networks that do not exist."""
        check(self.shape in ("ring", "tree"), name="shape", value=self.shape, allowed="ring, tree")
        for name in ("latency_seconds", "seconds_per_byte"):
            value = getattr(self, name)
            check(0 <= value < math.inf, name=name, value=value, allowed="a finite number of at least 0")

    def seconds(self, learners: float, payload_bytes: float) -> float:
        """Return the seconds of one all-reduce of so many bytes among some learners; 0 for one."""
        if self.shape == "tree":
            return 2 * math.log2(learners) * (self.latency_seconds + payload_bytes * self.seconds_per_byte)
        steps = 2 * (learners - 1)
        return steps * self.latency_seconds + steps / learners * payload_bytes * self.seconds_per_byte


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDesign:
    """How tables of runs are simulated whose law is known.

    Args:
        law: The mean of the log-normal updates.
        batch_sizes: Examples in a batch.
        seeds: Runs at each batch size.
        cv: Standard deviation of the updates at one batch size over their mean.
        correlation: Between the log updates of runs of one seed at two batch sizes.
        evaluated: "by ratio" (at powers of 1 + `every`), "by updates" (every `every` updates), or "by examples".
        every: Distance of evaluations.
        budget: What runs are stopped at: nothing, so many updates, or so many examples.
        censored: Share of all runs that the budget is expected to stop.
    """

    law: InverseLaw = InverseLaw(n_inf=300.0, alpha=4000.0)
    batch_sizes: tuple[float, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512)
    seeds: int = 10
    cv: float = 0.15
    correlation: float = 0.0
    evaluated: Literal["by ratio", "by updates", "by examples"] = "by ratio"
    every: float = 0.05
    budget: Literal["none", "updates", "examples"] = "none"
    censored: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        check(0 < self.cv < 10, name="cv", value=self.cv, allowed="more than 0 and less than 10")
        check(0 <= self.correlation <= 1, name="correlation", value=self.correlation, allowed="from 0 to 1")
        check(0 < self.every < math.inf, name="every", value=self.every, allowed="finite and more than 0")
        check(0 < self.censored < 1, name="censored", value=self.censored, allowed="more than 0 and less than 1")
        check(self.seeds >= 1, name="seeds", value=self.seeds, allowed="a whole number, at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """What estimators made of many simulated tables of one design.

    Args:
        design: How a table is simulated.
        seed: Table number r starts from the random numbers of (seed, r).
        estimates: By estimator and quantity ("n_inf", "alpha") the estimate of each table.
        covered: By quantity ("critical_batch_size" too) 1 where the 95 % interval of a table holds the truth, or 0.
        censored: Share of all runs that were censored.
        provenance: Where this comes from.
    """

    design: StudyDesign
    seed: int
    estimates: Mapping[str, Mapping[str, tuple[float, ...]]]
    covered: Mapping[str, tuple[int, ...]]
    censored: float
    provenance: Provenance

    @property
    def replications(self) -> int:
        """Number of tables."""
        return len(self.covered["n_inf"])


Progress = Callable[[int, int], None]
"""Called during long work with how much of it is done and how much there is."""


def unwatched(done: int, total: int) -> None:
    """Take no notice of progress."""


def total_cost(records: Sequence[RunRecord]) -> Cost:
    """Return what one or more runs cost together."""
    return reduce(add, (record.cost for record in records))
