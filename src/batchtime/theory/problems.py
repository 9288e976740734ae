"""Problems that can be solved exactly: what a sweep must measure if the whole chain is right.

Each has a mean gap E f(x_N) - f* that follows a linear recursion in N, whatever the batch size and the step size. So it
has a number of updates N(M) at which the mean gap is the target, and an inverse law that stands for N(M).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from batchtime.errors import ParameterError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw

_LARGEST_BATCH = 1e9
_MOST_UPDATES = 1e9


class Solvable(Protocol):
    """A problem whose updates to the target are known."""

    @property
    def gap(self) -> float:
        """Target for E f(x_N) - f*."""

    @property
    def start(self) -> float:
        """Gap before the first update."""

    def updates(self, batch_size: float, learning_rate: LearningRate) -> float:
        """Return the updates, as a real number, after which the mean gap is the target; infinity if it never is."""

    def law(self, learning_rate: LearningRate) -> InverseLaw:
        """Return the inverse law that stands for `updates`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyQuadratic:
    """f(x) = sum of h_k x_k^2 / 2 with gradient noise of mean 0 and constant variance, the same along each coordinate.

    A batch of M draws has gradient h x - (mean of M noise vectors), so m_k = E x_k^2 follows exactly
    m_k <- (1 - eta h_k)^2 m_k + eta^2 sigma^2 / (d M), with d = len(h); the mean gap is the sum of h_k m_k / 2.

    Args:
        curvatures: h, shape (d,); all the same for an isotropic quadratic.
        examples: Number of noise vectors to draw from, with replacement.
        noise_variance: sigma^2, mean squared length of a noise vector.
        distance: |x_0|, the same share of it along each coordinate.
        gap: Target for f.
    """

    curvatures: tuple[float, ...]
    examples: int
    noise_variance: float
    distance: float
    gap: float

    @property
    def dimension(self) -> int:
        """Length of x."""
        return len(self.curvatures)

    @property
    def start(self) -> float:
        """Gap before the first update."""
        return self.distance**2 / 2 * float(np.mean(self.curvatures))

    def floor(self, batch_size: float, rate: float) -> float:
        """Return the mean gap that remains after very many updates of step size `rate`."""
        return rate * self.noise_variance / (2 * batch_size) * float(np.mean(1 / (2 - rate * self._h)))

    def mean_gap(self, updates: float, batch_size: float, rate: float) -> float:
        """Return the mean gap after some updates (any real number of them) of step size `rate`."""
        left = (1 - rate * self._h) ** (2 * updates)  # of the start, (d,)
        noise = rate * self.noise_variance / (batch_size * (2 - rate * self._h))
        return float(np.mean(self._h * self.distance**2 * left + noise * (1 - left))) / 2

    def updates(self, batch_size: float, learning_rate: LearningRate) -> float:
        """Return the updates, as a real number, after which the mean gap is the target; infinity if it never is.

        Raises:
            ParameterError: If eta h is not less than 1 along each coordinate.
        """
        rate = self._stable(learning_rate).at(batch_size)
        if self.floor(batch_size, rate) >= self.gap:
            return math.inf

        def excess(updates: float) -> float:
            return self.mean_gap(updates, batch_size, rate) - self.gap

        return float(brentq(excess, 0, _MOST_UPDATES, xtol=1e-10, rtol=1e-14))

    def law(self, learning_rate: LearningRate) -> InverseLaw:
        """Return the inverse law that `updates` is to first order in 1 / M, around M = infinity.

        With u = 1 / M the count is defined by G(N, u) = gap, so its slope at u = 0 is - (dG / du) / (dG / dN); the step
        size maximum / (1 + H u) has slope - maximum H there.

        Raises:
            ParameterError: If eta h is not less than 1 along each coordinate.
        """
        rate = self._stable(learning_rate).maximum
        n_inf = self.updates(_LARGEST_BATCH**2, LearningRate(maximum=rate))
        keeps = 1 - rate * self._h
        left, weight = keeps ** (2 * n_inf), self._h * self.distance**2
        by_updates = float(np.mean(weight * left * np.log(keeps)))
        by_rate = -float(np.mean(weight * n_inf * self._h * left / keeps))
        noise = float(np.mean(rate * self.noise_variance / (2 - rate * self._h) * (1 - left))) / 2
        by_inverse_size = noise - by_rate * rate * learning_rate.half_batch_size
        return InverseLaw(n_inf=n_inf, alpha=-by_inverse_size / by_updates)

    def pole(self, learning_rate: LearningRate) -> float:
        """Return the batch size at and below which the mean gap never reaches the target.

        Raises:
            ParameterError: If there is none above M = 0.001.
        """

        def excess(log_size: float) -> float:
            size = math.exp(log_size)
            return self.floor(size, learning_rate.at(size)) - self.gap

        if excess(math.log(1e-3)) <= 0:
            raise ParameterError("at this learning rate every batch size reaches the target; there is no pole")
        return math.exp(brentq(excess, math.log(1e-3), math.log(_LARGEST_BATCH)))

    @property
    def _h(self) -> Array:
        return np.asarray(self.curvatures)

    def _stable(self, learning_rate: LearningRate) -> LearningRate:
        """Refuse a step size at which the closed form does not hold."""
        most = 1 / max(self.curvatures)
        allowed = f"more than 0 and less than {most:g} on this problem"
        check(learning_rate.maximum < most, name="learning_rate", value=learning_rate.maximum, allowed=allowed)
        return learning_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLeastSquares:
    """f(w) = E (a.w - y)^2 / 2 with y = a.w* and a Gaussian, a ~ N(0, I): noise that is zero at the optimum.

    A batch of M examples leaves exactly the fraction 1 - 2 eta + eta^2 (1 + (d + 1) / M) of the mean gap, which is
    E |w - w*|^2 / 2. This holds for any examples that have these moments of a Gaussian: E a a^T = I and
    E |a|^2 a a^T = (d + 2) I.

    Args:
        dimension: d, length of w; a power of two, so that examples with these moments are easily made.
        examples: Number of examples to draw from, with replacement; a multiple of the square of `dimension`.
        distance: |w_0 - w*|.
        gap: Target for f.
    """

    dimension: int
    examples: int
    distance: float
    gap: float

    @property
    def start(self) -> float:
        """Gap before the first update."""
        return self.distance**2 / 2

    @property
    def best_rate(self) -> LearningRate:
        """The step size that leaves the least at each batch size: harmonic, 1 / (1 + (d + 1) / M)."""
        return LearningRate(maximum=1, half_batch_size=self.dimension + 1)

    def left(self, batch_size: float, rate: float) -> float:
        """Return the fraction of the mean gap that an update leaves."""
        return 1 - 2 * rate + rate**2 * (1 + (self.dimension + 1) / batch_size)

    def updates(self, batch_size: float, learning_rate: LearningRate) -> float:
        """Return the updates, as a real number, after which the mean gap is the target; infinity if it never is."""
        left = self.left(batch_size, learning_rate.at(batch_size))
        return math.log(self.gap / self.start) / math.log(left) if left < 1 else math.inf

    def law(self, learning_rate: LearningRate) -> InverseLaw:
        """Return the inverse law that `updates` is near M = 0, for the best step size.

        With z = M / (d + 1), 1 / log(1 + z) is 1 / z + 1 / 2 - z / 12 + ...: the law for batches smaller than d.

        Raises:
            ParameterError: If the step size is another one.
        """
        best = self.best_rate
        check(learning_rate == best, name="learning_rate", value=learning_rate, allowed=f"the best one, {best}")
        halvings = math.log(self.start / self.gap)
        return InverseLaw(n_inf=halvings / 2, alpha=halvings * (self.dimension + 1))


