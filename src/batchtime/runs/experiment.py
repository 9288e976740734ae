"""The book's named sweeps: which runs, which batch sizes are sealed, and how a reader may change them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from batchtime.errors import ParameterError, check
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import SweepSpec, Workload

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

    @property
    def caution(self) -> str | None:
        """What is to be known before it is trained: whether its runs need not come out the same again."""
        source = self.workload.source
        if source is None or source.replayable:
            return None
        return f"the loader of {self.name} has worker processes, so its runs need not come out the same again"

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
            allowed += unit.get(setting.workload.target.metric, "a finite number")
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
