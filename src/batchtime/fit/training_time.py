"""From the law and the time per update to the training time and its optimum, with an interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from batchtime.fit.inverse_law import LawFit, fit_inverse_law
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.scatter import f_point
from batchtime.fit.update_time import BentTime, TimeForm, choose_form
from batchtime.laws.quantity import Interval
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw


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


def times_of(found: Mapping[str, TrainingTimeFit]) -> dict[str, TrainingTime]:
    """Return the training times alone, by the same labels."""
    return {label: one.time for label, one in found.items()}
