"""Which runs a pilot makes, one after another, so that it costs a few trainings and no sweep.

Seconds are measured first, for that takes seconds. Where an update takes half its time for itself and half for its
examples, at M = delta / gamma, training takes less than twice the least time whatever the law is (`no-pilot` of the
page on the curve). One run near there, another at four times its batch size, and a run at the size that would be
advised while the bound asks for it. A run that costs half as much again as the cheapest is stopped: what it says then,
that the target lies further, is enough.

An early pilot stops both runs at an easier target, 65 % of the way in the logarithm of the metric, and is refused where
the ratio of their updates has moved since 35 % of the way: it would move on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from batchtime.errors import FitError, check
from batchtime.fit import advice
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.seconds import Seconds, fit_seconds, measured_seconds

FIRST = 0.5
"""Where the first run is, over delta / gamma: optima lie below it more often than above."""
FACTOR = 4.0
"""From the first batch size to the second."""
APART = 1.9
"""How far batch sizes of the first two runs are apart at least, as a factor."""
STOPPED = 1.5
"""What a run may cost over the cheapest so far; then it is stopped."""
ENOUGH = 0.1
"""Of the loss: a bound below it asks for no further run."""
MOST = 5.0
"""Optimal trainings that a pilot may cost, as far as can be told on the way."""
MOST_RUNS = 6
EARLY = 0.35
"""Share of the way from the first metric to the target, in logarithms, that an early target leaves."""
EARLIER = 0.65
"""The same of the target that the ratio is compared at."""
MOVED = 0.2
"""How far the log ratio of the updates at both sizes may move between these two targets."""
PRICE = {False: 9.5, True: 6.0}
"""Seconds of a pilot over those of its scout, by whether it is early: medians of the replays, rounded."""

Make = Callable[[int, float], tuple[Observation, float]]
"""Makes a run at a batch size with so many updates at most; returns what is known of it, and the updates spent."""


@dataclass(slots=True)
class Trail:
    """The runs that a pilot has made.

    Args:
        seconds: Of updates.
        observations: The runs.
        cost: Seconds of their updates, and of the scout's.
        cheapest: Seconds of the cheapest run that reached the target.
    """

    seconds: Seconds
    observations: list[Observation] = field(default_factory=list)
    cost: float = 0.0
    cheapest: float = math.inf

    def run(self, size: int, make: Make) -> Observation:
        """Make a run, and keep what it says and costs."""
        each = self.seconds.at(size)
        seen, updates = make(size, STOPPED * self.cheapest / each)
        self.observations.append(seen)
        self.cost += updates * each
        if seen.upper is not None:
            self.cheapest = min(self.cheapest, updates * each)
        return seen

    @property
    def reached(self) -> set[float]:
        """Batch sizes at which the target was reached."""
        return {seen.batch_size for seen in self.observations if seen.upper is not None}


def first_sizes(sizes: Sequence[int], timings: Sequence[UpdateTiming]) -> tuple[int, int]:
    """Return the batch sizes of the first two runs, of those that are allowed.

    Raises:
        ParameterError: If there are fewer than two, or all lie within a factor of 1.9.
        FitError: If fewer than two batch sizes were timed.
    """
    form = fit_seconds(timings)
    first = _nearest(FIRST * form.delta / form.gamma, sizes)
    larger = [size for size in sizes if size > first * APART]
    smaller = [size for size in sizes if size < first / APART]
    allowed = "two that are a factor of 2 apart, for a pilot"
    check(bool(larger or smaller), name="batch_sizes", value=sorted(sizes), allowed=allowed)
    return first, _nearest(first * FACTOR, larger) if larger else _nearest(first / FACTOR, smaller)


def run_pilot(sizes: Sequence[int], timings: Sequence[UpdateTiming], make: Make, *, spent: float = 0.0) -> Trail:
    """Make the runs of a pilot.

    Args:
        sizes: Batch sizes that are allowed.
        timings: Of updates, over these sizes.
        make: Makes a run.
        spent: Seconds that the scout took.

    Raises:
        ParameterError: If the sizes are too few or too close.
        FitError: If nothing was timed.
    """
    trail = Trail(seconds=measured_seconds(timings), cost=spent)
    first, second = first_sizes(sizes, timings)
    trail.run(first, make)
    trail.run(second, make)
    while len(trail.observations) < MOST_RUNS:
        after = _next(trail, first, sizes)
        if after is None:
            break
        trail.run(after, make)
    return trail


def _next(trail: Trail, first: int, sizes: Sequence[int]) -> int | None:
    """Return the batch size of the next run; None where there is enough, or no more to be paid."""
    run = {seen.batch_size for seen in trail.observations}
    left = [size for size in sizes if size not in run]
    if not left:
        return None
    if len(trail.reached) < 2:
        smaller = [size for size in left if size < first / math.sqrt(2)] if first in trail.reached else []
        larger = [size for size in left if size > first * math.sqrt(2)]
        if smaller:
            return _nearest(first / FACTOR, smaller)
        return _nearest(2 * first, larger) if larger else None
    best, bound, predicted = advice.guess(trail.observations, trail.seconds)
    if bound <= ENOUGH or trail.cost + predicted > MOST * predicted:
        return None
    return _nearest(best, left)


def _nearest(wanted: float, sizes: Sequence[int]) -> int:
    return min(sizes, key=lambda size: (abs(math.log(size / wanted)), size))


def easier(target: float, first: float, share: float) -> float:
    """Return the metric that leaves a share of the way from its first value to the target, in logarithms.

    Raises:
        FitError: If the first value is not above the target.
    """
    if not first > target > 0:
        raise FitError(f"the metric starts at {first:g}, which the target {target:g} does not lie below")
    return float(target * (first / target) ** share)


def crossing(updates: Sequence[float], values: Sequence[float], target: float) -> float | None:
    """Return after how many updates a metric first passes a target, straight in logarithms between evaluations."""
    before: tuple[float, float] | None = None
    for done, value in zip(updates, values, strict=True):
        if value is not None and value <= target:
            if before is None or not before[1] > value > 0:
                return float(done)
            share = math.log(before[1] / target) / math.log(before[1] / value)
            return math.exp(math.log(before[0]) + share * math.log(done / before[0]))
        if value is not None and done > 0:
            before = (float(done), float(value))
    return None


def moved(late: Sequence[Observation], earlier: Sequence[float]) -> float:
    """Return by how much the log ratio of the updates of two runs moved since an earlier target."""
    (a, b), (c, d) = [seen.lower for seen in late], earlier
    return math.log(a / b) - math.log(c / d)


def refusal(change: float) -> str | None:
    """Return why an early pilot says nothing, if so."""
    if abs(change) <= MOVED:
        return None
    percent = 100 * math.expm1(abs(change))
    return (
        f"The ratio of the updates at both sizes still moves with the target, by {percent:.0f} %: "
        "an easier target does not tell this one; do the pilot without --early."
    )


def whole(seen: Observation, updates: float) -> Observation:
    """Return a run as it is known when it is stopped after so many updates."""
    if seen.upper is not None and seen.upper <= updates:
        return seen
    return replace(seen, lower=min(updates, seen.lower) if seen.upper is None else updates, upper=None)
