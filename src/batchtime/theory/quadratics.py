"""The exact minimax number of updates on quadratics: what SGD of one step size needs, and with what it can do.

The names in backquotes are labels of equations on the page "Quadratics, exactly".
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from batchtime.errors import check
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Constants

_MOST_UPDATES = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadratics:
    """All quadratics with curvatures from mu to L, a gap of at most Delta_0 at the start and one noise up to sigma^2.

    The noise is the same at every point; one that turns on the way can do more.

    The bound holds for all of them and is reached by one of them: what is certified is exactly what the worst of them
    needs. Step sizes up to 2 / (L + mu); `Constants.distance` is not used.

    Example:
        >>> c = Constants(smoothness=1, curvature=0.1, noise_variance=1, distance=1, start=1, gap=0.01)
        >>> low, high = Quadratics(constants=c).between(100, 0.1)
        >>> low <= Quadratics(constants=c).updates(100, 0.1) <= high
        True
    """

    constants: Constants

    @property
    def largest_rate(self) -> float:
        """Step size at which the flattest and the steepest direction shrink alike; longer ones are worse."""
        return 2 / (self.constants.smoothness + self.constants.curvature)

    def floor(self, batch_size: float, rate: float) -> float:
        """Return F of `spectrum-worst`, the gap at rest where all noise is along the steepest direction."""
        c, rate = self.constants, self._allowed(rate)
        return rate * c.noise_variance / (2 * batch_size * (2 - rate * c.smoothness))

    def bound(self, updates: float, batch_size: float, rate: float) -> float:
        """Return `spectrum-worst`, the mean gap of the worst quadratic after some updates of one step size."""
        c = self.constants
        left = math.exp(-updates / self._updates_per_factor(rate))
        steep = float(abs(1 - rate * c.smoothness) ** (2 * updates))
        return left * c.start + self.floor(batch_size, rate) * (1 - steep)

    def updates(self, batch_size: float, rate: float) -> float:
        """Return the real number of updates after which the worst gap is at the target; infinity up to the pole."""
        gap = self.constants.gap
        if batch_size <= self.pole(rate):
            return math.inf
        high = self.between(batch_size, rate)[1]
        if self.bound(high, batch_size, rate) >= gap:  # up to rounding the steep direction has forgotten its start
            return high
        return float(brentq(lambda n: self.bound(n, batch_size, rate) - gap, 0, high, xtol=1e-10))

    def between(self, batch_size: float, rate: float) -> tuple[float, float]:
        """Return both sides of `spectrum-count`, between which the minimax number lies; infinity up to the pole."""
        c, share = self.constants, self.pole(rate) / batch_size
        if share >= 1:
            return math.inf, math.inf
        per_factor = self._updates_per_factor(rate)
        high = per_factor * (math.log(c.start / c.gap) - math.log1p(-share))
        return high + per_factor * math.log1p(-share * c.gap / c.start), high

    def pole(self, rate: float) -> float:
        """Return M_0 of `spectrum-count`."""
        return self.floor(1, rate) / self.constants.gap

    def law(self, rate: float) -> InverseLaw:
        """Return the part of `updates` up to first order in 1 / M."""
        c, per_factor = self.constants, self._updates_per_factor(rate)
        n_inf = per_factor * math.log(c.start / c.gap)
        steep = abs(1 - rate * c.smoothness) ** (2 * n_inf)
        return InverseLaw(n_inf=n_inf, alpha=per_factor * self.pole(rate) * (1 - steep))

    def harmonic(self, share: float | None = None) -> tuple[LearningRate, InverseLaw]:
        """Return the step size and the sufficient inverse law of `spectrum-best`.

        Args:
            share: y, the share of the target that noise may use; Lambda / (1 + Lambda) where it is None, with which the
                law is the necessary one to leading order in Lambda = ln(Delta_0 / epsilon).

        Raises:
            ParameterError: If the share is not between 0 and 1.
        """
        c = self.constants
        factors = math.log(c.start / c.gap)
        share = factors / (1 + factors) if share is None else share
        check(0 < share < 1, name="share", value=share, allowed="more than 0 and less than 1")
        half = c.noise_variance / (2 * share * c.gap * (c.smoothness + c.curvature))
        n_inf = (c.smoothness + c.curvature) / (4 * c.curvature) * (factors - math.log1p(-share))
        return LearningRate(maximum=self.largest_rate, half_batch_size=half), InverseLaw(
            n_inf=n_inf, alpha=n_inf * half
        )

    def best(self, batch_size: float) -> tuple[float, float]:
        """Return the step size with the fewest updates on the worst quadratic, by search, and these updates."""
        c = self.constants
        # M_0 < M is 1 / eta > L / 2 + sigma^2 / (4 epsilon M).
        noise = c.noise_variance / (4 * c.gap * batch_size)
        most = min(1 / (c.smoothness / 2 + noise) * (1 - 1e-9), self.largest_rate)

        def updates(rate: float) -> float:
            return self.updates(batch_size, rate)

        found = minimize_scalar(updates, bounds=(most * 1e-3, most), method="bounded", options={"xatol": most * 1e-9})
        rate = min(float(found.x), most, key=updates)
        return rate, updates(rate)

    def _updates_per_factor(self, rate: float) -> float:
        """Return K, the updates in which the flattest direction's gap falls by a factor of e."""
        return 1 / (-2 * math.log1p(-min(self._allowed(rate) * self.constants.curvature, 1 - 2**-53)))

    def _allowed(self, rate: float) -> float:
        allowed = f"more than 0 and at most 2 / (L + mu) = {self.largest_rate:g}"
        check(0 < rate <= self.largest_rate * (1 + 1e-12), name="learning_rate", value=rate, allowed=allowed)
        return rate


def simulated_updates(
    constants: Constants, *, batch_size: float, rate: float, runs: int = 2000, most_updates: int = 20_000
) -> float:
    """Return the updates after which the mean gap over simulated runs of the worst quadratic is at the target.

    The quadratic has two coordinates: one of curvature mu that holds the start, and one of curvature L with all the
    noise, which is Gaussian.

    Args:
        constants: The family.
        batch_size: M.
        rate: eta.
        runs: That the mean is over.
        most_updates: Infinity is returned where the mean gap is not at the target by then.
    """
    c, generator = constants, np.random.default_rng(0)
    flat, steep = math.sqrt(2 * c.start / c.curvature), np.zeros(runs)
    deviation = rate * math.sqrt(c.noise_variance / batch_size)
    for update in range(1, most_updates + 1):
        flat *= 1 - rate * c.curvature
        steep = (1 - rate * c.smoothness) * steep + deviation * generator.standard_normal(runs)
        if c.curvature / 2 * flat**2 + c.smoothness / 2 * float(np.mean(steep**2)) <= c.gap:
            return float(update)
    return math.inf


def any_method(constants: Constants) -> InverseLaw:
    """Return `any-method`: no first-order method serves every problem of these constants with fewer than half of this.

    Raises:
        ParameterError: If the target is too near the start for the theorem to say anything of large or small batches.
    """
    c = constants
    condition = c.smoothness / c.curvature
    allowed = f"less than {c.start / max(condition, math.pi**2):g}, the start over the larger one of L / mu and pi^2"
    check(c.gap < c.start / max(condition, math.pi**2), name="gap", value=c.gap, allowed=allowed)
    return InverseLaw(
        n_inf=(math.sqrt(condition) - 1) / 4 * math.log(c.start / (condition * c.gap)),
        alpha=c.noise_variance / (2 * c.curvature) * (1 / c.gap - math.pi**2 / c.start),
    )
