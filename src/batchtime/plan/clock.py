"""Whole runs with the clock running, beside what law and time per update predict for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchtime.errors import FitError
from batchtime.fit.inverse_law import predict_updates
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.training_time import TrainingTimeFit, fit_training_time
from batchtime.laws.quantity import Interval, holds
from batchtime.plan.promises import Promise
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import TimedRun

CLOCKED_SEEDS = 1000
"""First seed of runs with the clock running: no sweep has it, so that the law has not seen them."""


def clocked_batch_sizes(chosen: Experiment, found: TrainingTimeFit) -> tuple[int, ...]:
    """Return the batch sizes at which predicted training times are held against a clock.

    These are half the optimum, the optimum, twice it, and the sealed ones; none below the least that the law was
    fitted to, but for sealed ones, as runs may never get there.
    """
    best = found.advised_batch_size
    around = {max(round(best * factor), round(found.within_law[0])) for factor in (0.5, 1.0, 2.0)}
    return tuple(sorted(around | set(chosen.sealed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """Predicted and measured training time at one batch size.

    Args:
        batch_size: In examples.
        predicted: Mean seconds to the target.
        predicted_interval: 95 %, for the mean of so many runs.
        measured: Mean seconds to the target; None where it is not known.
        measured_interval: 95 %.
        n_runs: Runs timed.
        updates_error: Predicted over measured mean updates, less 1: the law's part of the error.
        seconds_error: Predicted over measured seconds per update, less 1: the machine's part.
        wall_over_cpu: Largest of a run.
        learning_rate: Of the runs, where several were clocked; None for the sweep's own.
        role: Why these runs were made.
    """

    batch_size: int
    predicted: float
    predicted_interval: Interval
    measured: float | None
    measured_interval: Interval
    n_runs: int
    updates_error: float | None
    seconds_error: float
    wall_over_cpu: float
    learning_rate: float | None = None
    role: str = ""

    @property
    def error(self) -> float | None:
        """Predicted over measured seconds, less 1."""
        return None if self.measured is None else self.predicted / self.measured - 1


def against_the_clock(
    observations: Sequence[Observation],
    timings: Sequence[UpdateTiming],
    runs: Sequence[TimedRun],
    *,
    allow_busy: bool = False,
) -> tuple[Clocked, ...]:
    """Hold the training time that runs and timings predict against whole runs with the clock running.

    Args:
        observations: What the law is fitted to.
        timings: Single updates.
        runs: Timed runs, of other seeds than the observations.
        allow_busy: Whether to go on although the machine was busy while its updates were timed.

    Raises:
        FitError: If runs or timings do not determine their law, or no runs were timed.
    """
    if not runs:
        raise FitError("0 timed runs; time some with `batchtime clock`")
    found = fit_training_time(observations, timings, allow_busy=allow_busy)
    line = found.time.update_time
    sizes = np.array(sorted({timing.batch_size for timing in timings}), dtype=np.float64)
    medians = np.array([np.median([t.seconds for t in timings if t.batch_size == size]) for size in sizes])
    off_the_line = float(np.sqrt(np.sum((line.seconds(sizes) / medians - 1) ** 2) / max(len(sizes) - 2, 1)))
    return tuple(
        _clocked(size, [run for run in runs if run.batch_size == size], found, off_the_line)
        for size in sorted({run.batch_size for run in runs})
    )


def against_promises(promises: Sequence[Promise], runs: Sequence[TimedRun]) -> tuple[Clocked, ...]:
    """Hold what was predicted before against the runs that were clocked at each pair; pairs without runs are left out.

    Raises:
        FitError: If there are no runs at any of them.
    """
    found = []
    for one in promises:
        pair = (one.batch_size, one.learning_rate)
        some = [run for run in runs if (run.batch_size, run.setting.learning_rate.at(run.batch_size)) == pair]
        if some:
            found.append(
                _held(
                    some,
                    predicted=one.seconds,
                    interval=one.interval,
                    updates=one.updates,
                    each=one.seconds_per_update,
                    learning_rate=one.learning_rate,
                    role=one.role,
                )
            )
    if not found:
        raise FitError("0 timed runs at the pairs that were predicted; time some with `batchtime clock --pairs`")
    return tuple(found)


def _clocked(
    size: int,
    runs: Sequence[TimedRun],
    found: TrainingTimeFit,
    off_the_line: float,
) -> Clocked:
    guess = predict_updates(found.law_fit, [size], runs=len(runs))[0]
    seconds = found.time.update_time.seconds(float(size))
    predicted = guess.mean * seconds
    ends: list[float | None] = []
    for side, end in zip((-1, 1), guess.interval, strict=True):
        reach = math.inf if end is None else math.hypot(math.log(end / guess.mean), 2 * off_the_line)
        ends.append(predicted * math.exp(side * reach) if reach < math.inf else None)
    return _held(runs, predicted=predicted, interval=(ends[0], ends[1]), updates=guess.mean, each=seconds)


def _held(
    runs: Sequence[TimedRun],
    *,
    predicted: float,
    interval: Interval,
    updates: float,
    each: float,
    learning_rate: float | None = None,
    role: str = "",
) -> Clocked:
    """Hold predicted seconds, updates and seconds of an update against runs at one batch size."""
    size = runs[0].batch_size
    mean = mean_updates(
        [Observation(batch_size=size, lower=run.outcome.lower, upper=run.outcome.upper, seed=run.seed) for run in runs]
    )[0]
    measured = mean_updates(
        [Observation(batch_size=size, lower=run.lower_seconds, upper=run.upper_seconds, seed=run.seed) for run in runs]
    )[0]
    reached = [run for run in runs if run.upper_seconds is not None and run.outcome.upper is not None]
    spent = [run.upper_seconds / run.outcome.upper for run in reached if run.upper_seconds and run.outcome.upper]
    return Clocked(
        batch_size=size,
        predicted=predicted,
        predicted_interval=interval,
        measured=measured.mean,
        measured_interval=measured.interval,
        n_runs=len(runs),
        updates_error=None if mean.mean is None else updates / mean.mean - 1,
        seconds_error=each / float(np.mean(spent)) - 1 if spent else math.nan,
        wall_over_cpu=max(run.wall_over_cpu for run in runs),
        learning_rate=learning_rate,
        role=role,
    )


def nearest_to(rows: Sequence[Clocked], batch_size: float) -> Clocked:
    """Return the row of the batch size that is nearest, as a ratio.

    Raises:
        FitError: If there are no rows.
    """
    if not rows:
        raise FitError("0 batch sizes with the clock running; time some with `batchtime clock`")
    return min(rows, key=lambda row: abs(math.log(row.batch_size / batch_size)))


def count_inside(rows: Sequence[Clocked]) -> int:
    """Return at how many batch sizes the measured mean lies in the interval that was predicted for it."""
    return sum(holds(row.predicted_interval, row.measured) for row in rows)


def worst_error(rows: Sequence[Clocked]) -> float:
    """Return the largest error of a predicted training time, without its sign."""
    return max(abs(row.error) for row in rows if row.error is not None)
