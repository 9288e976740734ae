"""Pilots replayed on recorded sweeps, whose runs stand in for theirs: what they cost, and what their advice loses.

The truth of a sweep is what all its runs and timings say: the median over the laws that they allow, at batch sizes that
every seed reached the target at. So the scatter of single means is no loss.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batchtime.errors import BatchtimeError, FitError
from batchtime.fit import advice
from batchtime.fit.law_draws import posterior, quasi_random
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.seconds import Seconds, measured_seconds
from batchtime.laws.quantity import Array
from batchtime.plan import pilot_runs
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord

GRID = 80
DRAWS = 500
SEEDS = 5
"""Of a sweep that are replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotReplay:
    """One pilot of one seed.

    Args:
        sweep: Replayed.
        seed: Of its runs.
        early: Whether runs were stopped at an easier target.
        runs: Made; the scout that prices the pilot is not counted.
        cost: Of runs and scout, over the least training time.
        loss: Of the advised batch size, as a fraction of that time.
        bound: Said of the loss; 95 %.
        refused: Whether nothing was advised: the loss is then that of the best guess.
        price: Said before the pilot began, over what it cost.
    """

    sweep: str
    seed: int
    early: bool
    runs: int
    cost: float
    loss: float
    bound: float
    refused: bool
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Training time over batch size: straight in logarithms between (sizes, log_time)."""

    sizes: Array
    log_time: Array

    @property
    def least(self) -> float:
        """Least seconds to the target."""
        return float(np.exp(self.log_time.min()))

    def loss(self, batch_size: float) -> float:
        """Return by what fraction a batch size takes longer than the best."""
        return float(np.exp(np.interp(math.log(batch_size), np.log(self.sizes), self.log_time)) / self.least - 1)


def truth(records: Sequence[RunRecord], whole: Sequence[int], seconds: Seconds) -> Truth:
    """Return what all runs say, between the least and the largest batch size of `whole`."""
    found = posterior([record.observation() for record in records])
    grid = np.geomspace(min(whole), max(whole), GRID)
    uniforms = quasi_random(DRAWS, found.dimensions(grid))
    updates = np.median(found.draws(uniforms, grid), axis=0)
    return Truth(sizes=grid, log_time=updates + np.log([seconds.at(size) for size in grid]))


def replays(chosen: Experiment, records: Sequence[RunRecord], timings: Sequence[UpdateTiming]) -> Iterator[PilotReplay]:
    """Replay the pilot and the early pilot of each seed of a sweep.

    Raises:
        FitError: If the runs determine no law.
    """
    sizes = [size for size in chosen.sweep.batch_sizes if size not in chosen.left_out]
    used = [record for record in records if record.batch_size in sizes]
    at = {size: [one for one in used if one.batch_size == size] for size in sizes}
    whole = [size for size, some in at.items() if some and all(one.outcome.upper is not None for one in some)]
    if len(whole) < 3:
        raise FitError(f"{chosen.name}: at {len(whole)} batch sizes every seed reached the target; a replay needs 3")
    timings = [one for one in timings if min(whole) <= one.batch_size <= max(whole)]
    true = truth(used, whole, measured_seconds(timings))
    for seed in chosen.sweep.seeds[:SEEDS]:
        own = {r.batch_size: r for r in used if r.seed == seed and min(whole) <= r.batch_size <= max(whole)}
        for early in (False, True):
            try:
                yield _replay(chosen, seed, own, timings, true, early=early)
            except BatchtimeError:
                continue  # a seed that lacks runs, or whose evaluations see no easier target


def _replay(
    chosen: Experiment,
    seed: int,
    own: dict[int, RunRecord],
    timings: Sequence[UpdateTiming],
    true: Truth,
    *,
    early: bool,
) -> PilotReplay:
    seconds = measured_seconds(timings)
    sizes = sorted(own)
    first, second = pilot_runs.first_sizes(sizes, timings)
    scout = _early(own[first], pilot_runs.EARLIER if early else pilot_runs.EARLY)[1] * seconds.at(first)
    reason = None
    if early:
        late = [_early(own[size], pilot_runs.EARLY) for size in (first, second)]
        earlier = [_early(own[size], pilot_runs.EARLIER)[0].lower for size in (first, second)]
        observations = [seen for seen, _ in late]
        reason = pilot_runs.refusal(pilot_runs.moved(observations, earlier))
        cost = scout + sum(spent * seconds.at(size) for (_, spent), size in zip(late, (first, second), strict=True))
    else:

        def make(size: int, most: float) -> tuple[Observation, float]:
            seen = pilot_runs.whole(own[size].observation(), most)
            return seen, seen.lower if seen.upper is None else seen.upper

        trail = pilot_runs.run_pilot(sizes, timings, make, spent=scout)
        observations, cost = trail.observations, trail.cost
    size, bound, _ = advice.guess(observations, seconds)
    return PilotReplay(
        sweep=chosen.name,
        seed=seed,
        early=early,
        runs=len(observations),
        cost=cost / true.least,
        loss=max(true.loss(size), 0.0),
        bound=bound,
        refused=bound > advice.LIMIT or reason is not None,
        price=pilot_runs.PRICE[early] * scout / cost,
    )


def _early(record: RunRecord, share: float) -> tuple[Observation, float]:
    """Return a run as it is seen at an easier target, and the updates until an evaluation sees it."""
    goal = record.setting.workload.target
    updates, values = record.evaluations.updates, record.evaluations.metrics[goal.metric]
    start = values[0]
    if start is None:
        raise FitError("the first evaluation was not finite")
    target = pilot_runs.easier(goal.value, start, share)
    passed = pilot_runs.crossing(updates, [math.nan if v is None else v for v in values], target)
    if passed is None:
        raise FitError("the easier target was not reached")
    spent = next(u for u, v in zip(updates, values, strict=True) if v is not None and v <= target)
    return Observation(batch_size=record.batch_size, lower=passed, upper=passed, seed=record.seed), float(spent)
