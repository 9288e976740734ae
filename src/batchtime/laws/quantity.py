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


def number_text(value: float, digits: int = 3) -> str:
    """Return a number to some significant digits, without exponent up to ten million.

    Example:
        >>> number_text(5035.1), number_text(6.8123)
        ('5,040', '6.81')
    """
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if digits <= 0 or 10 ** (digits - 1) <= abs(rounded) < 1e7 else f"{value:.{digits}g}"


def interval_text(interval: Interval, digits: int = 3) -> str:
    """Return an interval as a reader says it, the one way in which intervals are written.

    Example:
        >>> interval_text((156.2, 194.7)), interval_text((156.2, None)), interval_text((None, None))
        ('156 to 195', 'more than 156', 'not bounded')
    """
    low, high = ("" if side is None else number_text(side, digits) for side in interval)
    if low and high:
        return f"{low} to {high}"
    return f"more than {low}" if low else f"less than {high}" if high else "not bounded"


def estimate_text(value: float, interval: Interval, digits: int = 3) -> str:
    """Return an estimate with its 95 % interval.

    Example:
        >>> estimate_text(739.3, (691.2, None))
        '739 (more than 691)'
    """
    return f"{number_text(value, digits)} ({interval_text(interval, digits)})"
