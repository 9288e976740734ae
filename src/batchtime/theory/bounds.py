"""What the bound certifies: constants of a problem in, updates out that suffice for a target, or that are necessary.

The chapter "The bound" derives each formula; the names in backquotes are the labels of its equations. Counts are real
numbers, and any whole number from there on is certified: the bounds fall as updates go on. Infinity means that nothing
is certified.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from scipy.optimize import minimize_scalar

from batchtime.errors import ParameterError, check
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What the bound takes of a problem and a target.

    Args:
        smoothness: L, the gradient changes by at most L times the distance.
        curvature: mu of the PL inequality |grad f|^2 >= 2 mu (f - f*); at most L.
        noise_variance: sigma^2, at least E |g - grad f|^2 of one example, everywhere.
        distance: D = |x_0 - x*|.
        start: Delta_0 = f(x_0) - f*.
        gap: epsilon, the target for E f - f*; less than `start`.
    """

    smoothness: float
    curvature: float
    noise_variance: float
    distance: float
    start: float
    gap: float

    def __post_init__(self) -> None:
        """Refuse constants that no function has."""
        for name in ("smoothness", "curvature", "distance", "start", "gap"):
            value = getattr(self, name)
            check(0 < value < math.inf, name=name, value=value, allowed="a finite number more than 0")
        allowed = f"more than 0 and at most the smoothness, {self.smoothness:g}"
        check(self.curvature <= self.smoothness, name="curvature", value=self.curvature, allowed=allowed)
        allowed = "a finite number, at least 0"
        check(0 <= self.noise_variance < math.inf, name="noise_variance", value=self.noise_variance, allowed=allowed)
        allowed = f"more than 0 and less than the gap at the start, {self.start:g}"
        check(self.gap < self.start, name="gap", value=self.gap, allowed=allowed)