def first_passages(problem: NoisyQuadratic, *, batch_size: float, rate: float, runs: int, most_updates: int) -> Array:
    """Return for simulated runs the first update at which the gap itself is at the target; infinity if there is none.

    |x|^2 after a step is a non-central chi-squared variable whatever the direction of x, so a run costs one number a
    step.

    Args:
        problem: An isotropic one, of curvature 1.
        batch_size: M.
        rate: Step size.
        runs: Number of runs, the length of what is returned.
        most_updates: A run ends there.

    Raises:
        ParameterError: If the problem has another curvature.
    """
    check(set(problem.curvatures) == {1.0}, name="curvatures", value=set(problem.curvatures), allowed="1 everywhere")
    generator = np.random.default_rng(0)
    variance = rate**2 * problem.noise_variance / (problem.dimension * batch_size)  # of one coordinate
    squares, passed = np.full(runs, problem.distance**2), np.full(runs, np.inf)
    for update in range(1, most_updates + 1):
        going = np.isinf(passed)
        if not going.any():
            break
        squares[going] = variance * generator.noncentral_chisquare(
            problem.dimension, (1 - rate) ** 2 * squares[going] / variance
        )
        passed[going & (squares / 2 <= problem.gap)] = update
    return passed


_LONGEST_STEP = 0.4
_CAP = 512.0


