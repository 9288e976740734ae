"""One curve for every step size: N(M, eta) = Phi(eta / M) / eta, on problems for which Phi is known.

The names in backquotes are labels of equations on the pages "One curve" and "A run is not the mean". Distance is step
size times updates, s = eta N; tau = eta / M is the temperature of the noise.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from batchtime.errors import ParameterError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw
from batchtime.theory.problems import NoisyQuadratic

_FARTHEST = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOrder:
    """The curve near tau = 0, Phi(tau) = A + alpha tau + ...

    Args:
        distance: A, distance to the target without noise.
        alpha: Slope, in examples.
    """

    distance: float
    alpha: float

    def law(self, learning_rate: LearningRate) -> InverseLaw:
        """Return `curve-constant` or `curve-capped` to first order: the inverse law at this rule for the step size.

        Example:
            >>> FirstOrder(distance=10, alpha=300).law(LearningRate(maximum=0.1, half_batch_size=5))
            InverseLaw(n_inf=100.0, alpha=800.0)
        """
        n_inf = self.distance / learning_rate.maximum
        return InverseLaw(n_inf=n_inf, alpha=learning_rate.half_batch_size * n_inf + self.alpha)

    def best_batch_size(self, *, rate: float, fixed: float, per_example: float) -> float:
        """Return `curve-optimum`: the batch size of least time at one step size, if an update takes delta + gamma M.

        Args:
            rate: eta.
            fixed: delta, in seconds.
            per_example: gamma, in seconds.

        Example:
            >>> FirstOrder(distance=10, alpha=1000).best_batch_size(rate=0.16, fixed=1e-3, per_example=1e-4)
            12.649...
        """
        return math.sqrt(self.alpha / self.distance * rate * fixed / per_example)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadraticCurve:
    """Phi of a noisy quadratic, by its mean gap: `curve-quadratic`.

    Args:
        problem: Its curvatures, noise, distance and target.
    """

    problem: NoisyQuadratic

    def mean_gap(self, distance: float, tau: float) -> float:
        """Return the mean gap of the diffusion `curve-sde` at a distance s."""
        p, h = self.problem, self._h
        left = np.exp(-2 * h * distance)
        return float(np.mean(h * p.distance**2 * left / 2 + tau * p.noise_variance / 4 * (1 - left)))

    def pole(self) -> float:
        """Return tau_0, at and above which the mean gap never reaches the target."""
        return 4 * self.problem.gap / self.problem.noise_variance

    def distance(self, tau: float) -> float:
        """Return Phi(tau), the distance at which the mean gap is the target; infinity from the pole on."""
        if tau >= self.pole():
            return math.inf
        return float(brentq(lambda s: self.mean_gap(s, tau) - self.problem.gap, 0, _FARTHEST, xtol=1e-12, rtol=1e-14))

    def first_order(self) -> FirstOrder:
        """Return A and alpha: the distance and its slope at tau = 0."""
        p, h, start = self.problem, self._h, self.distance(0)
        left = np.exp(-2 * h * start)
        falls = float(np.mean(h**2 * p.distance**2 * left))  # - dG / ds
        rises = float(np.mean(p.noise_variance / 4 * (1 - left)))  # dG / dtau
        return FirstOrder(distance=start, alpha=rises / falls)

    def between(self, tau: float, rate: float) -> tuple[float, float]:
        """Return both sides of `curve-quadratic`, between which eta N of the recursion itself lies.

        Raises:
            ParameterError: If the step size is not less than 1 / L, or a coordinate starts below its floor.
        """
        p, most = self.problem, float(self._h.max())
        check(rate * most < 1, name="learning_rate", value=rate, allowed=f"less than {1 / most:g}")
        hotter = tau / (1 - rate * most / 2)
        if float((self._h * p.distance**2).min()) < hotter * p.noise_variance / 2:
            raise ParameterError(f"tau = {tau:g} is not allowed; allowed: one at which every coordinate starts higher")
        return clock(rate * most) * self.distance(tau), self.distance(hotter)

    @property
    def _h(self) -> Array:
        return np.asarray(self.problem.curvatures)


def clock(x: float) -> float:
    """Return kappa(x) = -x / ln(1 - x) of `curve-isotropic`: how much less distance a step of eta h = x needs."""
    return -x / math.log1p(-x) if x > 0 else 1.0


def passage_spread(problem: NoisyQuadratic, *, batch_size: float, rate: float) -> float:
    """Return `passage-spread`: the standard deviation of a run's updates to the target, to first order in the noise.

    Args:
        problem: Its mean gap must reach the target.
        batch_size: M.
        rate: eta.

    Raises:
        ParameterError: If the mean gap never reaches the target.
    """
    updates = problem.updates(batch_size, LearningRate(maximum=rate))
    if math.isinf(updates):
        raise ParameterError(f"batch_size = {batch_size:g} is not allowed; allowed: more than the pole")
    h = np.asarray(problem.curvatures)
    keeps = (1 - rate * h) ** (2 * updates)
    means2 = keeps * problem.distance**2 / len(h)  # squared mean of each coordinate, (d,)
    variances = rate * problem.noise_variance / (batch_size * len(h) * h * (2 - rate * h)) * (1 - keeps)
    variance = float((h**2 * (variances**2 / 2 + variances * means2)).sum())
    rest = rate * problem.noise_variance / (2 * batch_size * len(h) * (2 - rate * h))
    slope = float((2 * np.log1p(-rate * h) * keeps * (h * problem.distance**2 / len(h) / 2 - rest)).sum())
    return math.sqrt(variance) / abs(slope)
