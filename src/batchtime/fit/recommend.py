"""From runs and timings to a batch size that one can act on, or to the reasons why there is none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchtime.errors import BatchtimeError, FitError, check
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.training_time import TrainingTimeFit, fit_training_time
from batchtime.fit.update_time import BUSY
from batchtime.laws.quantity import Interval
from batchtime.laws.scaling import FREE, Network, with_learners
from batchtime.laws.time import TrainingTime

LEAST_REACHED = 0.7
"""Fraction of the runs at the smallest and at the largest batch size that must have reached the target."""
LARGEST_DEVIATION = 0.15
"""Of the fitted time per update from the median seconds."""
BEYOND = 2.0
"""How far outside of the batch sizes that were run the optimum may lie, as a factor."""
EXCESS = 0.05
"""Of the least training time: the range that is returned beside the optimum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A batch size for some learners, or the reasons why none is recommended.

    Args:
        learners: That share each batch.
        batch_size: A whole number of examples of all learners together, the same for each; None if refused.
        interval: 95 % interval of the optimum, before it is rounded or limited; None on a side that is open.
        within_5_percent: Least and largest batch size that may be used at a predicted time at most 5 % above the least
            of all that may; None if refused.
        predicted_seconds: Mean seconds to the target at `batch_size`, evaluations not counted; None if refused.
        predicted_updates: Mean updates to the target there; None if refused.
        pilot_seconds: What the updates of all runs given cost one learner, by the fitted time per update; None where
            that could not be fitted.
        refused: Whether there is no recommendation.
        reasons: Why it is refused, one sentence each.
        warnings: What to know before acting on it, one sentence each.
    """

    learners: int
    batch_size: int | None
    interval: Interval
    within_5_percent: tuple[float, float] | None
    predicted_seconds: float | None
    predicted_updates: float | None
    pilot_seconds: float | None
    refused: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def recommend(
    observations: Sequence[Observation],
    timings: Sequence[UpdateTiming],
    *,
    learners: int = 1,
    max_batch_size: int | None = None,
    min_batch_size: int | None = None,
    network: Network = FREE,
) -> Recommendation:
    """Return the batch size of the least predicted training time, with its interval and the range within 5 %.

    It is refused where updates do not fall with the batch size, the runs leave a side of alpha / n_inf open, the
    optimum or the largest batch size allowed lies beyond twice the largest or below half the smallest batch size that
    was run, or one learner's share of the optimum so far from what was timed, fewer than 70 % of the runs at an end
    reached the target, the machine of the timings was busy (wall / CPU above 1.1), or the fitted time per update misses
    a median by more than 15 %.

    Args:
        observations: Runs to the target, by one learner or several: updates do not depend on how many.
        timings: Updates of one learner.
        learners: That are to share each batch.
        max_batch_size: Of all learners together; what memory allows, say.
        min_batch_size: Below which the law is known to fail, so that nothing less is recommended.
        network: Between the learners; without it their communication is taken to be free.

    Raises:
        ParameterError: If the learners or the largest batch size are not allowed.
    """
    check(learners >= 1, name="learners", value=learners, allowed="a whole number, at least 1")
    if max_batch_size is not None:
        allowed = f"a whole number of at least 1 for each of the {learners} learners"
        check(max_batch_size >= learners, name="max_batch_size", value=max_batch_size, allowed=allowed)
    try:
        found = fit_training_time(observations, timings, allow_busy=True)
    except FitError as error:
        return _refusal(learners, [_sentence(error)])
    reasons = list(
        _reasons(found, observations, timings, learners=learners, network=network, max_batch_size=max_batch_size)
    )
    if reasons:
        cost = _pilot_seconds(found, observations)
        return _refusal(learners, reasons, interval=found.optimal_batch_size, pilot_seconds=cost)
    time = with_learners(found.time, learners, network)
    best = time.optimal_batch_size
    most = math.inf if max_batch_size is None else max_batch_size
    least = 1 if min_batch_size is None else min(min_batch_size, most)
    held = max(least, min(best, most))
    low, high = time.within((1 + EXCESS) * time.seconds(held) / time.least_seconds - 1)
    share = max(1, math.ceil(least / learners), round(min(best, most) / learners))
    if share * learners > most:
        share -= 1
    size = share * learners
    # With several learners the machine's part of the optimum moves, its uncertainty does not.
    factor = best / found.time.optimal_batch_size
    lower, upper = (None if end is None else end * factor for end in found.optimal_batch_size)
    return Recommendation(
        learners=learners,
        batch_size=size,
        interval=(lower, upper),
        within_5_percent=(max(low, least), min(high, most)),
        predicted_seconds=time.seconds(float(size)),
        predicted_updates=found.time.law.updates(float(size)),
        pilot_seconds=_pilot_seconds(found, observations),
        refused=False,
        reasons=(),
        warnings=tuple(
            _warnings(
                found, time, observations, learners=learners, network=network, ends=(min_batch_size, max_batch_size)
            )
        ),
    )


def fastest(several: Sequence[Recommendation]) -> Recommendation:
    """Return the recommendation of the shortest predicted time; the first one where all are refused."""
    given = [one for one in several if one.predicted_seconds is not None]
    return min(given, key=lambda one: one.predicted_seconds or math.inf) if given else several[0]


def _pilot_seconds(found: TrainingTimeFit, observations: Sequence[Observation]) -> float:
    """Return what the updates of some runs cost; a run known to lie in an interval counts with its end."""
    return sum(
        (seen.lower if seen.upper is None else seen.upper) * found.time.update_time.seconds(float(seen.batch_size))
        for seen in observations
    )


def _refusal(
    learners: int,
    reasons: Sequence[str],
    *,
    interval: Interval = (None, None),
    pilot_seconds: float | None = None,
) -> Recommendation:
    return Recommendation(
        learners=learners,
        batch_size=None,
        interval=interval,
        within_5_percent=None,
        predicted_seconds=None,
        predicted_updates=None,
        pilot_seconds=pilot_seconds,
        refused=True,
        reasons=tuple(reasons),
        warnings=(),
    )


def _sentence(error: BatchtimeError) -> str:
    text = str(error)
    return text if text.endswith(".") else f"{text}."


def _reasons(
    found: TrainingTimeFit,
    observations: Sequence[Observation],
    timings: Sequence[UpdateTiming],
    *,
    learners: int,
    network: Network,
    max_batch_size: int | None,
) -> Iterator[str]:
    if found.time.law.alpha == 0:
        yield "Updates do not fall with the batch size: the law's alpha is 0; add runs at smaller batch sizes."
        return
    low, high = found.law_fit.intervals.critical_batch_size
    if low is None or high is None:
        yield (
            "The runs leave alpha / n_inf open on a side: add runs at smaller and at larger batch sizes, or more seeds."
        )
    sizes = sorted({seen.batch_size for seen in observations})
    for size in (sizes[0], sizes[-1]):
        here = [seen for seen in observations if seen.batch_size == size]
        reached = sum(not seen.censored for seen in here)
        if reached < LEAST_REACHED * len(here):
            yield (
                f"Only {reached} of {len(here)} runs at batch size {size:g} reached the target, fewer than "
                f"{100 * LEAST_REACHED:.0f} %: leave that batch size out, or allow more updates."
            )
    best = with_learners(found.time, learners, network).optimal_batch_size
    if not sizes[0] / BEYOND <= best <= sizes[-1] * BEYOND:
        yield (
            f"The optimum for L = {learners}, {best:.3g}, lies outside of half the smallest to twice the largest batch "
            f"size that was run, {sizes[0]:g} and {sizes[-1]:g}: run batch sizes nearer to it."
        )
    elif max_batch_size is not None and max_batch_size * BEYOND < sizes[0]:
        yield (
            f"The largest batch size allowed, {max_batch_size}, lies below half the smallest that was run, "
            f"{sizes[0]:g}: run batch sizes nearer to it."
        )
    timed = sorted(timing.batch_size for timing in timings)
    if not timed[0] / BEYOND <= best / learners <= timed[-1] * BEYOND:
        yield (
            f"One learner's share of the optimum, {best / learners:.3g}, lies outside of half the smallest to twice "
            f"the largest batch size that was timed, {timed[0]:g} and {timed[-1]:g}: time batch sizes nearer to it."
        )
    busy = max(timing.wall_over_cpu for timing in timings)
    if busy > BUSY:
        yield (
            f"The machine was busy: an update took {busy:.2f} times its CPU time, more than {BUSY}: time again on a "
            "quiet machine."
        )
    if found.form.largest_deviation > LARGEST_DEVIATION:
        yield (
            f"The time per update misses a median by {100 * found.form.largest_deviation:.0f} %, more than "
            f"{100 * LARGEST_DEVIATION:.0f} %: time more batch sizes, each more often."
        )


def _excess(time: TrainingTime, batch_size: int) -> str:
    return f"{100 * (time.seconds(float(batch_size)) / time.least_seconds - 1):.0f} %"


def _warnings(
    found: TrainingTimeFit,
    time: TrainingTime,
    observations: Sequence[Observation],
    *,
    learners: int,
    network: Network,
    ends: tuple[int | None, int | None],
) -> Iterator[str]:
    min_batch_size, max_batch_size = ends
    best = time.optimal_batch_size
    if min_batch_size is not None and best < min_batch_size:
        yield (
            f"The optimum by the law is {best:.3g}; below {min_batch_size} the law fails: not advised. At "
            f"{min_batch_size} training takes {_excess(time, min_batch_size)} longer than by the law at that optimum."
        )
    if max_batch_size is not None and best > max_batch_size:
        yield (
            f"The optimum is {best:.4g}; the largest batch size allowed, {max_batch_size}, holds it back, at "
            f"{_excess(time, max_batch_size)} more training time."
        )
    if len(observations) == len({seen.batch_size for seen in observations}):
        yield "There is one run at each batch size: their scatter is told from the fit alone; add seeds."
    if best < learners:
        yield f"The optimum, {best:.3g}, is less than one example for each of {learners} learners: take fewer."
    if learners > 1 and network == FREE:
        yield "Communication between the learners is taken to be free: the time is the least that is possible."
    low, high = found.within_law
    if min_batch_size is None and not low <= best <= high:
        yield f"The optimum, {best:.3g}, lies beyond the batch sizes that reached the target, {low:g} to {high:g}."
    if found.form.freedom < 2:
        yield (
            f"The time per update is fitted to {found.form.freedom + len(found.form.covariance)} batch sizes, and was "
            "not checked against others."
        )
    yield from found.law_fit.warnings
