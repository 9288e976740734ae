"""The pages on seconds per update: tables and figure."""

from collections.abc import Sequence

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from batchtime.book.figures import note
from batchtime.book.plots import (
    FITTED,
    LEFT_OUT,
    M_LABEL,
    MEASURED,
    PREDICTED,
    SECOND,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    sideways,
)
from batchtime.book.tables import table
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.training_time import least_time
from batchtime.fit.update_time import BentTime, TimeForm, left_out_error
from batchtime.laws.time import UpdateTime
from batchtime.laws.updates import InverseLaw


def update_time_table(timings: Sequence[UpdateTiming], time: UpdateTime | BentTime) -> HTML:
    """Return the median of each timed batch size with its quartiles, in milliseconds, beside a fitted form."""
    sizes = np.array([timing.batch_size for timing in timings], dtype=np.float64)
    rows = [
        (
            f"{timing.batch_size}",
            f"{timing.seconds * 1e3:.3g}",
            " to ".join(f"{side * 1e3:.3g}" for side in np.quantile(timing.wall_seconds, (0.25, 0.75))),
            f"{fitted * 1e3:.3g}",
            f"{fitted / timing.seconds - 1:+.1%}",
        )
        for timing, fitted in zip(timings, time.seconds(sizes), strict=True)
    ]
    return table(["M", "median, ms", "middle half, ms", "fitted, ms", "error"], rows)


def forms_table(timings: Sequence[UpdateTiming], forms: Sequence[TimeForm], law: InverseLaw) -> HTML:
    """Return how well each form of the time per update fits some timings, and the optimum that it gives with a law."""
    least = min(form.aicc for form in forms if form.aicc is not None)
    rows = []
    for form in forms:
        best, seconds = least_time(law, form.time)
        error = left_out_error(timings, form.name)
        rows.append(
            (
                form.name,
                "" if form.aicc is None else f"{form.aicc - least:.1f}",
                f"{form.largest_deviation:.1%}",
                "" if error is None else f"{error:.1%}",
                f"{best:.3g}",
                f"{seconds:.3g}",
            )
        )
    columns = [
        "form",
        "AICc above the least",
        "worst size is off by",
        "size left out, rms",
        "optimum M",
        "least time, s",
    ]
    return table(columns, rows)


def update_time(axes: Axes, timings: Sequence[UpdateTiming], forms: Sequence[TimeForm]) -> None:
    """Draw every measured duration of an update against the batch size, their medians, and fitted forms."""
    sizes = even_grid([timing.batch_size for timing in timings])
    for timing in timings:
        (dots,) = axes.plot(
            timing.batch_size * sideways(len(timing.wall_seconds)),
            np.multiply(timing.wall_seconds, 1e3),
            ".",
            color=MEASURED,
            markersize=2,
            alpha=0.4,
            label="_an update",
        )
        note(dots, {M_LABEL: timing.batch_size})
    medians = [timing.seconds * 1e3 for timing in timings]
    axes.plot([t.batch_size for t in timings], medians, "o", color=MEASURED, markersize=5, label="median of an update")
    for colour, style, form in zip((FITTED, LEFT_OUT, PREDICTED, SECOND), ("-", ":", "-.", "--"), forms, strict=False):
        axes.plot(sizes, form.time.seconds(sizes) * 1e3, style, color=colour, label=form.name)
    batch_size_axis(axes)
    plain_log_axis(axes, "milliseconds per update")
    legend(axes)
