"""What came of it: records of runs, timings and simulations, as they are kept in the data folder."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Literal

from batchtime.errors import check
from batchtime.fit.measurements import AllReduceTiming, Observation, UpdateTiming
from batchtime.laws.updates import InverseLaw
from batchtime.runs.spec import Device, Optimizer, RunSpec, Sampling, Setting, Source, Target


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

        Reached means: the target is met at this and the following `hold - 1` evaluations.
        """
        values = self.metrics[target.metric]
        held = 0
        for position, value in enumerate(values):
            held = held + 1 if target.is_met(value) else 0
            if held == target.hold:
                first = position - target.hold + 1
                lower = self.updates[first - 1] if first > 0 else 0
                return Outcome(status="reached", lower=lower, upper=self.updates[first])
        # `held` evaluations at the end meet it: what is known is only that the ones before them did not.
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

    def made_by(self, *, threads: int, device: Device) -> bool:
        """Return whether this was made by so many threads of a device; a GPU's make is not looked at."""
        return self.threads == threads and self.device.partition(" ")[0] == device


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run: its spec (setting, batch size, seed), what came of it, what it cost, where it comes from.

    `reports` are numbers taken once, of the model that reached the target (a translation's BLEU score).
    `block_seconds` are mean wall seconds of an update in blocks, where the log of a command tells them.
    """

    setting: Setting
    batch_size: int
    seed: int
    outcome: Outcome
    evaluations: Evaluations
    cost: Cost
    provenance: Provenance
    reports: Mapping[str, float] = field(default_factory=dict)
    block_seconds: tuple[float, ...] = ()

    @property
    def spec(self) -> RunSpec:
        """The run that was asked for: equal specs are the same run."""
        return RunSpec(setting=self.setting, batch_size=self.batch_size, seed=self.seed)

    @property
    def ending(self) -> Literal["reached", "censored", "diverged"]:
        """How the run ended: `outcome.status`, but "diverged" also where another metric stopped being finite.

        An error stays finite when the loss does not, so that the outcome alone calls such a run "censored".
        """
        lost = any(values[-1] is None for values in self.evaluations.metrics.values() if values)
        return "diverged" if lost and self.outcome.upper is None else self.outcome.status

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
class TimingRecord:
    """The update timings of one workload on one machine, measured in one session.

    Args:
        workload: Its name.
        timings: By increasing batch size.
        provenance: Where this comes from; threads and device are part of what was timed.
        dataset: Of the workload; None in records from before these were kept, as with `model`.
        model: Of the workload.
        source: Of a workload of one's own.
        optimizer: That did the updates.
        sampling: How batches were drawn.
        discarded: Updates after each change of the batch size that were not timed.
    """

    workload: str
    timings: tuple[UpdateTiming, ...]
    provenance: Provenance
    dataset: str | None = None
    model: str | None = None
    source: Source | None = None
    optimizer: Optimizer = Optimizer()
    sampling: Sampling = "with replacement"
    discarded: int = 0

    def mismatch(self, setting: Setting, *, threads: int = 1, device: Device = "cpu") -> str | None:
        """Return in words what of this is not as in a setting, so that its seconds are others; None if nothing is."""
        workload = setting.workload
        pairs = {
            "data set": (self.dataset or workload.dataset, workload.dataset),
            "model": (self.model or workload.model, workload.model),
            "source": (self.source, workload.source),
            "project": (self._of_another_project(workload.source), False),
            "optimizer": (self.optimizer, setting.optimizer),
            "sampling": (self.sampling, setting.sampling),
            "number of threads": (self.provenance.threads, threads),
            "device": (self.provenance.device.partition(" ")[0], device),
        }
        return next((f"another {what}" for what, (have, want) in pairs.items() if have != want), None)

    def _of_another_project(self, source: Source | None) -> bool:
        return self.source is not None and source is not None and self.source.of_another_project(source)

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
        provenance: Where this comes from; its threads and device are part of what was timed.
        learners: Processes that shared each batch.
    """

    setting: Setting
    batch_size: int
    seed: int
    outcome: Outcome
    lower_seconds: float
    upper_seconds: float | None
    wall_over_cpu: float
    provenance: Provenance
    learners: int = 1

    @property
    def spec(self) -> RunSpec:
        """The run that was timed."""
        return RunSpec(setting=self.setting, batch_size=self.batch_size, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepingWork:
    """A stated sleep in place of the work of an update.

    Args:
        fixed_seconds: Of each update.
        seconds_per_example: Of each example of a learner's share.
    """

    fixed_seconds: float
    seconds_per_example: float

    def seconds(self, examples: float) -> float:
        """Return how long a learner sleeps for its share of a batch."""
        return self.fixed_seconds + self.seconds_per_example * examples


CommunicationMode = Literal["compute", "in turn", "overlapped"]
"""How learners exchange gradients: not at all, after the backward pass, or bucket by bucket during it."""


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
        sleeping: What stood in for the work of an update; None where a model was trained.
        bytes_per_second: That each learner could send, where the network was limited.
    """

    workload: str
    learners: int
    gradient_bytes: int
    timings: Mapping[CommunicationMode, tuple[UpdateTiming, ...]]
    all_reduce: tuple[AllReduceTiming, ...]
    provenance: Provenance
    sleeping: SleepingWork | None = None
    bytes_per_second: float | None = None


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
class AdviceRecord:
    """What was advised for published series, in columns: one entry for each series, device and number of learners.

    Args:
        series: Names of the series.
        device: That their updates were timed on.
        learners: That shared each batch.
        batch_size: Advised; None where advice was refused.
        regret: How much longer than the best it may take, as a fraction (95 %); None where no law could be drawn.
        reasons: Why it was refused; empty where it was not.
        provenance: Where this comes from.
    """

    series: tuple[str, ...]
    device: tuple[str, ...]
    learners: tuple[int, ...]
    batch_size: tuple[int | None, ...]
    regret: tuple[float | None, ...]
    reasons: tuple[str, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantsRecord:
    """Constants of a workload that were computed once, by name, and where they come from."""

    name: str
    values: Mapping[str, float]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDesign:
    """How tables of runs are simulated whose law is known.

    Args:
        law: The mean of the log-normal updates.
        batch_sizes: Examples in a batch.
        seeds: Runs at each batch size.
        cv: Standard deviation of the updates at one batch size over their mean.
        first_cv: The same at the smallest batch size, where the spread falls with the batch size: variances of log N
            are a + b / M^2, with `cv` where M is large; None for `cv` everywhere.
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
    first_cv: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        check(0 < self.cv < 10, name="cv", value=self.cv, allowed="more than 0 and less than 10")
        if self.first_cv is not None:
            allowed = f"from cv = {self.cv} to less than 10"
            check(self.cv <= self.first_cv < 10, name="first_cv", value=self.first_cv, allowed=allowed)
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


def timings_of_runs(records: Sequence[RunRecord]) -> list[UpdateTiming]:
    """Return the durations of updates that runs of a command tell themselves, by batch size."""
    blocks: dict[int, tuple[float, ...]] = {}
    for record in records:
        if record.block_seconds:
            blocks[record.batch_size] = (*blocks.get(record.batch_size, ()), *record.block_seconds)
    return [
        UpdateTiming(batch_size=size, wall_seconds=seconds, cpu_seconds=seconds)
        for size, seconds in sorted(blocks.items())
    ]
