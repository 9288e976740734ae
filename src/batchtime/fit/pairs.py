"""The best pair of batch size and learning rate for a curve and given seconds per update."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batchtime.errors import FitError
from batchtime.laws.curve import CurveLaw
from batchtime.laws.quantity import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A batch size and a learning rate with the training time that they are predicted to take."""

    batch_size: float
    learning_rate: float
    seconds: float


def best_pair(law: CurveLaw, seconds: Callable[[Array], Array], *, sizes: Array, rates: Array | None = None) -> Pair:
    """Return the batch size and the learning rate of the least predicted training time.

    Never a learning rate above the largest at which every seed reached the target.

    Args:
        law: The curve.
        seconds: Seconds of an update at batch sizes.
        sizes: (S,) batch sizes to choose from.
        rates: (R,) learning rates to choose from; None for the largest and 60 down to a hundredth of it.

    Raises:
        FitError: If no pair is this side of the pole.
    """
    if rates is None:
        rates = law.largest_learning_rate * np.geomspace(0.01, 1, 61)
    rates = rates[rates <= law.largest_learning_rate * (1 + 1e-12)]
    time = np.asarray(law.updates(sizes[:, None], rates[None, :])) * seconds(sizes)[:, None]  # (S, R)
    if not len(rates) or not np.isfinite(time).any():
        raise FitError("no pair of batch size and learning rate lies this side of the pole; allow larger batches")
    place = np.unravel_index(int(np.argmin(np.where(np.isfinite(time), time, np.inf))), time.shape)
    return Pair(batch_size=float(sizes[place[0]]), learning_rate=float(rates[place[1]]), seconds=float(time[place]))
