"""The pages on training time, its optimum and the clock: tables and figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from batchtime.book.figures import note
from batchtime.book.plots import (
    COLOURS,
    CURVE_POINTS,
    LINES,
    M_LABEL,
    MEASURED,
    PREDICTED,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    sideways,
)
from batchtime.book.tables import interval_text, number_text, table
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.laws.scaling import Network
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.plan.clock import Clocked
from batchtime.runs.records import LearnersRecord, TimedRun


def penalty_table(time: TrainingTime, factors: Sequence[float]) -> HTML:
    """Return how much longer training takes at batch sizes some factor below or above the optimum."""
    best, least = time.optimal_batch_size, time.least_seconds
    rows = [
        (
            f"{factor:g}",
            f"{best / factor:.3g}",
            f"{time.seconds(best / factor) / least - 1:.1%}",
            f"{best * factor:.3g}",
            f"{time.seconds(best * factor) / least - 1:.1%}",
        )
        for factor in factors
    ]
    return table(["off by a factor of", "M below", "longer by", "M above", "longer by "], rows)


def clock_table(rows: Sequence[Clocked]) -> HTML:
    """Return predicted and measured seconds to the target at each batch size, and whose part of the error is whose."""
    return table(
        ["M", "runs", "predicted, s", "95 % interval", "measured, s", "its interval", "error", "of updates", "of t(M)"],
        [
            (
                f"{row.batch_size}",
                f"{row.n_runs}",
                number_text(row.predicted),
                interval_text(row.predicted_interval),
                "not known" if row.measured is None else number_text(row.measured),
                interval_text(row.measured_interval),
                "" if row.error is None else f"{row.error:+.1%}",
                "" if row.updates_error is None else f"{row.updates_error:+.1%}",
                f"{row.seconds_error:+.1%}",
            )
            for row in rows
        ],
    )


def optima_table(found: Mapping[str, TrainingTimeFit]) -> HTML:
    """Return the two batch sizes of each task, the optimum between them, and what it takes."""
    rows = []
    for label, one in found.items():
        time = one.time
        low, high = time.within(0.05)
        rows.append(
            (
                label,
                number_text(time.law.critical_batch_size),
                number_text(time.update_time.break_even_batch_size),
                f"{number_text(time.optimal_batch_size)} ({interval_text(one.optimal_batch_size)})",
                f"{number_text(low)} to {number_text(high)}",
                number_text(time.least_seconds),
            )
        )
    columns = ["task", "alpha / n_inf", "delta / gamma", "optimum (95 %)", "within 5 %", "least time, s"]
    return table(columns, rows)


def predicted_updates_table(alone: UpdateTime, together: LearnersRecord, network: Network) -> HTML:
    """Return measured milliseconds of an update of several learners beside gamma M / L + delta + c(L)."""
    learners = together.learners
    exchange = network.all_reduce.seconds(learners, network.payload_bytes)
    rows = []
    for timing in together.timings["in turn"]:
        predicted = alone.seconds(timing.batch_size / learners) + exchange
        rows.append(
            (
                f"{timing.batch_size}",
                f"{predicted * 1e3:.3g}",
                f"{timing.seconds * 1e3:.3g}",
                f"{predicted / timing.seconds - 1:+.0%}",
            )
        )
    return table(["M of all", "predicted, ms", "measured, ms", "error"], rows)


def training_time(
    axes: Axes,
    times: Mapping[str, TrainingTime],
    *,
    batch_sizes: Sequence[float],
    fitted: tuple[float, float],
    within: float = 0.05,
) -> None:
    """Draw training time against the batch size for each named law and machine, its optimum and the range near it.

    Outside of the batch sizes that the law was fitted to curves are dotted, and an optimum there is a hollow mark.

    Args:
        axes: Where to draw.
        times: What to call each curve.
        batch_sizes: The curves go from the least to the greatest.
        fitted: Least and greatest batch size that the laws were fitted to.
        within: The range of batch sizes with at most this excess over the least time is drawn thick.
    """
    sizes = even_grid(batch_sizes)
    for colour, style, (name, time) in zip(COLOURS, LINES, times.items(), strict=False):
        inside = (fitted[0] <= sizes) & (sizes <= fitted[1])
        axes.plot(sizes[inside], time.seconds(sizes[inside]), style, color=colour, label=name)
        for beyond in (sizes[sizes <= fitted[0]], sizes[sizes >= fitted[1]]):
            axes.plot(
                beyond, time.seconds(beyond), ":", color=colour, label=f"_{name}, outside of the fitted batch sizes"
            )
        low, high = (min(max(end, sizes[0]), sizes[-1]) for end in time.within(within))
        near = np.geomspace(low, high, CURVE_POINTS)
        look: dict[str, Any] = {"color": colour, "linewidth": 5, "alpha": 0.4, "solid_capstyle": "butt"}
        axes.plot(near, time.seconds(near), **look, label=f"_{name}, within {100 * within:.0f} % of the least time")
        if sizes[0] <= time.optimal_batch_size <= sizes[-1]:
            best = time.optimal_batch_size, time.least_seconds
            face = colour if fitted[0] <= best[0] <= fitted[1] else "none"
            look = {"color": colour, "markerfacecolor": face, "markersize": 7}
            axes.plot(*best, "D", **look, label=f"_{name}, optimal batch size")
    key = COLOURS[0] if len(times) == 1 else "grey"
    axes.plot([], [], "D", color=key, label="optimal batch size")
    axes.plot([], [], color=key, linewidth=5, alpha=0.4, label=f"within {100 * within:.0f} % of the least time")
    batch_size_axis(axes)
    plain_log_axis(axes, "seconds to the target")
    legend(axes)


def against_the_clock(axes: Axes, time: TrainingTime, runs: Sequence[TimedRun], rows: Sequence[Clocked]) -> None:
    """Draw predicted training time and each run with the clock running, with the mean at each batch size."""
    sizes = even_grid([min(row.batch_size for row in rows) / 1.5, max(row.batch_size for row in rows) * 1.5])
    axes.plot(sizes, time.seconds(sizes), color=PREDICTED, label="predicted, N(M) t(M)")
    for row in rows:
        low, high = (row.predicted if end is None else end for end in row.predicted_interval)
        look: dict[str, Any] = {"color": PREDICTED, "linewidth": 6, "alpha": 0.3}
        bar = axes.vlines(row.batch_size, low, high, **look, label="_predicted mean of so many runs")
        note(bar, dict(zip(("low", "high"), row.predicted_interval, strict=True)))
        here = [run for run in runs if run.batch_size == row.batch_size and run.upper_seconds is not None]
        middles = [(run.lower_seconds + (run.upper_seconds or run.lower_seconds)) / 2 for run in here]
        look = {"color": MEASURED, "markersize": 4, "alpha": 0.5}
        (dots,) = axes.plot(row.batch_size * sideways(len(here)), middles, "o", **look, label="_a run by the clock")
        note(dots, {M_LABEL: row.batch_size, "seed": [run.seed for run in here]})
        if row.measured is not None:
            look = {"color": MEASURED, "markersize": 22, "markeredgewidth": 2}
            axes.plot([row.batch_size], [row.measured], "_", **look, label="_mean of the runs by the clock")
    axes.plot([], [], color=PREDICTED, linewidth=6, alpha=0.3, label="where their mean should lie (95 %)")
    axes.plot([], [], "o", color=MEASURED, markersize=4, label="a run by the clock")
    axes.plot([], [], "_", color=MEASURED, markersize=12, markeredgewidth=2, label="their mean")
    batch_size_axis(axes)
    plain_log_axis(axes, "seconds to the target")
    legend(axes)
