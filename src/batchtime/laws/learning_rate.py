"""Step size as a function of the batch size: constant, or capped and linear below the cap."""

import math
from dataclasses import dataclass

from batchtime.errors import check


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """Step size as a function of the batch size, constant over a run.

    eta(M) = maximum / (1 + half_batch_size / M): the same for every batch size where `half_batch_size` is 0, and
    the harmonic rate of the theory chapter otherwise (it halves at M = `half_batch_size`).
    """

    maximum: float
    half_batch_size: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that cannot train."""
        allowed = "a finite number more than 0"
        check(0 < self.maximum < math.inf, name="learning_rate", value=self.maximum, allowed=allowed)
        allowed = "a finite number of examples, at least 0"
        check(0 <= self.half_batch_size < math.inf, name="half_batch_size", value=self.half_batch_size, allowed=allowed)

    def at(self, batch_size: float) -> float:
        """Return the step size used at this batch size."""
        return self.maximum / (1 + self.half_batch_size / batch_size)
