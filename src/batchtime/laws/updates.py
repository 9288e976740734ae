"""Mean updates to the target as a function of the batch size M: the inverse law N = n_inf + alpha / M."""

import math
from dataclasses import dataclass

from batchtime.laws.quantity import Scalars


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseLaw:
    """Mean updates to the target N(M) = n_inf + alpha / M.

    Args:
        n_inf: Updates that remain however large the batch; 0 if the law is alpha / M alone.
        alpha: Examples needed in the limit of small batches.
    """

    n_inf: float
    alpha: float

    def updates(self, batch_size: Scalars) -> Scalars:
        """Return the mean updates N at a batch size (a number, or an array of any shape)."""
        return self.n_inf + self.alpha / batch_size

    def examples(self, batch_size: Scalars) -> Scalars:
        """Return the examples trained on, E = N M = alpha + n_inf M: a straight line in M."""
        return self.alpha + self.n_inf * batch_size

    @property
    def sharpness(self) -> float:
        """Of the bend between the two arms, as `KneeLaw` has it: 1."""
        return 1.0

    @property
    def critical_batch_size(self) -> float:
        """Batch size alpha / n_inf at which both terms are equal."""
        return self.alpha / self.n_inf if self.n_inf > 0 else math.inf
