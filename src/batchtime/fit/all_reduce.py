"""From durations of all-reduces to latency and bandwidth."""

from collections.abc import Sequence

import numpy as np

from batchtime.errors import FitError
from batchtime.fit.measurements import AllReduceTiming
from batchtime.laws.quantity import Array
from batchtime.laws.time import AllReduceTime


def fit_all_reduce(timings: Sequence[AllReduceTiming], *, learners: int) -> AllReduceTime:
    """Fit latency and bandwidth of a ring to the median seconds of all-reduces of several payloads.

    Least squares of log residuals: medians that lie above the curve count as much as those below it.

    Raises:
        FitError: If there are fewer than two payloads, or fewer than two learners.
    """
    if len({timing.payload_bytes for timing in timings}) < 2 or learners < 2:
        raise FitError(
            f"{len(timings)} payloads of {learners} learners do not tell latency from bandwidth; time two or more of "
            "each"
        )
    from scipy.optimize import least_squares

    payloads = np.array([timing.payload_bytes for timing in timings], dtype=np.float64)
    seconds = np.array([timing.median_seconds for timing in timings])
    steps = 2 * (learners - 1)

    def errors(logs: Array) -> Array:
        latency, per_byte = np.exp(logs)
        return np.asarray(np.log(steps * (latency + payloads / learners * per_byte) / seconds))

    start = np.log([seconds.min() / steps, seconds.max() * learners / (steps * payloads.max())])
    latency, per_byte = np.exp(least_squares(errors, start, x_scale="jac").x)
    return AllReduceTime(latency_seconds=float(latency), seconds_per_byte=float(per_byte))
