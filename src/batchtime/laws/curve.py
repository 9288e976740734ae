"""The law over batch size and learning rate: eta N depends on eta / M alone, up to a lift near the largest step."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchtime.laws.quantity import Scalars
from batchtime.laws.updates import InverseLaw

Form = Literal["pole", "logarithm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLaw:
    """Mean updates N(M, eta) = g(eta) Phi(eta / M) / eta.

    In the limit of small steps the path of SGD in time s = eta N is that of dX = -grad f ds + sqrt(eta / M) dW, so that
    any stopping time that looks at the path alone is a function of eta / M. Phi is A + alpha tau / (1 - tau / pole), or
    A - alpha pole ln(1 - tau / pole): both rise from A with the slope alpha and end at the pole. Near the largest step
    that trains, more updates are needed at every eta / M: g(eta) = 1 + (lift - 1) (eta / largest_learning_rate)^2.

    Args:
        A: Learning rate times updates in the limit of large batches.
        alpha: Examples in the limit of small batches, above the pole; the same at every learning rate.
        pole: eta / M from which on the target is never reached; infinite for the straight line A + alpha tau.
        lift: g at the largest learning rate, at least 1.
        largest_learning_rate: The largest at which every seed reached the target: beyond it there is no law.
        form: Of Phi.

    Example:
        >>> law = CurveLaw(A=4.0, alpha=3000.0, pole=0.02, lift=1.2, largest_learning_rate=0.4)
        >>> round(law.updates(64, 0.1))
        91
    """

    A: float
    alpha: float
    pole: float = math.inf
    lift: float = 1.0
    largest_learning_rate: float = math.inf
    form: Form = "pole"

    def distance(self, tau: Scalars) -> Scalars:
        """Return Phi, the learning rate times updates without the lift, at eta / M; infinite from the pole on."""
        with np.errstate(all="ignore"):
            left = 1 - np.asarray(tau, dtype=np.float64) / self.pole
            if math.isinf(self.pole):
                noise = self.alpha * np.asarray(tau, dtype=np.float64)
            elif self.form == "pole":
                noise = np.where(left > 0, self.alpha * tau / left, np.inf)
            else:
                noise = np.where(left > 0, -self.alpha * self.pole * np.log(left), np.inf)
            found = self.A + noise
        return found if isinstance(tau, np.ndarray) else float(found)

    def factor(self, learning_rate: Scalars) -> Scalars:
        """Return the lift g(eta)."""
        if math.isinf(self.largest_learning_rate):
            return learning_rate * 0.0 + 1.0
        return 1 + (self.lift - 1) * (learning_rate / self.largest_learning_rate) ** 2

    def updates(self, batch_size: Scalars, learning_rate: Scalars) -> Scalars:
        """Return the mean updates at batch sizes and learning rates (numbers, or arrays that go together)."""
        found = self.factor(learning_rate) * self.distance(learning_rate / batch_size) / learning_rate
        return found if isinstance(found, np.ndarray) else float(found)

    def at(self, learning_rate: float) -> InverseLaw:
        """Return the inverse law that this is, to first order in 1 / M, at one learning rate."""
        lift = self.factor(learning_rate)
        return InverseLaw(n_inf=lift * self.A / learning_rate, alpha=lift * self.alpha)
