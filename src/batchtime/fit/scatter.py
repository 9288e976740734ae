"""How runs scatter about their law - by run, by seed, by batch size - and how much wider that makes an interval."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc, fdtri

from batchtime.fit.likelihood import Maximum, Quantity, Rows, law_model, most_likely_law, most_likely_means, row_terms
from batchtime.fit.measurements import Observation
from batchtime.laws.quantity import Array

LEVEL = 0.95
"""Every interval of the package is a 95 % interval."""

SIGNIFICANT = 0.01
"""Below this p-value a seed effect or a lack of fit is said to be there."""

SEED_FREEDOM = 1.5
"""Degrees of freedom of a variance summed by seed, for each seed beyond the first.

One each is too many wide intervals, as the wider of two cutoffs is taken; settled by the recorded study of coverage.
"""


def f_point(freedom: float) -> float:
    """Return the 95 % point of F(1, freedom): the square of the two-sided t point."""
    return float(fdtri(1, freedom, LEVEL))


LARGE_COUNT = 1000
"""Half an update in so many is nothing beside any scatter."""


class Scatter(NamedTuple):
    """What the cutoffs of intervals and the warnings need to know about how runs scatter."""

    law: Maximum
    seeds: int  # seen at two or more batch sizes
    seed_effect: float  # p-value
    seed_correlation: float
    clustered: Array | None  # (3, 3) covariance from scores summed by seed; None with fewer than two seeds
    lack_of_fit: float | None  # p-value; None where it cannot be tested
    batch_cutoff: float  # from the scatter of batch sizes; 0 without lack of fit

    def cutoff(self, quantity: Quantity) -> float:
        """Return how far twice the profile log-likelihood of a quantity falls inside its 95 % interval."""
        n = self.law.rows.n_reached
        ratio = f_point(n - 2) / (n - 2)
        if self.clustered is not None:
            gradient = quantity.gradient(float(self.law.parameters[0]), float(self.law.parameters[1]))
            plain = float(gradient @ self.law.covariance @ gradient)
            by_seed = float(gradient @ self.clustered @ gradient)
            if plain > 0:
                ratio = max(ratio, f_point(SEED_FREEDOM * (self.seeds - 1)) * by_seed / plain / n)
        return max(n * math.log1p(ratio), self.batch_cutoff)


def seed_incidence(rows: Rows, observations: Sequence[Observation]) -> tuple[Array, Array]:
    """Return (G, R) runs of each seed seen at two or more batch sizes, and (R,) the other runs."""
    sizes_of: dict[int | None, set[float]] = {}
    for run in observations:
        sizes_of.setdefault(run.seed, set()).add(run.batch_size)
    paired = [seed for seed, sizes in sizes_of.items() if seed is not None and len(sizes) > 1]
    position = {seed: g for g, seed in enumerate(sorted(paired))}
    alone = len(position)
    incidence = np.zeros((alone + 1, len(rows.x)))
    np.add.at(incidence, ([position.get(run.seed, alone) for run in observations], rows.row_of), 1)  # type: ignore[arg-type]
    return incidence[:alone], incidence[alone]


def scatter_about(law: Maximum, observations: Sequence[Observation]) -> Scatter:
    """Return how the runs scatter about their most likely law."""
    rows = law.rows
    mean = law_model(rows).mean(law.parameters[None])
    terms = row_terms(rows, mean, law.parameters[None, 2:])
    by_m, by_t = terms.m[0], terms.t[0]
    incidence, alone = seed_incidence(rows, observations)
    seeds = len(incidence)
    p_value, correlation = _seed_effect(rows, incidence, by_m * law.spread * np.exp(rows.relative))
    clustered = None
    if seeds > 1:
        scores = np.stack((by_m / mean[0], by_m * rows.x / mean[0], by_t), axis=1)  # (R, 3)
        summed = incidence @ scores  # (G, 3)
        middle = summed.T @ summed * (seeds / (seeds - 1)) + scores.T @ (scores * alone[:, None])
        clustered = law.covariance @ middle @ law.covariance
    return Scatter(law, seeds, p_value, correlation, clustered, *_lack_of_fit(_as_counted(law)))


def scatter_of_runs(rows: Rows) -> float | None:
    """Return the standard deviation of log N of the runs at one batch size, in the mean of squares over the runs.

    None with one run at each batch size.
    """
    if not rows.bounded.any():
        return None
    sizes, means = most_likely_means(rows)
    n = float(rows.counts[rows.reached & np.isin(rows.size, sizes)].sum())
    if n <= len(sizes):
        return None
    return 0.0 if means.spread <= 1.01 * rows.floor else means.spread * math.sqrt(n / (n - len(sizes)))


def misfit_of_means(law: Maximum) -> float | None:
    """Return how far the means of batch sizes stand off the law: root of the squares of log(mean / law) over k - 2.

    None at fewer than three batch sizes that all reached the target.
    """
    whole = np.flatnonzero(law.rows.by_size(~law.rows.reached) == 0)
    if len(whole) < 3:
        return None
    off = np.log(law.rows.means[whole] / np.maximum(law.updates(whole), 1e-300))
    return float(np.sqrt(np.sum(off**2) / (len(whole) - 2)))


def _as_counted(law: Maximum) -> Maximum:
    """Return the law of runs given as whole numbers of updates as what they are: known to half an update."""
    rows = law.rows
    counts = np.exp(rows.log_upper[rows.exact]) * rows.unit_updates
    if not len(counts) or not 1 <= np.round(counts.min()) <= LARGE_COUNT:
        return law
    if np.any(np.abs(counts - np.round(counts)) > 1e-6 * counts):
        return law
    half = np.where(rows.exact, 0.5 / rows.unit_updates, 0.0)
    with np.errstate(divide="ignore"):
        low, high = np.log(np.exp(rows.log_lower) - half), np.log(np.exp(rows.log_upper) + half)
    return most_likely_law(replace(rows, log_lower=low, log_upper=high))


def _seed_effect(rows: Rows, incidence: Array, residual: Array) -> tuple[float, float]:
    """Return the p-value that runs of one seed do not go together across batch sizes, and their correlation.

    One-way analysis of variance by seed of the residuals of log N (expected ones where N is in an interval), each batch
    size about its own mean.
    """
    counts = incidence.sum(axis=0)
    seeds, runs = len(incidence), float(counts.sum())
    sizes = np.bincount(rows.size, weights=counts, minlength=len(rows.sizes))
    rest = runs - seeds - int((sizes > 0).sum()) + 1
    if seeds < 2 or rest < 1:
        return 1.0, 0.0
    average = np.bincount(rows.size, weights=counts * residual, minlength=len(rows.sizes)) / np.maximum(sizes, 1)
    centred = residual - average[rows.size]
    between = float(np.sum((incidence @ centred) ** 2 / incidence.sum(axis=1)))
    total = float(counts @ centred**2)
    if total <= 1e-12:
        return 1.0, 0.0
    between_mean, rest_mean = between / (seeds - 1), max(total - between, 1e-9 * total) / rest
    correlation = (between_mean - rest_mean) / (between_mean + (runs / seeds - 1) * rest_mean)
    return float(fdtrc(seeds - 1, rest, between_mean / rest_mean)), correlation


def _lack_of_fit(law: Maximum) -> tuple[float | None, float]:
    """Return the p-value of the law against a mean for each batch size, and the cutoff to use where it is small.

    With deviance D, n runs and k batch sizes, exp(D / n) is the quotient of residual sums of squares, so that
    (exp(D / n) - 1) (n - k) / (k - 2) is F(k - 2, n - k): the pure-error test, which carries over to intervals.
    """
    sizes, means = most_likely_means(law.rows)
    n, k = law.rows.n_reached, len(sizes)
    if k < 3 or n <= k:
        return None, 0.0
    deviance = min(max(0.0, 2 * (means.value - law.value)) / n, 500.0)
    p_value = float(fdtrc(k - 2, n - k, math.expm1(deviance) * (n - k) / (k - 2)))
    if p_value >= SIGNIFICANT:
        return p_value, 0.0
    return p_value, n * math.log1p(-f_point(k - 2) * math.expm1(-deviance) / (k - 2))
