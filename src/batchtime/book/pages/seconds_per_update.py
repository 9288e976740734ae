"""The pages on seconds per update: frames and figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    MEASURED,
    PREDICTED,
    SECOND,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    strip,
    together,
)
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.training_time import least_time
from batchtime.fit.update_time import BentTime, TimeForm, left_out_error
from batchtime.laws.time import UpdateTime
from batchtime.laws.updates import InverseLaw


def medians_frame(timings: Sequence[UpdateTiming], time: UpdateTime | BentTime) -> pd.DataFrame:
    """Return the median seconds of each timed batch size with the middle half of them, beside a fitted form."""
    sizes = np.array([timing.batch_size for timing in timings], dtype=np.float64)
    rows = []
    for timing, fitted in zip(timings, time.seconds(sizes), strict=True):
        low, high = np.quantile(timing.wall_seconds, (0.25, 0.75))
        rows.append(
            {
                "batch_size": timing.batch_size,
                "median_milliseconds": timing.seconds,
                "median_milliseconds_low": low,
                "median_milliseconds_high": high,
                "fitted_milliseconds": fitted,
                "error": fitted / timing.seconds - 1,
            }
        )
    return pd.DataFrame(rows)


def forms_frame(timings: Sequence[UpdateTiming], forms: Sequence[TimeForm], law: InverseLaw) -> pd.DataFrame:
    """Return how well each form of the time per update fits some timings, and the optimum that it gives with a law."""
    least = min(form.aicc for form in forms if form.aicc is not None)
    rows = []
    for form in forms:
        best, seconds = least_time(law, form.time)
        rows.append(
            {
                "form": form.name,
                "aicc_above": None if form.aicc is None else form.aicc - least,
                "worst_share": form.largest_deviation,
                "leave_one_out_error": left_out_error(timings, form.name),
                "optimal_batch_size": best,
                "least_seconds": seconds,
            }
        )
    return pd.DataFrame(rows)


def update_time(axes: Axes, timings: Sequence[UpdateTiming], forms: Sequence[TimeForm]) -> pd.DataFrame:
    """Draw every measured duration of an update against the batch size, their medians, and fitted forms."""
    durations = pd.DataFrame(
        {"batch_size": timing.batch_size, "milliseconds": 1e3 * seconds, "what": "duration"}
        for timing in timings
        for seconds in timing.wall_seconds
    )
    looks = {"duration": ("an update", MEASURED, ".")}
    strip(axes, durations, "batch_size", "milliseconds", by="what", looks=looks, size=8)
    medians = durations.groupby("batch_size", as_index=False)["milliseconds"].median()
    axes.plot(medians["batch_size"], medians["milliseconds"], "o", color=MEASURED, markersize=5, label="their median")
    sizes = even_grid(list(medians["batch_size"]))
    curves = pd.DataFrame(
        {"form": form.name, "batch_size": size, "milliseconds": 1e3 * seconds}
        for form in forms
        for size, seconds in zip(sizes, form.time.seconds(sizes), strict=True)
    )
    looks_of_forms = zip((FITTED, LEFT_OUT, PREDICTED, SECOND), ("-", ":", "-.", "--"), strict=True)
    for (colour, style), (name, one) in zip(looks_of_forms, curves.groupby("form", sort=False), strict=False):
        axes.plot(one["batch_size"], one["milliseconds"], style, color=colour, label=name)
    batch_size_axis(axes)
    plain_log_axis(axes, "milliseconds per update")
    legend(axes)
    return together(durations=durations.drop(columns="what"), forms=curves)
