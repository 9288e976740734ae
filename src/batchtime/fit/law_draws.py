"""Laws that runs allow, drawn: the ratio alpha / n_inf, a pole, and a misfit that is smooth in the batch size.

log N(M) = level + log(1 + r / (M - M_0)) + misfit(M). The mean of each batch size is known to the scatter of its runs
(shrunk to a typical scatter, which takes its place where there is one run at each). r lies on a grid from a hundredth
of the least to a hundred times the largest batch size, every ratio as likely in logarithms; from four batch sizes on
the law may have a pole M_0 below the smallest one. Means of real series stand off the law by some 5 % whatever is
done: the misfit is two broken lines in log M with knots every factor of four and independent normal heights, whose
size is drawn too. Given the runs, all of it is drawn exactly: the grid by its posterior, level and heights by their
normal ones.

Uniform numbers come from the fractional parts of n sqrt(p), p the primes (Richtmyer 1951): fixed, evenly spread, and
one line in any language.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri

from batchtime.fit.likelihood import most_likely_means
from batchtime.fit.measurements import Observation
from batchtime.fit.seconds import interpolation
from batchtime.fit.spreads import rows_of
from batchtime.laws.quantity import Array

DRAWS = 2000
TYPICAL_SCATTER = 0.08
"""Standard deviation of log N of the runs at one batch size, where a table has one at each."""
TYPICAL_WEIGHT = 2.0
"""How many degrees of freedom the typical scatter counts for beside those of the runs."""
MISFITS = np.array([0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.4, 0.7])
"""Standard deviations of the misfit that are looked at, in log N."""
TYPICAL_MISFIT = 0.04
"""The likeliest of them before runs are seen: what recorded and published series stand off the law."""
MISFIT_FACTOR = 0.5
"""Standard deviation of the logarithm of the misfit before runs are seen."""
KNOTS = math.log(2)
POLES = np.array([0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98])
"""Over the smallest batch size that reached the target; half of what is thought likely before is that there is none."""
POLE_SIZES = 4
RATIOS = 160


def primes(count: int) -> Array:
    """Return the first primes."""
    sieve = np.ones(max(20, int(count * (math.log(count + 1) + 3))), dtype=bool)
    sieve[:2] = False
    for k in range(2, int(len(sieve) ** 0.5) + 1):
        if sieve[k]:
            sieve[k * k :: k] = False
    return np.flatnonzero(sieve)[:count].astype(np.float64)


def quasi_random(draws: int, dimensions: int) -> Array:
    """Return (draws, dimensions) fixed numbers between 0 and 1: the fractional parts of n sqrt(p), n = 1, 2, ..."""
    found = np.arange(1, draws + 1)[:, None] * np.sqrt(primes(dimensions))[None, :]
    return np.clip(found - np.floor(found), 1e-9, 1 - 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What runs say: the mean of each batch size that reached the target, and how far others went without it.

    Args:
        sizes: (n,) batch sizes, increasing.
        logs: (n,) log mean updates.
        errors: (n,) their standard errors.
        typical: Whether the scatter is the typical one, for want of repeated runs.
        never: Batch sizes at which no run reached the target, with the log of the most updates spent.
        scatter: (n,) standard deviation of log N of one run.
    """

    sizes: Array
    logs: Array
    errors: Array
    typical: bool
    never: tuple[tuple[float, float], ...]
    scatter: Array