class Certificate(Protocol):
    """One of the theorems: what it bounds, and the updates that follow."""

    @property
    def constants(self) -> Constants:
        """Constants of the problem and the target."""

    @property
    def largest_rate(self) -> float:
        """Step size up to which the theorem holds."""

    def bound(self, updates: float, batch_size: float, rate: float) -> float:
        """Return what E f - f* is at most after some updates of one step size."""

    def updates(self, batch_size: float, rate: float) -> float:
        """Return the updates after which the bound is at the target; infinity at and below the pole."""

    def pole(self, rate: float) -> float:
        """Return the batch size at and below which the bound never reaches the target."""

    def law(self, rate: float) -> InverseLaw:
        """Return the part of `updates` up to first order in 1 / M, at one step size."""

    def harmonic(self) -> tuple[LearningRate, InverseLaw]:
        """Return the step size that depends on M such that the certified updates are an inverse law, and that law."""

    def best(self, batch_size: float) -> tuple[float, float]:
        """Return the step size with the fewest certified updates at a batch size, and these updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedIterate:
    """Convex f, the mean of the iterates x_1 ... x_N: `averaged` and what follows from it; step sizes up to 1 / L."""

    constants: Constants
    reach: ClassVar[float] = 1  # L times the largest step size, included

    @property
    def largest_rate(self) -> float:
        """Largest step size that the theorem allows."""
        return self.reach / self.constants.smoothness

    def bound(self, updates: float, batch_size: float, rate: float) -> float:
        """Return the right side of `averaged` after some updates of one step size."""
        c, rate = self.constants, self._allowed(rate)
        forgotten = c.distance**2 / (2 * rate * updates)
        return forgotten + rate * (1 + rate * c.smoothness) * c.noise_variance / (2 * batch_size)

    def updates(self, batch_size: float, rate: float) -> float:
        """Return `averaged-count`, the updates after which the bound is at the target."""
        pole, law = self.pole(rate), self.law(rate)
        return law.n_inf + law.alpha / (batch_size - pole) if batch_size > pole else math.inf

    def pole(self, rate: float) -> float:
        """Return M_0 of `averaged-count`."""
        c, rate = self.constants, self._allowed(rate)
        return rate * (1 + rate * c.smoothness) * c.noise_variance / (2 * c.gap)

    def law(self, rate: float) -> InverseLaw:
        """Return n_inf + alpha / M with the constants of `averaged-count`: the part up to first order in 1 / M."""
        c, rate = self.constants, self._allowed(rate)
        n_inf = c.distance**2 / (2 * rate * c.gap)
        return InverseLaw(n_inf=n_inf, alpha=n_inf * self.pole(rate))

    def harmonic(self, split: float = 0.5) -> tuple[LearningRate, InverseLaw]:
        """Return the step size and the exact inverse law of `harmonic-averaged`.

        Args:
            split: lambda, the share of the target that the distance may use; the noise may use the rest.
        """
        check(0 < split < 1, name="split", value=split, allowed="more than 0 and less than 1")
        c = self.constants
        half = c.noise_variance / (2 * (1 - split) * c.gap * c.smoothness)
        n_inf = c.smoothness * c.distance**2 / (2 * split * c.gap)
        rate = LearningRate(maximum=1 / c.smoothness, half_batch_size=half)
        return rate, InverseLaw(n_inf=n_inf, alpha=n_inf * half)

    def best(self, batch_size: float) -> tuple[float, float]:
        """Return the step size of `best-rate` at a batch size, and its updates."""
        c = self.constants
        noise = math.inf if c.noise_variance == 0 else batch_size * c.smoothness * c.gap / c.noise_variance  # m
        x = 1.0 if noise >= 2.5 else (math.sqrt(1 + 6 * noise) - 1) / 3
        return x / c.smoothness, self.updates(batch_size, x / c.smoothness)

    def _allowed(self, rate: float) -> float:
        allowed = f"more than 0 and at most 1 / L = {self.largest_rate:g}"
        check(0 < rate <= self.largest_rate * (1 + 1e-12), name="learning_rate", value=rate, allowed=allowed)
        return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LastIterate:
    """PL or strongly convex f, the last iterate x_N: `last` and what follows from it; step sizes below 2 / L."""

    constants: Constants
    reach: ClassVar[float] = 2  # L times the largest step size, excluded

    @property
    def largest_rate(self) -> float:
        """Step size that the theorem's step sizes stay below."""
        return self.reach / self.constants.smoothness

    def contraction(self, rate: float) -> float:
        """Return c = mu eta (2 - eta L): an update takes at least this fraction off the gap, noise aside."""
        c, rate = self.constants, self._allowed(rate)
        return c.curvature * rate * (2 - rate * c.smoothness)

    def floor(self, batch_size: float, rate: float) -> float:
        """Return `last-floor`, what the bound falls to."""
        return self.pole(rate) * self.constants.gap / batch_size

    def bound(self, updates: float, batch_size: float, rate: float) -> float:
        """Return the right side of `last` after some updates of one step size."""
        floor = self.floor(batch_size, rate)
        return float((1 - self.contraction(rate)) ** updates * (self.constants.start - floor) + floor)

    def updates(self, batch_size: float, rate: float) -> float:
        """Return `last-count`, the updates after which the bound is at the target."""
        c, pole = self.constants, self.pole(rate)
        if batch_size <= pole:
            return math.inf
        above = math.log((c.start - c.gap * pole / batch_size) / (c.gap - c.gap * pole / batch_size))
        return max(above, 0.0) * self._updates_per_factor(rate)

    def pole(self, rate: float) -> float:
        """Return M_0 of `last-count`."""
        c, rate = self.constants, self._allowed(rate)
        return c.smoothness * rate * c.noise_variance / (2 * c.curvature * (2 - rate * c.smoothness) * c.gap)

    def law(self, rate: float) -> InverseLaw:
        """Return `last-law`, the part of `last-count` up to first order in 1 / M."""
        c, per_factor = self.constants, self._updates_per_factor(rate)
        return InverseLaw(
            n_inf=per_factor * math.log(c.start / c.gap), alpha=per_factor * self.pole(rate) * (1 - c.gap / c.start)
        )

    def harmonic(self) -> tuple[LearningRate, InverseLaw]:
        """Return the step size and the exact inverse law of `harmonic-last`."""
        c = self.constants
        half = c.noise_variance / (c.curvature * c.gap)
        n_inf = c.smoothness / c.curvature * math.log(2 * c.start / c.gap)
        rate = LearningRate(maximum=1 / c.smoothness, half_batch_size=half)
        return rate, InverseLaw(n_inf=n_inf, alpha=n_inf * half)

    def best(self, batch_size: float) -> tuple[float, float]:
        """Return the step size with the fewest certified updates at a batch size, by search, and these updates."""
        c = self.constants
        # M_0 < M is eta L < 2 / (1 + s), with s = sigma^2 / (2 mu M epsilon).
        noise = c.noise_variance / (2 * c.curvature * batch_size * c.gap)
        most = min(2 / (1 + noise), 1) * (1 - 1e-9)  # beyond 1 / L both the contraction and the floor are worse

        def updates(x: float) -> float:
            return self.updates(batch_size, x / c.smoothness)

        found = minimize_scalar(updates, bounds=(most * 1e-6, most), method="bounded", options={"xatol": most * 1e-9})
        return float(found.x) / c.smoothness, float(found.fun)

    def _updates_per_factor(self, rate: float) -> float:
        """Return K, the updates in which the bound's distance to its floor falls by a factor of e."""
        # Where L = mu and eta = 1 / L the first update leaves nothing but noise; the least number below 1 says so.
        return 1 / -math.log1p(-min(self.contraction(rate), 1 - 2**-53))

    def _allowed(self, rate: float) -> float:
        allowed = f"more than 0 and less than 2 / L = {self.largest_rate:g}"
        check(0 < rate < self.largest_rate, name="learning_rate", value=rate, allowed=allowed)
        return rate


