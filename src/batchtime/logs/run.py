"""One run made of its log: what it evaluated after how many updates, what updates took, and when a target was met."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from batchtime.errors import LogError
from batchtime.logs.log import Array, Log
from batchtime.logs.settings import Hints, Settings, settings

_BLOCKS = 20
"""Most blocks of updates that a run gives durations of."""
_READINGS = 20
"""A block lasts at least so many ticks of the clock that stamps the lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a log tells.

    Args:
        name: Of the run.
        settings: Of the run.
        updates: (evaluations,) Updates done at each evaluation, increasing.
        metric: (evaluations,) The metric; not finite where the log says so.
        seconds: (evaluations,) Seconds of training until then, evaluations left out; NaN where nothing tells.
        block_seconds: (blocks,) Mean seconds of an update in blocks of them.
        notices: What there is to say of it, in sentences without the run's name.
    """

    name: str
    settings: Settings
    updates: Array
    metric: Array
    seconds: Array
    block_seconds: Array
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """When a target is met: the metric at most, or at least, `value` at `hold` successive evaluations."""

    value: float
    at_most: bool
    hold: int = 1

    def met_at(self, values: Array) -> npt.NDArray[np.bool_]:
        """Return at which evaluations (any shape) the metric is as good as asked; never where it is not finite."""
        good = values <= self.value if self.at_most else values >= self.value
        return good & np.isfinite(values)

    def interval(self, run: Run) -> tuple[float, float | None]:
        """Return after how many updates the target was met: lower < N <= upper, and no upper where it never was."""
        good = self.met_at(run.metric)
        held = 0
        for position, one in enumerate(good):
            held = held + 1 if one else 0
            if held == self.hold:
                first = position - self.hold + 1
                return (float(run.updates[first - 1]) if first else 0.0), float(run.updates[first])
        missed = len(good) - held  # evaluations at the end that are good may be the first of as many as asked
        return (float(run.updates[missed - 1]) if missed else 0.0), None


def run(log: Log, hints: Hints) -> Run:
    """Return what a log tells of its run.

    Raises:
        LogError: If it lacks a batch size, or the examples of an epoch where it counts these; or it holds two runs.
    """
    told = settings(log, hints)
    notices = list(log.notices)
    steps = _updates(log, told, notices)
    kept, broken = _without_restarts(log.run, steps, notices)
    steps, values, times = steps[kept], log.values[kept], log.times[kept]
    evaluated = log.evaluated[kept]
    updates, first = np.unique(steps[evaluated], return_index=True)
    values = values[evaluated][first]
    if len(values) and not np.isfinite(values).all():
        notices.append("the metric is not finite at some evaluations: the target is not met there")
    seconds, blocks = _seconds(steps, times, evaluated, broken[kept], notices)
    if log.seconds_per_update is not None:
        blocks = np.array([log.seconds_per_update])
        elapsed = updates * log.seconds_per_update
    else:
        elapsed = np.interp(updates, *seconds) if seconds is not None else np.full(len(updates), math.nan)
    return Run(
        name=log.run,
        settings=told,
        updates=updates,
        metric=values,
        seconds=elapsed,
        block_seconds=blocks,
        notices=tuple(notices),
    )


def _updates(log: Log, told: Settings, notices: list[str]) -> Array:
    """Return the updates done at each line."""
    if log.unit == "updates":
        return log.steps
    if log.unit == "examples":
        return log.steps / told.batch_size
    if told.examples is None:
        raise LogError(f"{log.run} counts epochs; give --examples N, the training examples of an epoch")
    notices.append("epochs were read as updates: examples / batch size of them an epoch, rounded up")
    return log.steps * math.ceil(told.examples / told.batch_size)


def _without_restarts(
    name: str, steps: Array, notices: list[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which lines count, and before which of them training was interrupted."""
    kept, broken = np.ones(len(steps), dtype=np.bool_), np.zeros(len(steps), dtype=np.bool_)
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    for at in back:
        if steps[at] <= steps[0] and (steps[:at] > steps[at]).any():
            raise LogError(
                f"{name}: update {steps[at]:g} follows update {steps[at - 1]:g}, so two runs are in one log; give "
                "each a file or a folder of its own"
            )
        kept[:at] &= steps[:at] < steps[at]
        broken[at] = True
    if len(back):
        notices.append("its updates go back, as after a restart: the later lines count")
    return kept, broken


def _seconds(
    steps: Array,
    times: Array,
    evaluated: npt.NDArray[np.bool_],
    broken: npt.NDArray[np.bool_],
    notices: list[str],
) -> tuple[tuple[Array, Array] | None, Array]:
    """Return seconds of training by updates, and the mean seconds of an update in blocks.

    Between two time stamps at different numbers of updates lie these updates; and an evaluation, if the second stamp is
    an evaluation's, for this is written when it ends, or one without a stamp stands between them.
    """
    stamped = np.isfinite(times)
    where = np.flatnonzero(stamped)
    moved = np.flatnonzero(np.diff(steps[where]) > 0)
    if not len(moved):
        return None, np.empty(0)
    start, end = where[moved], where[moved + 1]  # (pieces,)
    spent, updates = times[end] - times[start], steps[end] - steps[start]
    unseen, breaks = np.cumsum(evaluated & ~stamped), np.cumsum(broken)
    whole = (spent >= 0) & (breaks[end] == breaks[start])
    clean = whole & ~evaluated[end] & (unseen[end] == unseen[start])
    if not (clean & (spent > 0)).any():
        if not (whole & (spent > 0)).any():
            return None, np.empty(0)
        clean = whole
        notices.append("its seconds hold its evaluations: no other line with a time stamp stands between them")
    rate = spent[clean].sum() / updates[clean].sum()
    elapsed = np.cumsum([steps[start[0]] * rate, *np.where(clean, spent, rate * updates)])
    return (steps[[start[0], *end]], elapsed), _blocks(updates[clean], spent[clean], _tick(times[stamped]))


def _tick(times: Array) -> float:
    """Return the resolution of time stamps in seconds."""
    return next(
        (tick for tick in (1.0, 1e-3) if np.allclose(times / tick, np.round(times / tick), rtol=0, atol=1e-3)), 1e-6
    )


def _blocks(updates: Array, seconds: Array, tick: float) -> Array:
    """Return the mean seconds of an update in blocks of successive pieces, without the first, which warms up."""
    if len(seconds) > 2:
        updates, seconds = updates[1:], seconds[1:]
    number = min(_BLOCKS, len(seconds), max(1, int(seconds.sum() / (_READINGS * tick))))
    ends = np.searchsorted(np.cumsum(updates), updates.sum() * np.arange(1, number) / number) + 1
    starts = np.unique(np.concatenate([[0], ends[ends < len(updates)]])).astype(np.intp)
    means = np.add.reduceat(seconds, starts) / np.add.reduceat(updates, starts)
    found: Array = means[means > 0]
    return found
