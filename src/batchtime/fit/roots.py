"""Where functions change their sign, many at once; scipy's own takes a third of the start of the command line."""

from collections.abc import Callable

import numpy as np

from batchtime.laws.quantity import Array

MOST_STEPS = 200


def roots(function: Callable[[Array], Array], first: Array, last: Array, *, precision: float = 1e-10) -> Array:
    """Return (n,) where each of n functions is 0 between two places, by the steps of Chandrupatla (1997).

    Args:
        function: From places (n,) to values (n,), each of its own function.
        first: (n,) where each search begins.
        last: (n,) where it ends.
        precision: Of a root, as a fraction of it.

    Returns:
        NaN where both ends have one sign.

    Example:
        >>> roots(lambda x: x**2 - np.array([4, 9, 100]), np.zeros(3), np.full(3, 5.0)).tolist()
        [2.0, 3.0, nan]
    """
    # a is the newest place, b the one across the root from it, c the one before; f, g and h are their values.
    a, b = first.astype(np.float64), last.astype(np.float64)
    f, g = function(a), function(b)
    crossed = np.sign(f) * np.sign(g) <= 0
    share = np.full(len(a), 0.5)
    for _ in range(MOST_STEPS):
        nearer = np.where(np.abs(f) < np.abs(g), a, b)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            least = (precision * np.abs(nearer) + 1e-300) / np.abs(b - a)
            done = ~crossed | ~(least <= 0.5) | (np.minimum(np.abs(f), np.abs(g)) == 0)
        if done.all():
            break
        at = np.where(done, a, a + np.clip(share, np.minimum(least, 0.5), 1 - np.minimum(least, 0.5)) * (b - a))
        value = np.where(done, f, function(at))
        same = np.sign(value) == np.sign(f)
        c, h = np.where(same, a, b), np.where(same, f, g)
        b, g = np.where(same | done, b, a), np.where(same | done, g, f)
        a, f = at, value
        with np.errstate(all="ignore"):
            place, height = (a - b) / (c - b), (f - g) / (h - g)
            quadratic = f / (g - f) * h / (g - h) + (c - a) / (b - a) * f / (h - f) * g / (h - g)
            trusted = (height**2 < place) & ((1 - height) ** 2 < 1 - place) & np.isfinite(quadratic)
        share = np.where(trusted, quadratic, 0.5)
    return np.where(crossed, np.where(np.abs(f) < np.abs(g), a, b), np.nan)