def means_of(observations: Sequence[Observation]) -> Means:
    """Return the mean of each batch size, censored runs and intervals counted by their likelihood.

    Raises:
        FitError: If fewer than two batch sizes have a run that reached the target, or a value is impossible.
    """
    rows = rows_of(observations)
    at, best = most_likely_means(rows)
    counts = rows.by_size(rows.reached)[at]
    runs, sizes = float(counts.sum()), len(at)
    freedom = max(runs - sizes, 0.0)
    variance = best.spread**2 * runs / freedom if freedom > 0 else 0.0
    shrunk = math.sqrt(
        (freedom * min(variance, 9.0) + TYPICAL_WEIGHT * TYPICAL_SCATTER**2) / (freedom + TYPICAL_WEIGHT)
    )
    relative = np.array([rows.relative[rows.size == k][0] for k in at])
    scatter = shrunk * np.exp(relative)
    values = best.parameters[:-1]
    curved = np.sqrt(np.maximum(np.diag(best.covariance)[:-1], 0.0)) / values  # also where some runs were stopped
    scale = shrunk / max(best.spread, 1e-9) if freedom > 0 and best.spread > 2 * rows.floor else 0.0
    updates = values * rows.unit_updates
    errors = np.maximum(scatter / np.sqrt(counts), np.minimum(curved * scale, 3.0))
    errors = np.hypot(errors, 0.29 / updates)  # whole numbers are known to half an update
    lost = np.flatnonzero((rows.by_size(rows.reached) == 0) & (rows.by_size(~rows.reached) > 0))
    never = tuple(
        (float(rows.sizes[k]), float(rows.log_lower[rows.size == k].max() + math.log(rows.unit_updates)))
        for k in lost
        if np.isfinite(rows.log_lower[rows.size == k]).any()
    )
    return Means(
        sizes=rows.sizes[at],
        logs=np.log(updates),
        errors=errors,
        typical=freedom == 0,
        never=never,
        scatter=scatter,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """How likely each law is, given the means.

    Args:
        means: Of the runs.
        ratios: (R,) r = alpha / n_inf.
        poles: (P,) M_0.
        weights: (T, P, R) by misfit, pole and ratio; they sum to 1.
    """

    means: Means
    ratios: Array
    poles: Array
    weights: Array

    @property
    def dimensions(self) -> int:
        """How many uniform numbers a draw takes, but for the knots: misfit, pole, ratio, level and an error a mean."""
        return 4 + len(self.means.sizes)

    def draws(self, uniforms: Array, batch_sizes: Array) -> Array:
        """Return (D, C) log mean updates at batch sizes (C,), infinite from the pole down.

        Args:
            uniforms: (D, dimensions + knots) numbers between 0 and 1, with as many `knots` as `knots_of` gives.
            batch_sizes: Where.
        """
        sizes, logs = self.means.sizes, self.means.logs
        misfit, pole, log_ratio = self._chosen(uniforms[:, :3])
        shape = _shape(log_ratio[:, None], self.poles[pole][:, None], sizes[None, :])  # (D, n)
        at = _shape(log_ratio[:, None], self.poles[pole][:, None], batch_sizes[None, :])  # (D, C)
        knots = knots_of(sizes, batch_sizes)
        hats, hats_at = hats_of(knots, np.log(sizes)), hats_of(knots, np.log(batch_sizes))
        level = ndtri(uniforms[:, 3])
        errors = ndtri(uniforms[:, 4 : 4 + len(sizes)]) * self.means.errors
        heights = ndtri(uniforms[:, 4 + len(sizes) : 4 + len(sizes) + len(knots)])
        found = np.empty((len(uniforms), len(batch_sizes)))
        for t in np.unique(misfit):
            here = np.flatnonzero(misfit == t)
            tau = MISFITS[t]
            inverse = np.linalg.inv(_covariance(hats, self.means.errors, tau))
            rest = logs - shape[here]
            middle = rest @ inverse.sum(axis=1) / inverse.sum() + level[here] / math.sqrt(inverse.sum())
            # A draw of the misfit before the runs are seen, moved by what they say against it (Matheron).
            before = tau * heights[here]
            against = rest - middle[:, None] - before @ hats.T - errors[here]
            moved = before @ hats_at.T + tau**2 * against @ inverse @ hats @ hats_at.T
            found[here] = middle[:, None] + at[here] + moved
        return found

    def _chosen(self, uniforms: Array) -> tuple[np.ndarray, np.ndarray, Array]:
        """Return the misfit, the pole and the log ratio of each draw, one after the other."""
        by_misfit = np.cumsum(self.weights.sum(axis=(1, 2)))
        misfit = np.minimum(np.searchsorted(by_misfit / by_misfit[-1], uniforms[:, 0]), len(MISFITS) - 1)
        by_pole = np.cumsum(self.weights.sum(axis=2), axis=1)[misfit]  # (D, P)
        pole = (uniforms[:, 1:2] > by_pole / by_pole[:, -1:]).sum(axis=1).clip(max=len(self.poles) - 1)
        by_ratio = np.cumsum(self.weights[misfit, pole], axis=1)  # (D, R)
        by_ratio /= by_ratio[:, -1:]
        place = (uniforms[:, 2:3] > by_ratio).sum(axis=1).clip(max=len(self.ratios) - 1)
        rows = np.arange(len(place))
        below = np.where(place > 0, by_ratio[rows, place - 1], 0.0)
        share = (uniforms[:, 2] - below) / np.maximum(by_ratio[rows, place] - below, 1e-300)
        step = math.log(self.ratios[1] / self.ratios[0])
        return misfit, pole, np.log(self.ratios)[place] + (share.clip(0, 1) - 0.5) * step


def knots_of(sizes: Array, batch_sizes: Array) -> Array:
    """Return the knots of the misfit in log M: every factor of two, about the smallest batch size that was run."""
    low = math.floor((math.log(batch_sizes.min()) - math.log(sizes[0])) / KNOTS) - 1
    high = math.ceil((math.log(max(batch_sizes.max(), sizes[-1])) - math.log(sizes[0])) / KNOTS) + 1
    return np.asarray(math.log(sizes[0]) + KNOTS * np.arange(min(low, -1), max(high, 2) + 1))


def hats_of(knots: Array, at: Array) -> Array:
    """Return (C, K) by what share the height of each knot counts at each place in log M.

    The heights at every second knot are those of one broken line, the others those of another: what lies between two
    batch sizes is then never known by the two alone. The variance of the sum is 1, to 15 %.
    """
    found = np.zeros((len(at), len(knots)))
    for first in (0, 1):
        found[:, first::2] = interpolation(knots[first::2], at)
    return found / math.sqrt(4 / 3)


def _shape(log_ratio: Array, pole: Array, batch_sizes: Array) -> Array:
    """Return log(1 + r / (M - M_0)); infinite up to the pole."""
    with np.errstate(all="ignore"):
        left = batch_sizes - pole
        return np.asarray(np.where(left > 0, np.logaddexp(0.0, log_ratio - np.log(left)), np.inf))


def _covariance(hats: Array, errors: Array, tau: float) -> Array:
    return np.asarray(np.diag(errors**2) + tau**2 * hats @ hats.T)


def posterior(observations: Sequence[Observation]) -> Posterior:
    """Return how likely each law on the grid is, given runs.

    Raises:
        FitError: If the runs determine no law.
    """
    means = means_of(observations)
    sizes = means.sizes
    ratios = np.geomspace(sizes[0] / 100, sizes[-1] * 100, RATIOS)
    poles = sizes[0] * (POLES if len(sizes) >= POLE_SIZES else POLES[:1])
    shapes = _shape(np.log(ratios)[None, :, None], poles[:, None, None], sizes)  # (P, R, n)
    rest = means.logs - shapes
    hats = hats_of(knots_of(sizes, sizes), np.log(sizes))
    before = -0.5 * (np.log(MISFITS / TYPICAL_MISFIT) / MISFIT_FACTOR) ** 2
    logs = np.empty((len(MISFITS), len(poles), len(ratios)))
    for t, tau in enumerate(MISFITS):
        covariance = _covariance(hats, means.errors, tau)
        inverse = np.linalg.inv(covariance)
        across = inverse.sum(axis=1)
        level = rest @ across / across.sum()  # (P, R)
        squares = np.einsum("prn,nm,prm->pr", rest, inverse, rest) - across.sum() * level**2
        logs[t] = before[t] - 0.5 * (squares + np.linalg.slogdet(covariance)[1] + math.log(across.sum()))
        for size, spent in means.never:
            law = level + _shape(np.log(ratios)[None, :], poles[:, None], np.array(size))
            gap = np.where(np.isfinite(law), law - spent, 50.0) / math.hypot(tau, float(means.scatter.max()))
            logs[t] += log_ndtr(np.clip(gap, -30, 50))
    prior = np.where(poles > 0, 0.5 / max(len(poles) - 1, 1), 0.5)
    weights = np.exp(logs - logs.max()) * prior[:, None]
    return Posterior(means=means, ratios=ratios, poles=poles, weights=weights / weights.sum())
