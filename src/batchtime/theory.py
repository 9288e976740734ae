"""Problems that can be solved exactly: what a sweep must measure if the whole chain is right."""

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from batchtime.records import InverseLaw, LearningRate, ParameterError, check


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyQuadratic:
    """f(x) = |x|^2 / 2 with gradient noise of mean 0 and constant variance, started at a fixed distance from x = 0.

    A batch of M draws has gradient x - (mean of M noise vectors), so the mean gap D_N = E f(x_N) follows exactly
    D_{N+1} = (1 - eta)^2 D_N + eta^2 sigma^2 / (2 M).

    Args:
        dimension: Length of x.
        examples: Number of noise vectors to draw from, with replacement.
        noise_variance: sigma^2, mean squared length of a noise vector.
        distance: |x_0|.
        gap: Target for f.
    """

    dimension: int
    examples: int
    noise_variance: float
    distance: float
    gap: float

    @property
    def start(self) -> float:
        """Gap before the first update."""
        return self.distance**2 / 2

    def floor(self, batch_size: float, rate: float) -> float:
        """Return the mean gap that remains after very many updates of step size `rate`."""
        return rate * self.noise_variance / (2 * (2 - rate) * batch_size)

    def updates(self, batch_size: float, learning_rate: LearningRate) -> float:
        """Return the updates, as a real number, after which the mean gap is the target; infinity if it never is."""
        rate = _stable(learning_rate).at(batch_size)
        floor = self.floor(batch_size, rate)
        if floor >= self.gap:
            return math.inf
        return math.log((self.start - floor) / (self.gap - floor)) / (-2 * math.log1p(-rate))

    def law(self, learning_rate: LearningRate) -> InverseLaw:
        """Return the inverse law that `updates` is to first order in 1 / M, around M = infinity.

        With b = 1/eta_max and H = half_batch_size: 1/eta = b + b H / M, and -1 / log(1 - eta) has slope
        (1 - e)^-1 (log(1 - e))^-2 in 1/eta times e^2, e = eta_max; the noise adds (1 - q) sigma^2 e / (2 (2 - e) gap).
        """
        e = _stable(learning_rate).maximum
        decay = -math.log1p(-e)
        log_ratio = math.log(self.start / self.gap)
        slower = log_ratio / 2 * e * learning_rate.half_batch_size / ((1 - e) * decay**2)
        noise = e * self.noise_variance / (2 * (2 - e)) * (1 / self.gap - 1 / self.start) / (2 * decay)
        return InverseLaw(n_inf=log_ratio / (2 * decay), alpha=slower + noise)

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
        return math.exp(brentq(excess, math.log(1e-3), math.log(1e9)))


def _stable(learning_rate: LearningRate) -> LearningRate:
    """Refuse a step size at which the closed form does not hold."""
    allowed = "more than 0 and less than 1 on this problem"
    check(learning_rate.maximum < 1, name="learning_rate", value=learning_rate.maximum, allowed=allowed)
    return learning_rate


NOISY_QUADRATIC = NoisyQuadratic(dimension=64, examples=4096, noise_variance=5.0, distance=math.sqrt(10), gap=0.05)
"""The problem behind the workload `noisy-quadratic`: the gap falls from 5 to 0.05."""
