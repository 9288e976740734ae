"""What the formulas are made of: numbers and arrays, and intervals that may be open."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Scalars = TypeVar("Scalars", float, Array)


Interval = tuple[float | None, float | None]
"""A 95 % interval; None where the data leave that side open."""


def holds(interval: Interval, value: float | None) -> bool:
    """Return whether a value is known and lies in an interval, its ends included."""
    low, high = interval
    return value is not None and (low is None or low <= value) and (high is None or value <= high)
