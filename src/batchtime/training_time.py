"""From the law and the time per update to the training time: its optimum with an interval, and what clocks say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from batchtime.experiments import Experiment
from batchtime.fit import fit_inverse_law, mean_updates, predict_updates
from batchtime.records import (
    CommunicationMode,
    FitError,
    Interval,
    InverseLaw,
    LawFit,
    LearnersRecord,
    Observation,
    RunRecord,
    TimedRun,
    TrainingTime,
    UpdateTime,
    UpdateTiming,
    holds,
)
from batchtime.scatter import f_point
from batchtime.store import Store
from batchtime.update_time import BentTime, TimeForm, choose_form

CLOCKED_SEEDS = 1000
"""First seed of runs with the clock running: no sweep has it, so that the law has not seen them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTimeFit:
    """The training time that runs and timings predict.

    Args:
        law_fit: Of the runs.
        form: Of the time per update, chosen among those whose optimum is known in closed form.
        time: Their product.
        optimal_batch_size: 95 % interval, from the uncertainty of both; None on a side that is open.
        within_law: Least and largest batch size that the law was fitted to.
    """

    law_fit: LawFit
    form: TimeForm
    time: TrainingTime
    optimal_batch_size: Interval
    within_law: tuple[float, float]

    @property
    def advised_batch_size(self) -> float:
        """The optimum, or the nearest batch size that the law was fitted to: beyond it nothing is known."""
        low, high = self.within_law
        return min(max(self.time.optimal_batch_size, low), high)


def fit_training_time(
    observations: Sequence[Observation], timings: Sequence[UpdateTiming], *, allow_busy: bool = False
) -> TrainingTimeFit:
    """Fit the law and the time per update, and put them together.

    The 95 % interval of the optimum adds two independent parts of log M_opt = w log(alpha / n_inf) + (1 - w)
    log(fixed / per example), w = 1 / (1 + p): from the law, the profile interval of alpha / n_inf; from the time, the
    t interval of its parameters, p included, to first order. On each side the reach is the root of the sum of squares
    (recovery of variances from intervals; Zou and Donner 2008).

    Raises:
        FitError: If runs or timings do not determine their law.
    """
    law_fit, form = fit_inverse_law(observations), choose_form(timings, allow_busy=allow_busy)
    time = TrainingTime(law=law_fit.law, update_time=cast("UpdateTime", form.time))  # a form of KNEES
    return TrainingTimeFit(
        law_fit=law_fit,
        form=form,
        time=time,
        optimal_batch_size=_optimum_interval(time, law_fit, form),
        within_law=(law_fit.batch_sizes[0], law_fit.batch_sizes[-1]),
    )


def _optimum_interval(time: TrainingTime, law_fit: LawFit, form: TimeForm) -> Interval:
    algorithm, machine = time.law.critical_batch_size, time.update_time.break_even_batch_size
    if not (0 < algorithm < math.inf and 0 < machine < math.inf):
        return None, None
    p, weight = time.update_time.sharpness, time.weight
    slopes = [1 - weight, weight - 1]
    if len(form.covariance) == 3:  # the slope of w = 1 / (1 + p) in log p is -w^2 p
        slopes.append(-(weight**2) * p * math.log(algorithm / machine))
    variance = float(np.array(slopes) @ np.array(form.covariance) @ np.array(slopes))
    of_time = math.sqrt(f_point(max(form.freedom, 1)) * variance)
    ends: list[float | None] = []
    for sign, end in zip((-1, 1), law_fit.intervals.critical_batch_size, strict=True):
        of_law = 0.0 if weight == 0 else math.inf if not end else weight * math.log(end / algorithm)
        reach = math.hypot(of_law, of_time)
        ends.append(time.optimal_batch_size * math.exp(sign * reach) if reach < math.inf else None)
    return ends[0], ends[1]


def least_time(law: InverseLaw, time: UpdateTime | BentTime) -> tuple[float, float]:
    """Return the batch size of at least 1 with the least training time, and that time, by search: for any form."""
    grid = np.geomspace(1, 1e6, 20_001)
    seconds = law.updates(grid) * time.seconds(grid)
    place = int(np.argmin(seconds))
    return float(grid[place]), float(seconds[place])


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
        _clocked(size, [run for run in runs if run.batch_size == size], observations, found.time, off_the_line)
        for size in sorted({run.batch_size for run in runs})
    )