def _best_rate(size: float) -> float:
    """Return the step size, at most the longest one, with the fewest updates on the noisy quadratic."""

    def updates(rate: float) -> float:
        return NOISY_QUADRATIC.updates(size, LearningRate(maximum=rate))

    most = min(_LONGEST_STEP, 4 * NOISY_QUADRATIC.gap * size / NOISY_QUADRATIC.noise_variance)  # above the pole
    return float(minimize_scalar(updates, bounds=(most / 1000, most), method="bounded").x)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "fixed": lambda _: 0.05,
    "harmonic": lambda size: LearningRate(maximum=_LONGEST_STEP, half_batch_size=_CAP).at(size),
    "best for each batch size": _best_rate,
    "linear up to a cap": lambda size: _LONGEST_STEP * min(1.0, size / _CAP),
    "square root up to a cap": lambda size: _LONGEST_STEP * min(1.0, math.sqrt(size / _CAP)),
}
"""Step sizes as a function of the batch size, for the problem of `noisy-quadratic`."""


def law_deviation(schedule: str) -> float:
    """Return how far off the exact updates the closest inverse law is at its worst, as a fraction.

    Args:
        schedule: A name of `SCHEDULES`; the law is fitted, by least squares of relative errors, at powers of two from
            8 to 2048, and compared there.
    """
    sizes: Array = np.exp2(np.arange(3.0, 12.0))
    exact = np.array([NOISY_QUADRATIC.updates(m, LearningRate(maximum=SCHEDULES[schedule](m))) for m in sizes])
    columns = np.stack([1 / exact, 1 / (sizes * exact)], axis=1)
    (n_inf, alpha), *_ = np.linalg.lstsq(columns, np.ones(len(sizes)))
    return float(np.abs(InverseLaw(n_inf=n_inf, alpha=alpha).updates(sizes) / exact - 1).max())


NOISY_QUADRATIC = NoisyQuadratic(
    curvatures=(1.0,) * 64, examples=4096, noise_variance=5.0, distance=math.sqrt(10), gap=0.05
)
"""The problem behind the workload `noisy-quadratic`: the gap falls from 5 to 0.05."""

ANISOTROPIC_QUADRATIC = NoisyQuadratic(
    curvatures=tuple(np.geomspace(0.1, 1, 64).tolist()),
    examples=4096,
    noise_variance=4.0,
    distance=math.sqrt(20),
    gap=0.05,
)
"""The problem behind the workload `anisotropic-quadratic`: its curvatures span a factor of 10."""

LEAST_SQUARES = GaussianLeastSquares(dimension=64, examples=65_536, distance=math.sqrt(2), gap=1e-5)
"""The problem behind the workload `least-squares`: the gap falls from 1 to 0.00001."""
