"""Seconds per update t(M), of an all-reduce c(L), and to the target T(M) = N(M) t(M) with its optimum."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchtime.errors import check
from batchtime.laws.quantity import Scalars
from batchtime.laws.updates import InverseLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class KneeLaw:
    """Mean updates N(M) = (n_inf^q + (alpha / M)^q)^(1/q): the two arms of the inverse law, joined more sharply.

    Args:
        n_inf: Updates of the flat arm.
        alpha: Examples of the steep arm.
        sharpness: q, more than 0; 1 is the inverse law, infinite the larger of the two arms.
    """

    n_inf: float
    alpha: float
    sharpness: float

    def updates(self, batch_size: Scalars) -> Scalars:
        """Return the mean updates N at a batch size (a number, or an array of any shape)."""
        return _joined(self.n_inf, self.alpha / batch_size, self.sharpness)

    @property
    def critical_batch_size(self) -> float:
        """Batch size alpha / n_inf at which the two arms meet."""
        return self.alpha / self.n_inf if self.n_inf > 0 else math.inf


def _joined(one: Scalars | float, other: Scalars, sharpness: float) -> Scalars:
    """Return (one^s + other^s)^(1/s) for numbers of at least 0: their sum for s = 1, the larger for an infinite s."""
    high, low = np.maximum(one, other), np.minimum(one, other)
    joined = high
    if math.isfinite(sharpness):
        ratio = np.divide(low, high, out=np.zeros_like(high, dtype=np.float64), where=high > 0)
        joined = high * (1 + ratio**sharpness) ** (1 / sharpness)
    return joined if isinstance(other, np.ndarray) else float(joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTime:
    """Seconds per update t(M) = (fixed_seconds^p + (seconds_per_example M)^p)^(1/p).

    Args:
        fixed_seconds: What an update costs however small the batch.
        seconds_per_example: What each further example costs in a large batch.
        sharpness: p, more than 0; 1 is the straight line, infinite the larger of the two costs.
    """

    fixed_seconds: float
    seconds_per_example: float
    sharpness: float = 1.0

    def seconds(self, batch_size: Scalars) -> Scalars:
        """Return the seconds of one update at a batch size (a number, or an array of any shape)."""
        if self.sharpness == 1:
            return self.fixed_seconds + self.seconds_per_example * batch_size
        return _joined(self.fixed_seconds, self.seconds_per_example * batch_size, self.sharpness)

    @property
    def break_even_batch_size(self) -> float:
        """Batch size at which both costs are equal: the machine's own; infinite if examples are free."""
        return self.fixed_seconds / self.seconds_per_example if self.seconds_per_example > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTime:
    """Mean seconds to the target T(M) = N(M) t(M).

    With knees of sharpness q (of the law) and p (of the time per update), the slope of log T in log M is
    -u / (1 + u) + v / (1 + v) with u = (a / M)^q, v = (M / h)^p, a = alpha / n_inf, h = fixed / per example. It is 0
    where u = v, at M_opt = a^(q / (p + q)) h^(p / (p + q)), and there T = n_inf fixed (1 + u)^(1/p + 1/q).
    For p = q = 1 that is the geometric mean of a and h.
    """

    law: InverseLaw | KneeLaw
    update_time: UpdateTime

    def seconds(self, batch_size: Scalars) -> Scalars:
        """Return the mean seconds to the target at a batch size (a number, or an array of any shape)."""
        return self.law.updates(batch_size) * self.update_time.seconds(batch_size)

    @property
    def weight(self) -> float:
        """How much the algorithm's batch size counts in the optimum, q / (p + q); the machine's counts 1 less it."""
        p, q = self.update_time.sharpness, self.law.sharpness
        if math.isinf(p) or math.isinf(q):
            return 0.5 if p == q else float(q > p)
        return q / (p + q)

    @property
    def optimal_batch_size(self) -> float:
        """Batch size of the least training time: weighted geometric mean of the algorithm's and the machine's.

        0 where alpha or the fixed time is 0, for T then only grows with M, and infinite where n_inf or the time per
        example is 0, for T then only falls; where both are so, T does not depend on M, and 1 is returned.
        """
        falls = self.law.alpha * self.update_time.fixed_seconds
        grows = self.law.n_inf * self.update_time.seconds_per_example
        if falls == 0 and grows == 0:
            return 1.0
        if grows == 0:
            return math.inf
        if falls == 0:
            return 0.0
        if self.weight == 0.5:
            return math.sqrt(falls / grows)
        algorithm, machine = self.law.critical_batch_size, self.update_time.break_even_batch_size
        return math.exp(self.weight * math.log(algorithm) + (1 - self.weight) * math.log(machine))

    @property
    def least_seconds(self) -> float:
        """Training time at the optimal batch size; what T tends to where that is 0 or infinite."""
        waiting, working = self._flat_parts()
        p, q = self.update_time.sharpness, self.law.sharpness
        if p == q == 1:
            return (math.sqrt(waiting) + math.sqrt(working)) ** 2
        best = self.optimal_batch_size
        return self.seconds(best) if 0 < best < math.inf else _joined(waiting, working, min(p, q))

    @property
    def noise_share(self) -> float:
        """Fraction by which the least time falls where alpha, or the time per example, falls by one: u / (1 + u).

        The rest, 1 / (1 + u), is the same for n_inf and for the fixed time. For p = q = 1 the share is
        sqrt(alpha gamma) / (sqrt(n_inf delta) + sqrt(alpha gamma)).
        """
        waiting, working = self._flat_parts()
        p, q = self.update_time.sharpness, self.law.sharpness
        exponent = q * (1 - self.weight) if math.isfinite(q) else p * self.weight
        if waiting == 0:
            return 1.0
        u = (working / waiting) ** exponent
        return u / (1 + u) if math.isfinite(u) else 1.0

    def _flat_parts(self) -> tuple[float, float]:
        """Return n_inf fixed and alpha per_example: the seconds that no batch size takes away."""
        return (
            self.law.n_inf * self.update_time.fixed_seconds,
            self.law.alpha * self.update_time.seconds_per_example,
        )

    def within(self, excess: float) -> tuple[float, float]:
        """Return the batch sizes between which T(M) is at most (1 + excess) times the least.

        For p = q = 1, T(M) - T_min = grows M + falls / M - 2 sqrt(grows falls), with grows = n_inf gamma and
        falls = alpha delta: a quadratic in M. Else log T falls and then grows with M, and each end is bisected.
        Where grows is 0 no batch size is too large (infinite), where falls is 0 none is too small (0).
        """
        falls = self.law.alpha * self.update_time.fixed_seconds
        grows = self.law.n_inf * self.update_time.seconds_per_example
        if self.update_time.sharpness == self.law.sharpness == 1:
            # grows M^2 - 2 half M + falls = 0, without a difference of nearly equal numbers
            half = math.sqrt(grows * falls) + excess * self.least_seconds / 2
            larger = half + math.sqrt(max(half * half - grows * falls, 0.0))
            low = 0.0 if falls == 0 else falls / larger if larger > 0 else math.inf
            return low, larger / grows if grows > 0 else math.inf
        return self._end(excess, -1.0) if falls > 0 else 0.0, self._end(excess, 1.0) if grows > 0 else math.inf

    def _end(self, excess: float, direction: float) -> float:
        """Return where T(M) has grown by a fraction on one side of the optimum, bisected in log M."""
        best = self.optimal_batch_size
        most = (1 + excess) * self.least_seconds
        near, far = 0.0, 1.0
        while far < _LONGEST and self.seconds(best * math.exp(direction * far)) <= most:
            far *= 2
        for _ in range(100):
            middle = (near + far) / 2
            inside = self.seconds(best * math.exp(direction * middle)) <= most
            near, far = (middle, far) if inside else (near, middle)
        return best * math.exp(direction * near)


