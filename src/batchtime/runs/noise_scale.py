"""From the gradients of single examples to the simple noise scale, with its uncertainty."""

import math

import numpy as np
from scipy.special import stdtrit

from batchtime.fit.scatter import LEVEL
from batchtime.runs.records import NoiseRecord


def noise_scales(record: NoiseRecord) -> list[tuple[float, float, float]]:
    """Return at each point tr S / |G|^2 in examples, and the ends of its 95 % interval.

    The interval is the t interval of the logarithm, with the variance that the jackknife over groups of examples gives.
    Where the noise hides |G|^2, so that its estimate or one without a group is not more than 0, the scale is taken from
    the largest that is (infinite if none is) and the interval has no upper end: infinite.
    """
    found = []
    for variance, square, groups in zip(record.noise_variance, record.gradient_square, record.groups, strict=True):
        ratios = np.array([v / s if s > 0 else math.inf for v, s in groups])
        value = variance / square if square > 0 else math.inf
        if not math.isfinite(value) or not np.isfinite(ratios).all():
            found.append((value, float(ratios.min()), math.inf))
            continue
        count = len(ratios)
        error = math.sqrt((count - 1) * float(np.var(np.log(ratios))))
        reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * error
        found.append((value, value * math.exp(-reach), value * math.exp(reach)))
    return found
