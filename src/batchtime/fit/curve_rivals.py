"""What stands beside the curve: an inverse law for each learning rate, and no curve at all."""

import math
from dataclasses import dataclass

import numpy as np

from batchtime.laws.quantity import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another description of the same cells: how many parameters it has, its rms error and its AICc."""

    name: str
    parameters: int
    rms: float
    aicc: float | None


def rivals_of(
    rate: Array, tau: Array, log: Array, variance: Array, *, residual: Array, parameters: int
) -> tuple[Rival, ...]:
    """Return the curve and its rivals, by how well they describe the same means.

    Args:
        rate: (n,) learning rates.
        tau: (n,) learning rate over batch size.
        log: (n,) log of learning rate times mean updates.
        variance: (n,) of the log means.
        residual: (n,) of the curve.
        parameters: Of the curve.
    """
    from scipy.optimize import least_squares

    size = rate / tau
    own = np.empty_like(residual)
    count = 0
    for one in np.unique(rate):
        here = rate == one
        own[here] = _inverse(log[here] - math.log(one), size[here], 1 / variance[here])
        count += min(2, int(here.sum()))

    log_updates, log_rate = log - np.log(rate), np.log(rate)

    def apart(p: Array) -> Array:
        return np.asarray(log_updates - np.logaddexp(p[0], p[1] - np.log(size)) - p[2] * log_rate)

    start = np.array([float(np.median(log)), float(np.median(log - np.log(tau))), -1.0])
    separable = np.asarray(least_squares(apart, start, max_nfev=200).fun)
    return (
        _rival("one curve", parameters, residual),
        _rival("an inverse law for each learning rate", count, own),
        _rival("no curve: a law in M times a power of the learning rate", 3, separable),
    )


def _inverse(log: Array, size: Array, weight: Array) -> Array:
    """Return the residuals of log N about the inverse law of least weighted squares of them."""
    if len(log) < 2:
        return np.zeros_like(log)
    from scipy.optimize import least_squares

    root = np.sqrt(weight / weight.max())

    def off(p: Array) -> Array:
        return np.asarray(log - np.logaddexp(p[0], p[1] - np.log(size)))

    def weighted(p: Array) -> Array:
        return np.asarray(root * off(p))

    start = np.array([log.min() - 0.1, float(np.max(log + np.log(size))) - 0.5])
    return off(np.asarray(least_squares(weighted, start, max_nfev=200).x))


def _rival(name: str, parameters: int, residual: Array) -> Rival:
    n, k = len(residual), parameters + 1  # the variance counts
    mean_square = float(np.mean(residual**2))
    aicc = None
    if n > k + 1 and mean_square > 0:
        aicc = n * math.log(mean_square) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    return Rival(name=name, parameters=parameters, rms=math.sqrt(mean_square), aicc=aicc)
