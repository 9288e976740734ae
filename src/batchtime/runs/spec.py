"""What a run is, completely: workload, target, step size, budget, batch size and seed."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from batchtime.errors import check
from batchtime.laws.learning_rate import LearningRate

Metric = str
"""Name of a mean over validation examples, such as "error" or "loss"."""

PROTOCOL_VERSION = 1
"""Part of every `RunSpec`: raise it with any code change that changes what a run records."""


LARGEST_BATCH = 10**6
"""Examples in a batch: more is a slip of the keyboard, and more than memory holds."""
LARGEST_SEED = 2**63 - 1
"""The largest number that torch's generators take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The event that ends a run: `metric` at or below `value` at `hold` successive evaluations.

    Args:
        metric: "error" (fraction of validation examples, 0 to 1), "loss" (nats, mean over validation examples), or
            what a workload of one's own calls it, in its own unit.
        value: Threshold, in the metric's unit.
        hold: Number of successive evaluations that must be at or below the threshold.
        rises: Whether more is better, as of an accuracy: the metric must be at or above the threshold.

    Example:
        >>> Target(metric="accuracy", value=0.9, rises=True).is_met(0.92)
        True
    """

    metric: Metric
    value: float
    hold: int = 1
    rises: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no threshold, and a metric that goes the other way."""
        a_name = re.fullmatch(r"\w+([ ./@:-]+\w+)*", self.metric) is not None
        check(a_name, name="metric", value=self.metric, allowed="error, loss, or a name of one's own")
        check(math.isfinite(self.value), name="target", value=self.value, allowed="a finite number")
        check(self.hold >= 1, name="hold", value=self.hold, allowed="a whole number of evaluations, at least 1")
        parts = set(self.metric.lower().split("_"))
        allowed = f"False for {self.metric}, which falls as a model gets better"
        check(not (self.rises and parts & {"error", "loss"}), name="rises", value=self.rises, allowed=allowed)
        allowed = f"True for {self.metric}, which rises as a model gets better"
        check(self.rises or not parts & _RISING, name="rises", value=self.rises, allowed=allowed)

    def is_met(self, value: float | None) -> bool:
        """Return whether one evaluation meets the threshold; None, which is not finite, does not."""
        return value is not None and (value >= self.value if self.rises else value <= self.value)

    def is_held(self, values: Sequence[float | None]) -> bool:
        """Return whether the last `hold` evaluations meet the threshold."""
        return len(values) >= self.hold and all(map(self.is_met, values[-self.hold :]))

    def is_near(self, value: float, *, first: float | None, factor: float) -> bool:
        """Return whether a run that started at `first` is so near to its target that every point is evaluated.

        A metric that falls to more than 0 is near within `factor` times the target. For others there is no such ratio:
        they are near when at most (factor - 1) / factor of the way from the first evaluation to the target is left.
        """
        if not self.rises and self.value > 0:
            return value <= factor * self.value
        left = self.value - value if self.rises else value - self.value
        way = abs(self.value - (value if first is None else first))
        return left <= way * (factor - 1) / factor


_RISING = {"accuracy", "acc", "auc", "auroc", "bleu", "f1", "precision", "r2", "recall", "reward"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What identifies a workload of one's own, so that runs of changed code or data are not taken for its runs.

    Args:
        function: Where it is imported from, "module:function".
        version: What its author calls it, or "sha256:" and the checksum of the code that the function reaches.
        examples_sha256: Checksum of all examples; of a loader's, of the validation examples alone.
        replayable: Whether a run comes out the same again, bit for bit, on one class of machine; not where a loader
            has worker processes.
        code: Checksum of the code that the function reaches, whatever its author calls it; "" where it is not known.
        place: Checksum of the folder that the module lies in, which tells projects apart; "" where it is not known.
    """

    function: str
    version: str
    examples_sha256: str
    replayable: bool = True
    code: str = field(default="", compare=False)
    place: str = field(default="", compare=False)

    def edited(self, other: "Source") -> bool:
        """Return whether both go by one name and version, and are known to be other code."""
        return self == other and "" not in (self.code, other.code) and self.code != other.code

    def of_another_project(self, other: "Source") -> bool:
        """Return whether both go by one name and version, and are other code in other folders."""
        return self.edited(other) and "" not in (self.place, other.place) and self.place != other.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program of one's own that trains one run and writes a log of it.

    Args:
        words: Of its command line, with {batch_size}, {learning_rate}, {seed}, {out} and {updates} where these go.
        line: Regular expressions by which plain text is read, as `read_logs` takes them: standard output, or what lies
            in {out}.
        examples: Training examples of an epoch, where the log counts epochs.
        time_out: Seconds after which a run is stopped; it counts as far as it came.
    """

    words: tuple[str, ...]
    line: tuple[str, ...] = ()
    examples: int | None = None
    time_out: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is trained: a data set and a model, by the names that `workloads` knows, to a target.

    `source` is where a workload of one's own comes from; None for those of the package. `command` is what trains it,
    where that is a program and not this package.
    """

    name: str
    dataset: str
    model: str
    target: Target
    source: Source | None = None
    command: Command | None = None

    def __post_init__(self) -> None:
        """Refuse a target in a wrong unit where the package takes the metric, and so knows its unit."""
        if self.source is not None or self.command is not None:
            return
        goal = self.target
        if goal.metric == "error":
            allowed = "an error is a fraction of examples, more than 0 and less than 1"
            check(0 < goal.value < 1, name="target", value=goal.value, allowed=allowed)
        if goal.metric == "loss":
            check(goal.value > 0, name="target", value=goal.value, allowed="a loss is in nats, more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How a gradient becomes a step.

    Args:
        name: "sgd", "adam" (Kingma and Ba 2015, with their decay rates 0.9 and 0.999), or "task": the one that a
            workload of one's own makes.
        momentum: Fraction of the last step that the next one keeps, "sgd" only (heavy ball); 0 for plain SGD.
    """

    name: Literal["sgd", "adam", "task"] = "sgd"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Refuse optimizers that do not exist."""
        check(self.name in ("sgd", "adam", "task"), name="optimizer", value=self.name, allowed="sgd, adam, task")
        allowed = "at least 0 and less than 1; 0 for adam or a task's, which have their own"
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
    target on (`Target.is_near`), every point is. The rule looks at nothing but the evaluations so far, so the interval
    that a run reports stays honest: it is wider where the metric went from far to its target between two coarse points.

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
