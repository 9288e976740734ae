"""Laws that runs allow, drawn: the ratio alpha / n_inf, a pole, and a misfit that is smooth in the batch size.

log N(M) = level + log(1 + r / (M - M_0)) + misfit(M). The mean of each batch size is known to the scatter of its runs.
r lies on a grid from a hundredth of the least to a hundred times the largest batch size, every ratio as likely in
logarithms; from three batch sizes on the law may have a pole M_0 below the smallest one. Means of real series stand
off the law by some 5 % whatever is done: the misfit is broken lines in log M with independent normal heights. How
large the scatter and the misfit of a series are is drawn too, each from how they differ between published and recorded
workloads (`benchmarks/typical.py` makes these numbers), so that a law that its own means contradict has wide bounds.
Given the runs, all of it is drawn exactly: the grid by its posterior, level and heights by their normal ones.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """How large scatter and misfit are before runs are seen: log-normal over workloads.

    Args:
        scatter: Standard deviation of log N of the runs at one batch size, of the middle workload.
        scatter_factor: Standard deviation of the logarithm of the scatter.
        misfit: What means stand off the law in log N, of the middle workload.
        misfit_factor: Standard deviation of the logarithm of the misfit.
    """

    scatter: float = 0.054
    scatter_factor: float = 0.63
    misfit: float = 0.055
    misfit_factor: float = 0.6


TYPICAL = Typical()
SCATTERS = np.array([-1.5, -0.5, 0.5, 1.5, 2.5])
"""Scatters that are looked at, in standard deviations of their logarithm about the likeliest one."""
MISFITS = np.array([0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.4, 0.7])
"""Standard deviations of the misfit that are looked at, in log N."""
ROUGH = 0.25
"""Share of the misfit's variance that differs from one factor of two of the batch size to the next."""
KNOTS = math.log(2)
POLES = np.array([0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98])
"""Over the smallest batch size that reached the target."""
POLE_PRIOR = np.append(0.5, 0.5 * np.gradient(np.log(POLES[1:])) / np.gradient(np.log(POLES[1:])).sum())
"""Before runs are seen: as likely as not there is none, else each as likely in logarithms, as published series say."""
POLE_SIZES = 3
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
        scattered: (n,) their standard errors from the scatter of runs, at the likeliest scatter.
        rounded: (n,) those from counting in whole updates and from looking at the metric now and then.
        freedom: Runs beyond one at each batch size.
        never: Batch sizes at which no run reached the target, with the log of the most updates spent.
        scatter: (n,) standard deviation of log N of one run, the likeliest.
        width: Standard deviation of the logarithm of the scatter, the runs seen.
    """

    sizes: Array
    logs: Array
    scattered: Array
    rounded: Array
    freedom: float
    never: tuple[tuple[float, float], ...]
    scatter: Array
    width: float

    @property
    def typical(self) -> bool:
        """Whether the scatter is the typical one, for want of repeated runs."""
        return self.freedom == 0

    @property
    def errors(self) -> Array:
        """Standard errors (S, n) of the means at each of the scatters that are looked at."""
        return np.asarray(np.hypot(np.exp(self.width * SCATTERS)[:, None] * self.scattered, self.rounded))


def means_of(observations: Sequence[Observation], typical: Typical = TYPICAL) -> Means:
    """Return the mean of each batch size, censored runs and intervals counted by their likelihood.

    Raises:
        FitError: If fewer than two batch sizes have a run that reached the target, or a value is impossible.
    """
    rows = rows_of(observations)
    at, best = most_likely_means(rows)
    counts = rows.by_size(rows.reached)[at]
    runs, sizes = float(counts.sum()), len(at)
    freedom = max(runs - sizes, 0.0)
    variance = min(best.spread**2 * runs / freedom, 9.0) if freedom > 0 else typical.scatter**2
    known = 1 / (2 * typical.scatter_factor**2)  # as many degrees of freedom say as much as is known before
    likeliest = math.sqrt((freedom * variance + known * typical.scatter**2) / (freedom + known))
    relative = np.array([rows.relative[rows.size == k][0] for k in at])
    scatter = likeliest * np.exp(relative)
    values = best.parameters[:-1]
    curved = np.sqrt(np.maximum(np.diag(best.covariance)[:-1], 0.0)) / values  # also where some runs were stopped
    scale = likeliest / max(best.spread, 1e-9) if freedom > 0 and best.spread > 2 * rows.floor else 0.0
    updates = values * rows.unit_updates
    looked = [rows.bounded & (rows.size == k) for k in at]  # each look at the metric once, however many runs met it
    unseen = np.array([np.sum(rows.log_upper[one] - rows.log_lower[one]) / max(one.sum(), 1) ** 1.5 for one in looked])
    lost = np.flatnonzero((rows.by_size(rows.reached) == 0) & (rows.by_size(~rows.reached) > 0))
    never = tuple(
        (float(rows.sizes[k]), float(rows.log_lower[rows.size == k].max() + math.log(rows.unit_updates)))
        for k in lost
        if np.isfinite(rows.log_lower[rows.size == k]).any()
    )
    return Means(
        sizes=rows.sizes[at],
        logs=np.log(updates),
        scattered=np.maximum(scatter / np.sqrt(counts), np.minimum(curved * scale, 3.0)),
        rounded=np.hypot(unseen, 1 / updates) / math.sqrt(12),
        freedom=freedom,
        never=never,
        scatter=scatter,
        width=1 / math.sqrt(1 / typical.scatter_factor**2 + 2 * freedom),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """How likely each law is, given the means.

    Args:
        means: Of the runs.
        ratios: (R,) r = alpha / n_inf.
        poles: (P,) M_0.
        weights: (S * T, P, R) by scatter and misfit, pole and ratio; they sum to 1.
    """

    means: Means
    ratios: Array
    poles: Array
    weights: Array

    def dimensions(self, batch_sizes: Array) -> int:
        """Return how many uniform numbers a draw at batch sizes takes.

        Sizes of scatter and misfit, pole, ratio, level, an error a mean, and two heights a knot.
        """
        return 4 + len(self.means.sizes) + 2 * len(knots_of(self.means.sizes, batch_sizes))

    def draws(self, uniforms: Array, batch_sizes: Array, *, misfit: bool = True) -> Array:
        """Return (D, C) log mean updates at batch sizes (C,), infinite from the pole down.

        Means of runs that were recorded lie nearer to the law alone than to the law with its misfit (rms 10.6 % and
        12.0 % of the seconds): the one is what is predicted, the other how far that may be off.

        Args:
            uniforms: (D, dimensions(batch_sizes)) numbers between 0 and 1.
            batch_sizes: Where.
            misfit: Whether it is drawn; else there is the law alone.
        """
        sizes, logs = self.means.sizes, self.means.logs
        kind, pole, log_ratio = self._chosen(uniforms[:, :3])
        seen = shape(log_ratio[:, None], self.poles[pole][:, None], sizes[None, :])  # (D, n)
        at = shape(log_ratio[:, None], self.poles[pole][:, None], batch_sizes[None, :])  # (D, C)
        knots = knots_of(sizes, batch_sizes)
        hats, hats_at = hats_of(knots, np.log(sizes)), hats_of(knots, np.log(batch_sizes))
        level = ndtri(uniforms[:, 3])
        errors = ndtri(uniforms[:, 4 : 4 + len(sizes)])
        heights = ndtri(uniforms[:, 4 + len(sizes) :])
        found = np.empty((len(uniforms), len(batch_sizes)))
        for t in np.unique(kind):
            here = np.flatnonzero(kind == t)
            tau, known = MISFITS[t % len(MISFITS)], self.means.errors[t // len(MISFITS)]
            inverse = np.linalg.inv(covariance(hats, known, tau))
            rest = logs - seen[here]
            middle = rest @ inverse.sum(axis=1) / inverse.sum() + level[here] / math.sqrt(inverse.sum())
            if not misfit:
                found[here] = middle[:, None] + at[here]
                continue
            # A draw of the misfit before the runs are seen, moved by what they say against it (Matheron).
            before = tau * heights[here]
            against = rest - middle[:, None] - before @ hats.T - errors[here] * known
            moved = before @ hats_at.T + tau**2 * against @ inverse @ hats @ hats_at.T
            found[here] = middle[:, None] + at[here] + moved
        return found

    def _chosen(self, uniforms: Array) -> tuple[np.ndarray, np.ndarray, Array]:
        """Return the sizes of scatter and misfit, the pole and the log ratio of each draw, one after the other."""
        by_misfit = np.cumsum(self.weights.sum(axis=(1, 2)))
        misfit = np.minimum(np.searchsorted(by_misfit / by_misfit[-1], uniforms[:, 0]), len(by_misfit) - 1)
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
    """Return (C, 2 K) by what share each height counts at each place in log M: K smooth ones, then K rough ones.

    The smooth heights at every second knot are those of one broken line, the others those of another: what lies between
    two batch sizes is then never known by the two alone. The rough ones are those of a line with a corner at each knot.
    The variance of the sum is 1 in the mean over places.
    """
    smooth = np.zeros((len(at), len(knots)))
    for first in (0, 1):
        smooth[:, first::2] = interpolation(knots[first::2], at)
    rough = interpolation(knots, at)
    return np.hstack((smooth * math.sqrt((1 - ROUGH) * 3 / 4), rough * math.sqrt(ROUGH * 3 / 2)))


def shape(log_ratio: Array, pole: Array, batch_sizes: Array) -> Array:
    """Return log(1 + r / (M - M_0)); infinite up to the pole."""
    with np.errstate(all="ignore"):
        left = batch_sizes - pole
        return np.asarray(np.where(left > 0, np.logaddexp(0.0, log_ratio - np.log(left)), np.inf))


def covariance(hats: Array, errors: Array, tau: float) -> Array:
    """Return the covariance (n, n) of log means about a law: of their errors (n,) and of a misfit by its hats."""
    return np.asarray(np.diag(errors**2) + tau**2 * hats @ hats.T)


def evidence(logs: Array, shapes: Array, covariance: Array) -> tuple[Array, Array]:
    """Return the log-likelihoods (...,) of laws of any level, and their levels.

    Args:
        logs: (n,) log means.
        shapes: (..., n) log laws of the level 0.
        covariance: (n, n) of the means about the law.
    """
    inverse = np.linalg.inv(covariance)
    across = inverse.sum(axis=1)
    rest = logs - shapes
    level = rest @ across / across.sum()
    squares = np.sum(rest @ inverse * rest, axis=-1) - across.sum() * level**2
    return -0.5 * (squares + np.linalg.slogdet(covariance)[1] + math.log(across.sum())), level


def posterior(observations: Sequence[Observation], typical: Typical = TYPICAL) -> Posterior:
    """Return how likely each law on the grid is, given runs.

    Raises:
        FitError: If the runs determine no law.
    """
    means = means_of(observations, typical)
    sizes = means.sizes
    ratios = np.geomspace(sizes[0] / 100, sizes[-1] * 100, RATIOS)
    poles = sizes[0] * (POLES if len(sizes) >= POLE_SIZES else POLES[:1])
    shapes = shape(np.log(ratios)[None, :, None], poles[:, None, None], sizes)  # (P, R, n)
    hats = hats_of(knots_of(sizes, sizes), np.log(sizes))
    of_misfit = np.log(MISFITS / typical.misfit) / typical.misfit_factor
    before = -0.5 * np.add.outer(SCATTERS**2, of_misfit**2).ravel()
    logs = np.empty((len(before), len(poles), len(ratios)))
    for t, told in enumerate(before):
        tau, errors = MISFITS[t % len(MISFITS)], means.errors[t // len(MISFITS)]
        likely, level = evidence(means.logs, shapes, covariance(hats, errors, tau))
        logs[t] = told + likely
        for size, spent in means.never:
            law = level + shape(np.log(ratios)[None, :], poles[:, None], np.array(size))
            gap = np.where(np.isfinite(law), law - spent, 50.0) / math.hypot(tau, float(means.scatter.max()))
            logs[t] += log_ndtr(np.clip(gap, -30, 50))
    prior = POLE_PRIOR if len(poles) > 1 else np.ones(1)
    weights = np.exp(logs - logs.max()) * prior[:, None]
    return Posterior(means=means, ratios=ratios, poles=poles, weights=weights / weights.sum())
