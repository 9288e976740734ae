"""Mean updates at each batch size, from its own runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchtime.fit.likelihood import (
    gather,
    most_likely_means,
)
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import (
    f_point,
)
from batchtime.fit.spreads import with_spreads
from batchtime.laws.quantity import Interval

LONGEST_REACH = 300.0
"""Ends further than this from their centre, in log N, are said to be open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanUpdates:
    """Mean updates to the target at one batch size, from its own runs.

    Args:
        batch_size: Examples in a batch.
        mean: Mean of N; None where the runs do not bound it from both sides (all censored, say).
        interval: 95 %; both sides None where the scatter is not known.
        n_runs: Runs, censored ones included.
        n_censored: Runs that did not reach the target.
    """

    batch_size: float
    mean: float | None
    interval: Interval
    n_runs: int
    n_censored: int


def mean_updates(observations: Sequence[Observation]) -> tuple[MeanUpdates, ...]:
    """Return the most likely mean updates of each batch size, by increasing batch size; nothing for no runs.

    Log-normal with a mean of its own for each batch size and one spread for all; intervals and censored runs count as
    in `fit_inverse_law`. The 95 % intervals are mean exp(+-t se) with as many degrees of freedom as runs that reached
    the target less batch sizes.

    Raises:
        FitError: If a value is impossible.
    """
    if len(observations) == 0:
        return ()
    rows = with_spreads(gather(observations, for_law=False))
    means, reaches = np.full(len(rows.sizes), np.nan), np.full(len(rows.sizes), np.inf)
    if rows.bounded.any():
        sizes, best = most_likely_means(rows)
        means[sizes] = best.parameters[:-1]
        n = rows.n_reached
        freedom = max(n - len(sizes), 1)
        if best.spread_known:
            variances = np.maximum(np.diag(best.covariance)[:-1], 0.0)
            reaches[sizes] = np.sqrt(f_point(freedom) * variances * n / freedom) / means[sizes]
    columns = (
        rows.sizes,
        means * rows.unit_updates,
        reaches,
        rows.by_size(rows.counts > 0),
        rows.by_size(~rows.reached),
    )
    return tuple(
        MeanUpdates(
            batch_size=float(size),
            mean=finite(mean),
            interval=around(mean, reach, reach),
            n_runs=int(runs),
            n_censored=int(censored),
        )
        for size, mean, reach, runs, censored in zip(*columns, strict=True)
    )


def around(mean: float, below: float, above: float) -> Interval:
    """Return the interval that reaches so far below and above a mean, in log N; open where that is not known."""
    low = float(mean * math.exp(-below)) if below < LONGEST_REACH else None
    return low, float(mean * math.exp(above)) if above < LONGEST_REACH else None


def finite(value: float) -> float | None:
    """Return a number, or None for one that is infinite or not known."""
    return float(value) if math.isfinite(value) else None