def interpolation(
    *, smoothness: float, largest_smoothness: float, curvature: float, distance: float, gap: float
) -> tuple[LearningRate, InverseLaw]:
    """Return the step size and the exact inverse law of `interpolation-count`: no noise at the minimum.

    Args:
        smoothness: L of the mean.
        largest_smoothness: L_max, of every single example; at least L.
        curvature: mu, the mean is strongly convex.
        distance: |x_0 - x*|.
        gap: Target; less than L D^2 / 2.
    """
    allowed = f"at least the smoothness of the mean, {smoothness:g}"
    check(largest_smoothness >= smoothness > 0, name="largest_smoothness", value=largest_smoothness, allowed=allowed)
    allowed = f"more than 0 and at most the smoothness, {smoothness:g}"
    check(0 < curvature <= smoothness, name="curvature", value=curvature, allowed=allowed)
    most = smoothness * distance**2 / 2
    check(0 < gap < most, name="gap", value=gap, allowed=f"more than 0 and less than L D^2 / 2 = {most:g}")
    half = largest_smoothness / smoothness - 1
    n_inf = smoothness / curvature * math.log(most / gap)
    return LearningRate(maximum=1 / smoothness, half_batch_size=half), InverseLaw(n_inf=n_inf, alpha=n_inf * half)


def necessary(constants: Constants) -> InverseLaw:
    """Return `needed-law`: SGD of one step size that serves every problem of these constants needs at least this.

    The distance is not used.

    Raises:
        ParameterError: If L <= 2 mu, for which n_inf is not positive and the theorem says nothing of large batches.
    """
    c = constants
    if c.smoothness <= 2 * c.curvature:
        raise ParameterError(
            f"smoothness = {c.smoothness:g} is not allowed; allowed: more than twice the curvature, {2 * c.curvature:g}"
        )
    halvings = math.log(c.start / c.gap)
    return InverseLaw(
        n_inf=(c.smoothness / (4 * c.curvature) - 1 / 2) * halvings,
        alpha=c.noise_variance / (8 * c.curvature * c.gap) * halvings,
    )


def examples_needed(constants: Constants) -> float:
    """Return `examples-needed`: the examples N M that no method can do without; 0 where the theorem says nothing."""
    c = constants
    return max(c.noise_variance / (2 * c.curvature) * (1 / c.gap - math.pi**2 / c.start), 0.0)


def without_replacement(law: InverseLaw, examples: int) -> InverseLaw:
    """Return `without-replacement-law`: the law when a batch is drawn without replacement from this many examples.

    Args:
        law: The law of batches drawn with replacement, where alpha / M comes from the variance of the batch alone.
        examples: n, more than one.
    """
    check(examples > 1, name="examples", value=examples, allowed="a whole number, at least 2")
    shift = law.alpha / (examples - 1)
    return InverseLaw(n_inf=law.n_inf - shift, alpha=law.alpha * examples / (examples - 1))