_LONGEST = 500.0
"""Of log M from the optimum: beyond it a training time that has not grown does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceTime:
    """Seconds to average gradients over a network: a latency for each message, and seconds for each byte.

    "ring" (bandwidth-optimal): c(L) = 2 (L - 1) latency + 2 (L - 1) / L bytes seconds_per_byte.
    "tree": c(L) = 2 log2(L) (latency + bytes seconds_per_byte).

    Args:
        latency_seconds: Of one message.
        seconds_per_byte: One over the bandwidth.
        shape: How the learners are joined.
    """

    latency_seconds: float
    seconds_per_byte: float
    shape: Literal["ring", "tree"] = "ring"

    def __post_init__(self) -> None:
        """Refuse networks that do not exist."""
        check(self.shape in ("ring", "tree"), name="shape", value=self.shape, allowed="ring, tree")
        for name in ("latency_seconds", "seconds_per_byte"):
            value = getattr(self, name)
            check(0 <= value < math.inf, name=name, value=value, allowed="a finite number of at least 0")

    def seconds(self, learners: float, payload_bytes: float) -> float:
        """Return the seconds of one all-reduce of so many bytes among some learners; 0 for one."""
        if self.shape == "tree":
            return 2 * math.log2(learners) * (self.latency_seconds + payload_bytes * self.seconds_per_byte)
        steps = 2 * (learners - 1)
        return steps * self.latency_seconds + steps / learners * payload_bytes * self.seconds_per_byte
