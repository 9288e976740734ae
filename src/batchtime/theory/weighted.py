"""What the bound certifies where f is strongly convex: an average that weighs late iterates more.

The names in backquotes are labels of equations on the page "Strongly convex, weighted average".
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy.optimize import minimize_scalar
from scipy.special import gamma, gammainc, gammaincc

from batchtime.errors import check
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import Constants


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedAverage:
    """Strongly convex f, x_t weighed by (1 - eta mu)^-t: `weighted` and what follows from it; step sizes up to 1 / L.

    `Constants.curvature` is the mu of strong convexity here, and `Constants.start` is not used.

    Example:
        >>> c = Constants(smoothness=1, curvature=0.1, noise_variance=1, distance=1, start=0.5, gap=0.01)
        >>> rate, law = WeightedAverage(constants=c).harmonic()
        >>> round(law.critical_batch_size)  # sigma^2 / (L epsilon)
        100
    """

    constants: Constants
    reach: ClassVar[float] = 1  # L times the largest step size, included

    @property
    def largest_rate(self) -> float:
        """Largest step size that the theorem allows."""
        return self.reach / self.constants.smoothness

    def bound(self, updates: float, batch_size: float, rate: float) -> float:
        """Return the right side of `weighted` after some updates of one step size."""
        c = self.constants
        forgotten = c.curvature * c.distance**2 / (2 * math.expm1(updates / self._updates_per_factor(rate)))
        return forgotten + self.pole(rate) * c.gap / batch_size

    def updates(self, batch_size: float, rate: float) -> float:
        """Return `weighted-count`, the updates after which the bound is at the target; infinity up to the pole."""
        pole = self.pole(rate)
        if batch_size <= pole:
            return math.inf
        return self._updates_per_factor(rate) * math.log1p(self._excess / (1 - pole / batch_size))

    def pole(self, rate: float) -> float:
        """Return M_0 of `weighted-count`, which is that of `averaged-count`."""
        c, rate = self.constants, self._allowed(rate)
        return rate * (1 + rate * c.smoothness) * c.noise_variance / (2 * c.gap)

    def law(self, rate: float) -> InverseLaw:
        """Return the part of `weighted-count` up to first order in 1 / M; it is too low at every M."""
        per_factor, excess = self._updates_per_factor(rate), self._excess
        return InverseLaw(
            n_inf=per_factor * math.log1p(excess), alpha=per_factor * self.pole(rate) * excess / (1 + excess)
        )

    def harmonic(self, split: float = 0.5) -> tuple[LearningRate, InverseLaw]:
        """Return the step size and the exact inverse law of `weighted-law`.

        Args:
            split: lambda, the share of the target that the distance may use; the noise may use the rest.

        Raises:
            ParameterError: If the share is not between 0 and 1.
        """
        check(0 < split < 1, name="split", value=split, allowed="more than 0 and less than 1")
        c = self.constants
        half = c.noise_variance / (2 * (1 - split) * c.gap * c.smoothness)
        n_inf = c.smoothness / c.curvature * math.log1p(c.curvature * c.distance**2 / (2 * split * c.gap))
        rate = LearningRate(maximum=1 / c.smoothness, half_batch_size=half)
        return rate, InverseLaw(n_inf=n_inf, alpha=n_inf * half)

    def best(self, batch_size: float) -> tuple[float, float]:
        """Return the step size with the fewest certified updates at a batch size, by search, and these updates."""
        c = self.constants
        noise = c.noise_variance / (2 * c.gap * batch_size * c.smoothness)  # pole < M is x (1 + x) noise < 1
        most = 1.0 if noise == 0 else min(1.0, (math.sqrt(1 + 4 / noise) - 1) / 2 * (1 - 1e-9))

        def updates(x: float) -> float:
            return self.updates(batch_size, x / c.smoothness)

        found = minimize_scalar(updates, bounds=(most * 1e-6, most), method="bounded", options={"xatol": most * 1e-9})
        x = min(float(found.x), most, key=updates)
        return x / c.smoothness, updates(x)

    @property
    def _excess(self) -> float:
        """Return mu D^2 / (2 epsilon)."""
        c = self.constants
        return c.curvature * c.distance**2 / (2 * c.gap)

    def _updates_per_factor(self, rate: float) -> float:
        """Return the updates in which (1 - eta mu)^t falls by a factor of e."""
        # Where L = mu and eta = 1 / L nothing is left after one update; the least number below 1 says so.
        return 1 / -math.log1p(-min(self._allowed(rate) * self.constants.curvature, 1 - 2**-53))

    def _allowed(self, rate: float) -> float:
        allowed = f"more than 0 and at most 1 / L = {self.largest_rate:g}"
        check(0 < rate <= self.largest_rate * (1 + 1e-12), name="learning_rate", value=rate, allowed=allowed)
        return rate


def floor_at_rest(constants: Constants, batch_size: float, rate: float) -> float:
    """Return `rest`: what E f - f* is at most once a convex f is at rest, whatever its curvatures.

    Args:
        constants: L and sigma^2 are used.
        batch_size: M.
        rate: Step size, less than 2 / L.

    Raises:
        ParameterError: If the step size is not less than 2 / L.
    """
    c = constants
    allowed = f"more than 0 and less than 2 / L = {2 / c.smoothness:g}"
    check(0 < rate < 2 / c.smoothness, name="learning_rate", value=rate, allowed=allowed)
    return rate * c.noise_variance / (2 * batch_size) * max(1.0, 1 / (2 - rate * c.smoothness))


def bent_floor(condition: float, height: float) -> float:
    """Return `pl-floor` over eta sigma^2 / (2 M): the mean gap at rest in a valley that is PL and not convex.

    Its curvature is L up to a gap of `height` times eta sigma^2 / (2 M), and mu above.

    Args:
        condition: L / mu, at least 1.
        height: u, more than 0.

    Raises:
        ParameterError: If one of them is less.

    Example:
        >>> round(bent_floor(1, 2), 3)  # no bend: half, as in every bowl
        0.5
    """
    check(condition >= 1, name="condition", value=condition, allowed="at least 1")
    check(height > 0, name="height", value=height, allowed="more than 0")

    def weight(a: float) -> float:
        return float(gamma(a) * (gammainc(a, height) + math.sqrt(condition) * gammaincc(a, height)))

    return weight(1.5) / weight(0.5)
