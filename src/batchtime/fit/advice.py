"""From runs and timings to the batch size whose worst loss is least, over the laws and timings that they allow.

Each draw is a law and seconds per update that the measurements allow. At each candidate batch size its training time is
held against the least of that draw: the loss. The advice is the size whose 95 % quantile of the loss is least, and that
quantile is said: at most so much slower than the best. It is refused only above a limit, or where nothing was measured.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchtime.errors import BatchtimeError, FitError, check
from batchtime.fit.curve import CurveFit, fit_curve
from batchtime.fit.curve_draws import log_updates_of
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.law_draws import (
    DRAWS,
    TYPICAL,
    Posterior,
    posterior,
    quasi_random,
)
from batchtime.fit.likelihood import listed
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.next_measurement import NextMeasurement, next_measurement
from batchtime.fit.recommendation import BestGuess, Recommendation
from batchtime.fit.seconds import Seconds, fit_seconds, measured_seconds
from batchtime.fit.update_time import BUSY
from batchtime.laws.quantity import Array, Interval
from batchtime.laws.scaling import FREE, Network, mean_of_slowest

LIMIT = 0.15
"""Of the loss, as a fraction of the least time, above which advice is refused."""
LEVEL = 0.95
EXCESS = 0.05
"""Of the least training time: the range that is returned beside the optimum."""
BETWEEN = 60
"""Candidates between the ends, evenly in log M, beside those that were timed or run."""
REACH = 2.0
"""How far beyond the batch sizes that were run a candidate may lie, as a factor."""
AS_GOOD = 0.003
"""Sizes whose bounds differ by less are as good as each other: the rounder one is advised."""
RATES = 13
"""Learning rates looked at, evenly in their logarithm, beside those that were run."""
PAIR_DRAWS = 500

Runs = Sequence[Observation] | Mapping[float, Sequence[Observation]]
"""Runs at one learning rate, or by learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Times of the candidates in each draw.

    Args:
        sizes: (C,) candidate batch sizes, increasing (for pairs, repeated).
        rates: (C,) learning rates; None with one or none.
        log_updates: (D, C).
        log_law: (D, C) the same by the law alone: what is predicted.
        log_seconds: (D, C) of an update.
        measured: Least and largest batch size between which both runs and timings lie.
    """

    sizes: Array
    rates: Array | None
    log_updates: Array
    log_law: Array
    log_seconds: Array
    measured: tuple[float, float]

    @property
    def time(self) -> Array:
        """Log seconds to the target (D, C)."""
        return self.log_updates + self.log_seconds

    def losses(self) -> Array:
        """Return (D, C) by what fraction each candidate takes longer than the best of its draw."""
        time = self.time
        with np.errstate(over="ignore", invalid="ignore"):
            loss = np.expm1(np.minimum(time - time.min(axis=1, keepdims=True), 50.0))
        return np.asarray(np.where(np.isfinite(time), loss, np.inf))


def recommend(
    observations: Runs,
    timings: Sequence[UpdateTiming],
    *,
    learners: int = 1,
    max_batch_size: int | None = None,
    min_batch_size: int | None = None,
    multiple_of: int = 1,
    network: Network = FREE,
    limit: float = LIMIT,
    reach: float = REACH,
) -> Recommendation:
    """Return the batch size whose 95 % worst loss is least, with that loss, or why none is recommended.

    Args:
        observations: Runs to the target, by one learner or several: updates do not depend on how many. By learning
            rate, a learning rate is chosen as well.
        timings: Updates of one learner.
        learners: That are to share each batch.
        max_batch_size: Of all learners together; what memory allows, say.
        min_batch_size: Below which the law is known to fail, so that nothing less is recommended.
        multiple_of: What the batch size of each learner is to be a multiple of.
        network: Between the learners; without it their communication is taken to be free.
        limit: Of the loss; above it the advice is refused.
        reach: How far beyond the batch sizes that were run it is looked, as a factor.

    Raises:
        ParameterError: If learners, sizes or the limit are not allowed.

    Example:
        >>> found = recommend(runs, timings)  # doctest: +SKIP
        >>> found.batch_size, found.regret  # doctest: +SKIP
    """
    check(learners >= 1, name="learners", value=learners, allowed="a whole number, at least 1")
    check(multiple_of >= 1, name="multiple_of", value=multiple_of, allowed="a whole number, at least 1")
    check(0 < limit < math.inf, name="limit", value=limit, allowed="more than 0")
    step = learners * multiple_of
    if max_batch_size is not None:
        each = f"{multiple_of} for" if multiple_of > 1 else "1 for"
        allowed = f"a whole number of at least {each} each of the {learners} learners"
        check(max_batch_size >= step, name="max_batch_size", value=max_batch_size, allowed=allowed)
    bounds = (step, min_batch_size or 0, math.inf if max_batch_size is None else max_batch_size)
    try:
        seconds = measured_seconds(timings)
        if isinstance(observations, Mapping):
            return _of_rates(
                observations, timings, seconds, learners=learners, network=network, bounds=bounds, limit=limit
            )
        flat = list(observations)
        found = posterior(flat)
        drawn = draw(found, seconds, learners=learners, network=network, bounds=bounds, reach=reach)
    except FitError as error:
        return Recommendation(learners=learners, reasons=(_sentence(error),))
    scatter = np.interp(drawn.sizes, found.means.sizes, found.means.scatter)
    further = next_measurement(seconds, scatter, drawn.sizes, drawn.losses(), drawn.time, learners=learners)
    advice = _advice(drawn, learners=learners, limit=limit, further=further)
    said = (
        *_of_the_timings(timings, seconds, drawn, advice, learners),
        *_of_the_limits(drawn, advice, (min_batch_size, max_batch_size), learners, network),
        *_of_the_runs(found, flat),
    )
    return replace(advice, pilot_seconds=_pilot_seconds(seconds, flat), warnings=(*advice.warnings, *said))


def guess(observations: Sequence[Observation], seconds: Seconds) -> tuple[float, float, float]:
    """Return the best batch size of all that were timed, its bound, and its predicted seconds to the target.

    Raises:
        FitError: If the runs determine no law.
    """
    drawn = draw(posterior(observations), seconds, reach=math.inf)
    bounds = np.quantile(drawn.losses(), LEVEL, axis=0, method="higher")
    best = int(np.argmin(bounds))
    return float(drawn.sizes[best]), float(bounds[best]), float(np.exp(min(np.median(drawn.time[:, best]), 700.0)))


def log_seconds_of(seconds: Seconds, uniforms: Array, sizes: Array, learners: int, network: Network) -> Array:
    """Return (D, C) log seconds of an update of some learners together."""
    share = sizes * mean_of_slowest(learners, network.straggling) / learners
    alone = seconds.draws(uniforms, share)
    talk = network.all_reduce.seconds(learners, network.payload_bytes)
    return alone if talk == 0 else np.asarray(np.logaddexp(alone, math.log(talk)))


def _ends(run: Array, timed: Array, reach: float = REACH) -> tuple[float, float]:
    """Return between which batch sizes both runs (to a factor) and timings lie; or what lies between the two."""
    low, high = max(run[0] / reach, timed[0]), min(run[-1] * reach, timed[-1])
    return (low, high) if low <= high else (high, low)


def _candidates(low: float, high: float, kept: Array, bounds: tuple[int, float, float]) -> Array:
    """Return batch sizes that may be used: those that were measured and 60 between, as multiples of a step."""
    step, least, most = bounds
    low, high = max(low, least), min(high, most)
    if low > high:  # all that may be used lies on one side of what was measured
        low = high = least if low == least and least > high else most
    kept = kept[(kept >= low) & (kept <= high)]
    sizes = np.concatenate((np.geomspace(low, high, BETWEEN + 2), kept))
    whole = np.unique(step * np.maximum(np.round(sizes / step), 1))
    inside = whole[(whole >= low * (1 - 1e-9)) & (whole <= high * (1 + 1e-9))]
    if not len(inside):
        nearest = whole[(whole >= least) & (whole <= most)]
        inside = nearest if len(nearest) else np.array([step * max(math.floor(most / step), 1)], dtype=np.float64)
    return np.asarray(inside, dtype=np.float64)


def draw(
    found: Posterior,
    seconds: Seconds,
    *,
    learners: int = 1,
    network: Network = FREE,
    bounds: tuple[int, float, float] = (1, 0, math.inf),
    reach: float = REACH,
) -> Drawn:
    """Return the times of candidates over laws and timings; see `recommend` for what is between which sizes."""
    run, timed = found.means.sizes, seconds.sizes * learners
    low, high = _ends(run, timed, reach)
    sizes = _candidates(low, high, np.concatenate((run, timed)), bounds)
    own = found.dimensions(sizes)
    uniforms = quasi_random(DRAWS, own + seconds.dimensions)
    return Drawn(
        sizes=sizes,
        rates=None,
        log_updates=found.draws(uniforms[:, :own], sizes),
        log_law=found.draws(uniforms[:, :own], sizes, misfit=False),
        log_seconds=log_seconds_of(seconds, uniforms[:, own:], sizes, learners, network),
        measured=(max(float(run[0]), float(timed[0])), min(float(run[-1]), float(timed[-1]))),
    )


def _advice(drawn: Drawn, *, learners: int, limit: float, further: NextMeasurement | None = None) -> Recommendation:
    """Return the candidate of the least bound, and what is known of it."""
    losses, time = drawn.losses(), drawn.time
    bounds = np.quantile(losses, LEVEL, axis=0, method="higher")
    best = roundest(drawn.sizes, bounds)
    bound = float(bounds[best])
    size = int(drawn.sizes[best])
    middle = np.median(time, axis=0)
    near = np.flatnonzero(middle <= middle.min() + math.log1p(EXCESS))
    within = (float(drawn.sizes[near].min()), float(drawn.sizes[near].max()))
    fastest = time.argmin(axis=1)
    interval = _interval(drawn.sizes[fastest], drawn.sizes)
    predicted = float(
        np.exp(min(np.median(np.minimum(drawn.log_law[:, best] + drawn.log_seconds[:, best], 1e3)), 700.0))
    )
    rate = None if drawn.rates is None else float(drawn.rates[best])
    guess = BestGuess(batch_size=size, learning_rate=rate, predicted_seconds=predicted, within_5_percent=within)
    low, high = drawn.measured
    beyond = not (low <= high and low * (1 - 1e-9) <= size <= high * (1 + 1e-9))
    far = not (low <= high * 1.0001 and low / REACH <= size <= high * REACH)
    reasons = []
    if not bound <= limit:
        reasons.append(
            f"Batch size {size} may take {_percent(bound)} longer than the best (95 %), more than the limit of "
            f"{_percent(limit)}.{'' if further is None else ' ' + further.text()}"
        )
    if far:
        reasons.append(
            f"Nothing was measured near batch size {size}: both runs and timings lie between {low:g} and {high:g}."
            if low <= high
            else "No batch size was both run and timed, to a factor of 2: time those that were run."
        )
    common = {
        "learners": learners,
        "interval": interval,
        "regret": bound if math.isfinite(bound) else None,
        "best_guess": guess,
        "beyond_measured": beyond,
        "next_measurement": further,
        "learning_rate_interval": None if drawn.rates is None else _interval(drawn.rates[fastest], None),
    }
    if reasons:
        return Recommendation(**common, reasons=tuple(reasons))  # type: ignore[arg-type]
    ends = np.exp(np.minimum(np.quantile(np.minimum(time[:, best], 1e3), ((1 - LEVEL) / 2, (1 + LEVEL) / 2)), 700.0))
    return Recommendation(
        **common,  # type: ignore[arg-type]
        batch_size=size,
        learning_rate=rate,
        within_5_percent=within,
        predicted_seconds=predicted,
        predicted_seconds_interval=(float(ends[0]), float(ends[1])),
        predicted_updates=float(np.exp(np.median(np.minimum(drawn.log_law[:, best], 700.0)))),
        refused=False,
    )


def roundest(sizes: Array, bounds: Array) -> int:
    """Return the candidate of the least bound, or of those as good the one divisible by the highest power of two."""
    good = np.flatnonzero(bounds <= bounds.min() + AS_GOOD) if np.isfinite(bounds.min()) else np.arange(len(bounds))
    if not np.isfinite(bounds.min()):
        return int(good[-1])
    whole = sizes[good].astype(np.int64)
    return int(good[np.argmax(whole & -whole)])


def _interval(values: Array, candidates: Array | None) -> Interval:
    """Return the 95 % interval of some values; None on a side that reaches the end of the candidates."""
    low, high = (float(v) for v in np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="nearest"))
    if candidates is None:
        return low, high
    return (None if low <= candidates[0] else low), (None if high >= candidates[-1] else high)


def _percent(fraction: float) -> str:
    return "any number of times" if not fraction < 100 else f"{100 * fraction:.2g} %"


def _sentence(error: BatchtimeError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _pilot_seconds(seconds: Seconds, observations: Sequence[Observation]) -> float:
    """Return what the updates of some runs cost one learner; a run known to lie in an interval counts with its end."""
    sizes = np.array([seen.batch_size for seen in observations])
    spent = np.array([seen.lower if seen.upper is None else seen.upper for seen in observations])
    return float(sum(spent[sizes == size].sum() * seconds.at(float(size)) for size in np.unique(sizes)))


# What to know before acting on it


def _of_the_timings(
    timings: Sequence[UpdateTiming], seconds: Seconds, drawn: Drawn, advice: Recommendation, learners: int
) -> Iterator[str]:
    busy = max((timing.wall_over_cpu for timing in timings), default=1.0)
    if busy > BUSY:
        yield (
            f"The machine was busy while it was timed: an update took {busy:.2f} times its CPU time; time again on a "
            "quiet one."
        )
    if (guess := advice.best_guess) is None:
        return
    low, high = guess.within_5_percent
    if len(seconds.sizes) > 1:
        form = fit_seconds(timings)
        near = [
            f"{size:g} ({100 * math.expm1(off):+.0f} %)"
            for size, off in form.misses
            if low / 2 <= size * learners <= high * 2
        ]
        if near:
            yield (
                f"No closed form describes the seconds at batch size {', '.join(near)} near the answer: the medians "
                "themselves are used there."
            )
    else:
        yield "One batch size was timed: how seconds grow with the batch is not known; time others."
    for end, word, place in ((drawn.sizes[0], "below", 0), (drawn.sizes[-1], "above", -1)):
        timed = float(seconds.sizes[place] * learners)
        at_end = np.mean(drawn.time.argmin(axis=1) == (place if place == 0 else len(drawn.sizes) - 1))
        if at_end > 0.5 and len(drawn.sizes) > 1:
            kind = "timed" if math.isclose(end, timed, rel_tol=0.1) else "measured or allowed"
            yield (
                f"The best batch size may lie {word} {end:g}, where nothing was {kind}: what is said holds for "
                f"{drawn.sizes[0]:g} to {drawn.sizes[-1]:g}."
            )


def _of_the_limits(
    drawn: Drawn,
    advice: Recommendation,
    ends: tuple[int | None, int | None],
    learners: int,
    network: Network,
) -> Iterator[str]:
    least, most = ends
    guess = advice.best_guess
    if guess is not None and len(drawn.sizes) > 1:
        middle = int(np.argmin(np.median(drawn.time, axis=0)))
        if most is not None and middle == len(drawn.sizes) - 1 and drawn.sizes[-1] >= 0.9 * most:
            yield f"The largest batch size allowed, {most}, holds the optimum back."
        if least is not None and middle == 0 and drawn.sizes[0] <= 1.1 * least:
            yield f"The optimum by the law lies below {least}, where the law fails: not advised."
    if learners > 1 and network == FREE:
        yield "Communication between the learners is taken to be free: the time is the least that is possible."


def _of_the_runs(found: Posterior, observations: Sequence[Observation]) -> Iterator[str]:
    if found.means.typical:
        yield (
            f"There is one run at each batch size: they are taken to scatter by a typical {_percent(TYPICAL.scatter)}, "
            f"and their means to stand a typical {_percent(TYPICAL.misfit)} off the law; add seeds."
        )
    poles = found.weights.sum(axis=(0, 2))
    if len(poles) > 1 and poles[0] < 0.2:
        middle = float(found.poles @ poles)
        yield (
            f"Updates rise towards small batches as near a pole, at about {middle:.3g}: the law with a pole is used; "
            "below the smallest batch size that was run nothing is known."
        )
    yield from fit_inverse_law(observations).warnings


# Several learning rates


def _of_rates(
    runs: Mapping[float, Sequence[Observation]],
    timings: Sequence[UpdateTiming],
    seconds: Seconds,
    *,
    learners: int,
    network: Network,
    bounds: tuple[int, float, float],
    limit: float,
) -> Recommendation:
    """Return the advice from the curve; from the best single learning rate where there is no curve."""
    flat = [seen for some in runs.values() for seen in some]
    cost = _pilot_seconds(seconds, flat)
    try:
        curve = fit_curve(runs, full=False)
    except FitError as error:
        return replace(
            _best_rate(runs, timings, learners=learners, network=network, bounds=bounds, limit=limit, why=error),
            pilot_seconds=cost,
        )
    drawn = _drawn_pairs(curve, seconds, learners=learners, network=network, bounds=bounds)
    further = next_measurement(
        seconds,
        np.full(len(drawn.sizes), math.hypot(curve.misfit, TYPICAL.scatter)),
        drawn.sizes,
        drawn.losses(),
        drawn.time,
        rates=drawn.rates,
        learners=learners,
    )
    advice = _advice(drawn, learners=learners, limit=limit, further=further)
    largest = curve.law.largest_learning_rate
    beyond = f"Learning rates above {largest:g}, the largest at which every seed reached the target, are not looked at."
    said = (
        *_of_the_timings(timings, seconds, _along(drawn, advice), advice, learners),
        beyond,
        *curve.warnings,
    )
    return replace(advice, pilot_seconds=cost, warnings=(*advice.warnings, *said))


def _drawn_pairs(
    curve: CurveFit, seconds: Seconds, *, learners: int, network: Network, bounds: tuple[int, float, float]
) -> Drawn:
    run = np.unique([one.batch_size for one in curve.cells])
    rates_run = np.unique([one.learning_rate for one in curve.cells])
    timed = seconds.sizes * learners
    sizes = _candidates(*_ends(run, timed), np.concatenate((run, timed)), bounds)
    rates = np.unique(np.concatenate((rates_run, np.geomspace(rates_run[0], rates_run[-1], RATES))))
    pairs = np.array([(size, rate) for size in sizes for rate in rates])
    uniforms = quasi_random(PAIR_DRAWS, 4 + 12 + seconds.dimensions)
    updates = log_updates_of(curve, uniforms[:, :16], pairs[:, 0], pairs[:, 1])
    per_size = log_seconds_of(seconds, uniforms[:, 16:], sizes, learners, network)
    return Drawn(
        sizes=pairs[:, 0],
        rates=pairs[:, 1],
        log_updates=updates,
        log_law=updates,
        log_seconds=np.repeat(per_size, len(rates), axis=1),
        measured=(max(float(run[0]), float(timed[0])), min(float(run[-1]), float(timed[-1]))),
    )


def _along(drawn: Drawn, advice: Recommendation) -> Drawn:
    """Return the candidates at the learning rate of the advice alone."""
    guess = advice.best_guess
    here = np.flatnonzero(drawn.rates == guess.learning_rate) if guess is not None else np.arange(len(drawn.sizes))
    return replace(
        drawn,
        sizes=drawn.sizes[here],
        log_updates=drawn.log_updates[:, here],
        log_law=drawn.log_law[:, here],
        log_seconds=drawn.log_seconds[:, here],
    )


def _best_rate(
    runs: Mapping[float, Sequence[Observation]],
    timings: Sequence[UpdateTiming],
    *,
    learners: int,
    network: Network,
    bounds: tuple[int, float, float],
    limit: float,
    why: FitError,
) -> Recommendation:
    """Return the advice of the learning rate that is fastest alone, where the runs make no curve."""
    tried = {}
    for rate, some in sorted(runs.items()):
        sizes = {one.batch_size for one in some}
        if all(any(o.upper is None for o in some if o.batch_size == size) for size in sizes):
            continue  # no batch size at which every seed reached the target
        found = recommend(
            some,
            timings,
            learners=learners,
            max_batch_size=None if math.isinf(bounds[2]) else int(bounds[2]),
            min_batch_size=int(bounds[1]) or None,
            multiple_of=bounds[0] // learners,
            network=network,
            limit=limit,
        )
        if found.best_guess is not None:
            tried[rate] = found
    if not tried:
        return Recommendation(learners=learners, reasons=(_sentence(why),))
    given = {rate: one for rate, one in tried.items() if not one.refused} or tried
    rate = min(given, key=lambda r: given[r].best_guess.predicted_seconds)  # type: ignore[union-attr]
    best = given[rate]
    rests = f"It rests on the runs at learning rate {rate:g} alone, of {listed(sorted(tried))}: {why}."
    return replace(
        best,
        learning_rate=None if best.refused else rate,
        learning_rate_interval=(None, None) if len(tried) > 1 else None,
        best_guess=replace(best.best_guess, learning_rate=rate) if best.best_guess is not None else None,
        warnings=(rests, *best.warnings),
    )
