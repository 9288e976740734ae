"""Which one more measurement would lower the bound on the loss most: a run, or a timing, and of which batch size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from batchtime.fit.likelihood import Indices
from batchtime.fit.seconds import LEAST_ERROR, Seconds
from batchtime.laws.quantity import Array

LEVEL = 0.95
OUTCOMES = 5
"""How many outcomes of a measurement are looked at, evenly by probability."""
DRAWS = 400
"""Of the draws, how many are weighed anew."""
CONTENDERS = 100
"""Candidates of the least bounds, of which one may be the best after the measurement."""
LEAST_GAIN = 0.002
"""Of the bound: a measurement that lowers it by less is not proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextMeasurement:
    """One more measurement.

    Args:
        kind: A run to the target, or timings of updates.
        batch_size: Of all learners together.
        learning_rate: None where there are no several.
        regret_after: The bound that is expected after it.
    """

    kind: Literal["runs", "timing"]
    batch_size: float
    learning_rate: float | None
    regret_after: float

    def text(self) -> str:
        """Return it as a sentence."""
        what = "A run" if self.kind == "runs" else "Timing updates"
        after = f"{100 * self.regret_after:.2g} %"
        rate = "" if self.learning_rate is None else f" and learning rate {self.learning_rate:.3g}"
        return f"{what} at batch size {self.batch_size:g}{rate} would lower that to about {after}."


def next_measurement(
    seconds: Seconds,
    scatter: Array,
    sizes: Array,
    losses: Array,
    time: Array,
    *,
    rates: Array | None = None,
    learners: int = 1,
) -> NextMeasurement | None:
    """Return the measurement after which the expected bound is least; None where none lowers it.

    A measurement sees, at a candidate, log updates to the scatter of a run, or log seconds to 2 %. For each of some
    outcomes the draws are weighed by how likely they make it, and the bound is taken anew. Of measurements nearly as
    good the cheaper is proposed: a timing before a run.

    Args:
        seconds: The timings.
        scatter: (C,) standard deviation of log N of a run at each candidate.
        sizes: (C,) candidates, by increasing batch size.
        losses: (D, C).
        time: (D, C) log seconds to the target.
        rates: (C,) their learning rates; None with one or none.
        learners: That share each batch.
    """
    if len(sizes) < 2:
        return None
    step = max(len(losses) // DRAWS, 1)
    few, times = losses[::step], time[::step]
    bounds = np.quantile(few, LEVEL, axis=0, method="higher")
    now = float(bounds.min())
    if not now > LEAST_GAIN:
        return None
    few = few[:, np.argsort(bounds, kind="stable")[:CONTENDERS]]
    order = np.argsort(few, axis=0)  # (D, contenders)
    ordered = np.take_along_axis(few, order, axis=0)
    places = _few(sizes) if rates is None else _few_pairs(sizes, rates)
    tried = []
    for kind, place, noise in _measurements(seconds, scatter, sizes, places, learners):
        # What is measured is one factor of the time; the other's share of its scatter is noise to it.
        values = np.minimum(times[:, place], 1e3)
        tried.append((_expected(ordered, order, values, noise), kind, place))
    if not tried:
        return None
    least = min(tried)[0]
    if not least < now - LEAST_GAIN:
        return None
    good = [one for one in tried if one[0] <= least + 0.2 * (min(now, 1e9) - least)]
    after, kind, best = min(good, key=lambda one: (one[1] == "runs", one[0]))
    rate = None if rates is None or kind == "timing" else float(rates[best])
    return NextMeasurement(kind=kind, batch_size=float(sizes[best]), learning_rate=rate, regret_after=after)


def _few(values: Array, most: int = 9) -> Indices:
    """Return the places of some of the values, evenly."""
    return np.unique(np.linspace(0, len(values) - 1, most).round().astype(np.intp))


def _few_pairs(sizes: Array, rates: Array) -> Indices:
    """Return the places of at most 9 batch sizes with at most 4 learning rates each, evenly."""
    some = [values[_few(values, most)] for values, most in ((np.unique(sizes), 9), (np.unique(rates), 4))]
    return np.flatnonzero(np.isin(sizes, some[0]) & np.isin(rates, some[1]))


def _measurements(
    seconds: Seconds, scatter: Array, sizes: Array, places: Indices, learners: int
) -> Iterator[tuple[Literal["runs", "timing"], int, float]]:
    """Return kinds, candidates and noise of what may be measured."""
    timed = np.log(seconds.sizes * learners)
    for place in places:
        yield "runs", int(place), float(scatter[place])
        if np.abs(timed - math.log(sizes[place])).min() > 0.05:
            yield "timing", int(place), LEAST_ERROR


def _expected(ordered: Array, order: Indices, values: Array, noise: float) -> float:
    """Return the mean, over outcomes, of the least bound after weighing the draws (D, C) by values (D,) seen."""
    outcomes = np.quantile(values, (np.arange(OUTCOMES) + 0.5) / OUTCOMES)
    outcomes = outcomes + noise * ndtri(((np.arange(OUTCOMES) * 2 + 1) % OUTCOMES + 0.5) / OUTCOMES)
    bounds = []
    for outcome in outcomes:
        weights = np.exp(-0.5 * np.clip((values - outcome) / noise, -30, 30) ** 2)
        share = np.cumsum(weights[order], axis=0)  # (D, C)
        at = (share < LEVEL * share[-1]).sum(axis=0).clip(max=len(order) - 1)
        bounds.append(float(ordered[at, np.arange(order.shape[1])].min()))
    return float(np.mean(bounds))