def _clocked(
    size: int,
    runs: Sequence[TimedRun],
    observations: Sequence[Observation],
    time: TrainingTime,
    off_the_line: float,
) -> Clocked:
    guess = predict_updates(observations, [size], runs=len(runs))[0]
    seconds = time.update_time.seconds(float(size))
    predicted = guess.mean * seconds
    ends: list[float | None] = []
    for side, end in zip((-1, 1), guess.interval, strict=True):
        reach = math.inf if end is None else math.hypot(math.log(end / guess.mean), 2 * off_the_line)
        ends.append(predicted * math.exp(side * reach) if reach < math.inf else None)
    updates = mean_updates(
        [Observation(batch_size=size, lower=run.outcome.lower, upper=run.outcome.upper, seed=run.seed) for run in runs]
    )[0]
    measured = mean_updates(
        [Observation(batch_size=size, lower=run.lower_seconds, upper=run.upper_seconds, seed=run.seed) for run in runs]
    )[0]
    reached = [run for run in runs if run.upper_seconds is not None and run.outcome.upper is not None]
    each = [run.upper_seconds / run.outcome.upper for run in reached if run.upper_seconds and run.outcome.upper]
    return Clocked(
        batch_size=size,
        predicted=predicted,
        predicted_interval=(ends[0], ends[1]),
        measured=measured.mean,
        measured_interval=measured.interval,
        n_runs=len(runs),
        updates_error=None if updates.mean is None else guess.mean / updates.mean - 1,
        seconds_error=seconds / float(np.mean(each)) - 1 if each else math.nan,
        wall_over_cpu=max(run.wall_over_cpu for run in runs),
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


def where_the_optimum_lies(found: TrainingTimeFit) -> str:
    """Say in one sentence whether the optimum is a batch size for which the law was fitted."""
    low, high = found.within_law
    best = found.time.optimal_batch_size
    if low <= best <= high:
        return f"It lies inside of what the law was fitted to, {low:g} to {high:g}."
    end, words = (low, "below") if best < low else (high, "above")
    return (
        f"But it lies {words} the batch sizes that the law was fitted to, {low:g} to {high:g}, where nothing says that "
        f"the law holds: the advice is {end:g}."
    )


def least_measured(law: InverseLaw, timings: Sequence[UpdateTiming]) -> tuple[int, float]:
    """Return the timed batch size of the least training time by a law and measured medians, and that time."""
    seconds = {timing.batch_size: law.updates(float(timing.batch_size)) * timing.seconds for timing in timings}
    best = min(seconds, key=lambda size: seconds[size])
    return best, seconds[best]


def learners_recorded(records: Sequence[LearnersRecord], *counts: int) -> tuple[LearnersRecord, ...]:
    """Return for each number of learners what was measured last.

    Raises:
        FitError: If there is nothing for one of them; the message names it and the remedy.
    """
    latest = {record.learners: record for record in records}
    for count in counts:
        if count not in latest:
            raise FitError(f"no timings of {count} learners; measure them: batchtime learners NAME --learners {count}")
    return tuple(latest[count] for count in counts)


def exposed_seconds(together: LearnersRecord, mode: CommunicationMode) -> float:
    """Return what an update with communication takes beyond the work alone, the median over batch sizes."""
    alone = {timing.batch_size: timing.seconds for timing in together.timings["compute"]}
    return float(np.median([timing.seconds - alone[timing.batch_size] for timing in together.timings[mode]]))


def of_experiment(chosen: Experiment, records: Sequence[RunRecord], timings: Sequence[UpdateTiming]) -> TrainingTimeFit:
    """Return the training time of a named sweep, fitted to the batch sizes that its plan fits.

    Raises:
        FitError: If runs or timings do not determine their law.
    """
    return fit_training_time(chosen.fit_observations(records), chosen.relevant(timings))


def of_experiments(
    runs: Mapping[str, tuple[Experiment, Sequence[RunRecord]]], store: Store
) -> dict[str, TrainingTimeFit]:
    """Return the training time of several sweeps by the same labels, from published timings.

    Raises:
        FitError: If runs or timings do not determine their law.
        StoreError: If there are no timings.
    """
    return {
        label: of_experiment(one, records, store.latest_timing(one.name).timings)
        for label, (one, records) in runs.items()
    }


def times_of(found: Mapping[str, TrainingTimeFit]) -> dict[str, TrainingTime]:
    """Return the training times alone, by the same labels."""
    return {label: one.time for label, one in found.items()}
