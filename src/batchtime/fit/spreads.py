"""How the spread of runs falls with the batch size: s^2 = a + b / M^2, as far as a table can tell.

What a run needs scatters for two reasons. Where it starts differs by seed, and does as much at every batch size: a. The
gradients that it meets are noisy: the target is passed where a curve of slope g' with noise in it crosses a level, so
that Var N = Var g / g'^2 (first passage), which goes as N^2 / M^2: b / M^2.

What is estimated is the share q = (b / M_1^2) / (a + b / M_1^2) of the noise at the smallest batch size M_1: 0 is one
spread for all, 1 a spread in proportion to 1 / M. Each q is as likely as another before runs are seen (its effect, a
spread that falls by 0.6 in the mean, is that of the recorded sweeps), and the log spreads are their mean over q.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from batchtime.fit.likelihood import Rows, gather, most_likely_law, most_likely_means
from batchtime.fit.measurements import Observation
from batchtime.laws.quantity import Array

LOGITS = np.arange(-3.0, 8.0, 1.5)
"""Of the shares q that are looked at: 5 % to 99.9 %."""


def relative_spreads(rows: Rows, share: float) -> Array:
    """Return (R,) the log spread of each row over the root mean square of all runs, where noise has this share."""
    variances = (1 - share) + share * (rows.sizes[0] / rows.sizes[rows.size]) ** 2
    return np.asarray(0.5 * np.log(variances / np.average(variances, weights=rows.counts)))


def rows_of(observations: Sequence[Observation]) -> Rows:
    """Return runs, checked and gathered, with the spreads that they tell; those of the last few tables are kept.

    Raises:
        FitError: If the runs do not determine a law, or a value is impossible.
    """
    return _rows_of(tuple(observations))


@lru_cache(maxsize=4)  # the advice asks for the law and for its draws, and so for each number of learners
def _rows_of(observations: tuple[Observation, ...]) -> Rows:
    return with_spreads(gather(observations))


def with_spreads(rows: Rows) -> Rows:
    """Return the rows with spreads that fall with the batch size as far as their runs tell.

    The likelihood of a share is that of a mean for each batch size, so that a law that fails is not taken for scatter,
    or, where more is left over so (one run at each batch size, say), that of the law. Its logarithm counts (n - p) / n
    times for n runs and p parameters, as in restricted likelihood.
    """
    shares = 1 / (1 + np.exp(-LOGITS))
    relative = np.array([relative_spreads(rows, share) for share in shares])  # (Q, R)
    told = np.zeros(len(shares))
    n, k = rows.n_reached, len(np.unique(rows.size[rows.bounded]))
    if k > 1 and n > 2:
        saturated = n - k >= k - 2
        several = (replace(rows, relative=one) for one in relative)
        fits = [most_likely_means(one)[1] if saturated else most_likely_law(one) for one in several]
        if all(fit.spread > 1.01 * rows.floor for fit in fits):  # else nothing scatters: nothing is told
            told = np.array([fit.value for fit in fits]) * (n - (k if saturated else 2)) / n
    weights = np.exp(told - told.max()) * shares * (1 - shares)
    mean = np.asarray(weights @ relative / weights.sum())
    return replace(rows, relative=mean - 0.5 * np.log(np.average(np.exp(2 * mean), weights=rows.counts)))
