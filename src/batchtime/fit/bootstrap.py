"""The law's band by drawing seeds again: an independent check of the profile intervals."""

from collections.abc import Sequence

import numpy as np

from batchtime.errors import FitError
from batchtime.fit.inverse_law import refitted
from batchtime.fit.likelihood import (
    Rows,
    most_likely_law,
)
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import (
    LEVEL,
    seed_incidence,
)
from batchtime.fit.spreads import rows_of
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw

PERCENTILES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def bootstrap_laws(observations: Sequence[Observation], *, replicates: int, seed: int) -> tuple[InverseLaw, ...]:
    """Return the laws of `replicates` data sets drawn from the runs by seed, never by point.

    Seeds seen at two or more batch sizes are drawn with replacement and bring all their runs along; other runs are
    drawn within their batch size. Each draw is fitted by the likelihood of `fit_inverse_law`. With G seeds the scatter
    of the laws is about sqrt((G - 1) / G) of the true one: a few seeds give too narrow a band.

    Args:
        observations: Runs at two or more batch sizes.
        replicates: Number of data sets drawn, at least 1.
        seed: Of the draws.

    Raises:
        FitError: If the runs do not determine a law, or too few seeds reach two batch sizes for draws that do.
    """
    if replicates < 1:
        raise FitError(f"replicates = {replicates}; allowed: a whole number, at least 1")
    rows = rows_of(observations)
    weights = _draws(rows, observations, replicates, np.random.default_rng(seed))
    best = most_likely_law(rows)
    chunks = range(0, replicates, 250)  # few enough at once to stay in the processor's cache
    return tuple(rows.law(row) for first in chunks for row in refitted(best, weights[first : first + 250]))


def _draws(rows: Rows, observations: Sequence[Observation], replicates: int, generator: np.random.Generator) -> Array:
    """Return (B, R) how often each row is drawn; draws that determine no law are drawn again."""
    incidence, alone = seed_incidence(rows, observations)
    own = np.repeat(np.eye(len(rows.x)), alone.astype(np.intp), axis=0)  # (other runs, R)
    strata = [incidence, *(own[own @ (rows.size == size) > 0] for size in range(len(rows.sizes)))]
    bounds_size = (rows.size[:, None] == np.arange(len(rows.sizes))) & rows.bounded[:, None]  # (R, K)
    weights = np.zeros((replicates, len(rows.x)))
    missing = np.arange(replicates)
    for _ in range(100):
        weights[missing] = sum(
            generator.multinomial(len(stratum), np.full(len(stratum), 1 / len(stratum)), size=len(missing)) @ stratum
            for stratum in strata
            if len(stratum)
        )
        missing = missing[((weights[missing] @ bounds_size) > 0).sum(axis=1) < 2]
        if not len(missing):
            return weights
    raise FitError(
        f"{len(missing)} of {replicates} draws of {len(incidence)} seeds reach fewer than two batch sizes; add seeds "
        "that reach the target at several batch sizes"
    )


def law_band(laws: Sequence[InverseLaw], batch_sizes: Sequence[float] | Array) -> tuple[Array, Array]:
    """Return the 2.5 % and 97.5 % points of the mean updates of some laws at each batch size.

    Raises:
        FitError: If there are no laws.
    """
    if len(laws) == 0:
        raise FitError("0 laws make no band; draw some with bootstrap_laws")
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    low, high = np.quantile([law.updates(sizes) for law in laws], PERCENTILES, axis=0)
    return low, high
