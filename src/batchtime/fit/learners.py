"""From updates of one learner and two sizes of several to the seconds of several learners' updates.

Learners on one machine share its memory and its caches, so that their work takes longer than one learner's on its share
of the batch, by one factor at every size; and they wait for each other's gradients:

    t(M, L) = slowdown t(M / L, 1) + exchange
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchtime.errors import FitError, check
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.seconds import Seconds, measured_seconds
from batchtime.laws.quantity import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnersTime:
    """Seconds of an update that several learners do together.

    Args:
        alone: Of one learner, as measured.
        learners: L.
        slowdown: Of the work, by the other learners' work beside it; 1 on machines of their own.
        exchange_seconds: Of the gradients, and of waiting for the last learner.
    """

    alone: Seconds
    learners: int
    slowdown: float
    exchange_seconds: float

    def seconds(self, batch_size: float) -> float:
        """Return the seconds of an update of a batch of all learners together.

        Raises:
            ParameterError: If a learner's share was not timed, between the least and the largest size that was.
        """
        low, high = self.learners * self.alone.sizes[0], self.learners * self.alone.sizes[-1]
        allowed = f"from {low:g} to {high:g}, the shares that were timed"
        check(low <= batch_size <= high, name="batch_size", value=batch_size, allowed=allowed)
        return self.slowdown * self.alone.at(batch_size / self.learners) + self.exchange_seconds


def fit_learners(
    alone: Sequence[UpdateTiming], together: Sequence[UpdateTiming], *, learners: int, sizes: Sequence[int]
) -> LearnersTime:
    """Fit slowdown and exchange to the median seconds of several learners at some of their batch sizes.

    Least squares of relative residuals; neither is negative.

    Args:
        alone: Updates of one learner, at the shares of these sizes too.
        together: Updates of all learners.
        learners: How many.
        sizes: Two or more of the batch sizes of `together`; the others are left to be predicted.

    Raises:
        FitError: If fewer than two of the sizes were timed.
        ParameterError: If the learners do not divide a size, or a share was not timed.
    """
    allowed = f"multiples of the {learners} learners, for each takes the same share"
    check(all(size % learners == 0 for size in sizes), name="sizes", value=list(sizes), allowed=allowed)
    several, seconds = measured_seconds(together), measured_seconds(alone)
    known = [size for size in sizes if size in several.sizes]
    if len(set(known)) < 2:
        raise FitError(f"slowdown and exchange need two timed sizes of {learners} learners, not {known}; time others")
    plain = LearnersTime(alone=seconds, learners=learners, slowdown=1.0, exchange_seconds=0.0)
    shares = np.array([plain.seconds(size) for size in known])
    medians = np.array([several.at(size) for size in known])
    slowdown, exchange = _not_negative(np.stack((shares, np.ones_like(shares)), axis=1) / medians[:, None])
    return LearnersTime(alone=seconds, learners=learners, slowdown=slowdown, exchange_seconds=exchange)


def _not_negative(design: Array) -> tuple[float, float]:
    """Return the two numbers of at least 0 whose combination of the columns comes nearest to 1 everywhere."""
    both = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
    if both.min() >= 0:
        return float(both[0]), float(both[1])
    ends = []
    for column in (0, 1):
        one = design[:, column]
        value = float(one.sum() / (one @ one))
        ends.append((float(np.sum((value * one - 1) ** 2)), column, value))
    _, column, value = min(ends)
    return (value, 0.0) if column == 0 else (0.0, value)


def errors_of(model: LearnersTime, together: Sequence[UpdateTiming]) -> dict[int, float]:
    """Return at each batch size the model's seconds over the median ones, less 1."""
    several = measured_seconds(together)
    return {int(size): model.seconds(size) / several.at(size) - 1 for size in map(float, several.sizes)}


def as_timings(model: LearnersTime, batch_sizes: Sequence[int]) -> list[UpdateTiming]:
    """Return what the model says of an update at some batch sizes, in the form of a measurement."""
    found = {size: model.seconds(float(size)) for size in batch_sizes}
    return [UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in found.items() if s < math.inf]
