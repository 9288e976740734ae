"""Figures of the reading path that join several pages: the bowl, every clock, habits, one network on two machines."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from batchtime.book import plots
from batchtime.book.beyond import gpu_times, gpu_truth
from batchtime.book.comparisons import own_means
from batchtime.book.frames import clock_frame
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.update_time import median_seconds
from batchtime.laws.time import TrainingTime
from batchtime.plan.clock import Clocked

BOUGHT = {
    "updates": ("what a batch buys: fewer updates", "updates $N$"),
    "milliseconds": ("what it costs: longer ones", "ms an update, $t$"),
    "seconds": ("their product: a bowl", "seconds, $T = N t$"),
}
"""Of each panel of the triptych, what stands above it and at its axis."""


def triptych(
    time: TrainingTime, runs: Sequence[Observation], timings: Sequence[UpdateTiming], clocked: Sequence[Clocked]
) -> tuple[Figure, pd.DataFrame]:
    """Draw updates, milliseconds of one and seconds to the target below each other, measured and by the formulas.

    Args:
        time: Law and time of an update, fitted.
        runs: What the law was fitted to.
        timings: What the time of an update was fitted to.
        clocked: Whole runs by the clock.
    """
    means = own_means(runs)
    seen: dict[str, dict[float, float | None]] = {
        "updates": {float(one.batch_size): one.mean for one in means},
        "milliseconds": {float(size): 1e3 * value for size, value in median_seconds(timings).items()},
        "seconds": {float(one.batch_size): one.measured for one in clocked},
    }
    sizes = plots.even_grid(list(seen["updates"]))
    curve = {
        "updates": time.law.updates(sizes),
        "milliseconds": 1e3 * time.update_time.seconds(sizes),
        "seconds": time.seconds(sizes),
    }
    figure, panels = plt.subplots(3, sharex=True, figsize=(plots.WIDTH, 1.9 * plots.HEIGHT))
    low, high = time.within(0.05)
    for axes, (name, (heading, label)) in zip(panels, BOUGHT.items(), strict=True):
        inside = {size: value for size, value in seen[name].items() if sizes[0] <= size <= sizes[-1]}
        colour = plots.PREDICTED if name == "seconds" else plots.FITTED
        axes.axvspan(low, high, color=plots.LEFT_OUT, alpha=0.2, linewidth=0)
        axes.plot(sizes, curve[name], color=colour)
        axes.plot(list(inside), list(inside.values()), "o", color=plots.MEASURED, markersize=4.5)
        plots.batch_size_axis(axes)
        plots.plain_log_axis(axes, label)
        axes.set_title(heading, loc="left")
    for axes in panels[:-1]:
        axes.set_xlabel("")
    panels[-1].plot(time.optimal_batch_size, time.least_seconds, "D", color=plots.PREDICTED, markersize=7)
    parts = {
        f"{name}, measured": pd.DataFrame({"batch_size": list(v), name: list(v.values())}) for name, v in seen.items()
    }
    return figure, plots.together(formula=pd.DataFrame({"batch_size": sizes} | curve), **parts)


def clocks(rows: Mapping[str, Sequence[Clocked]]) -> pd.DataFrame:
    """Return every clocked mean of some tasks as `clock_frame` does, with a column `task` before it."""
    parts = [clock_frame(some).assign(task=task) for task, some in rows.items()]
    whole = pd.concat(parts, ignore_index=True).dropna(subset="measured_seconds")
    return whole[["task", *whole.columns.drop("task")]]


def on_the_diagonal(axes: Axes, seen: pd.DataFrame) -> pd.DataFrame:
    """Draw measured against predicted seconds, one mark a clocked mean, with the interval that was predicted for it.

    Args:
        axes: Where to draw.
        seen: Of `clocks`.
    """
    ends = [seen[["predicted_seconds", "measured_seconds"]].min().min() / 1.3]
    ends.append(seen[["predicted_seconds", "measured_seconds"]].max().max() * 1.3)
    axes.plot(ends, ends, color="black", linewidth=1)
    tasks = list(dict.fromkeys(seen["task"]))
    for colour, mark, task in zip(plots.COLOURS, plots.MARKS, tasks, strict=False):
        some = seen[seen["task"] == task]
        low, high = (some[f"predicted_seconds_{side}"].fillna(some["predicted_seconds"]) for side in ("low", "high"))
        reach = [some["predicted_seconds"] - low, high - some["predicted_seconds"]]
        look: dict[str, Any] = {"fmt": mark, "color": colour, "markersize": 5, "elinewidth": 1.2}
        axes.errorbar(some["predicted_seconds"], some["measured_seconds"], xerr=reach, label=task, **look)
    plots.plain_log_axis(axes, "seconds by the clock")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(plots.PLAIN)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seconds predicted, with 95 % interval")
    plots.legend(axes)
    return seen


def habit_bars(axes: Axes, costs: pd.DataFrame) -> pd.DataFrame:
    """Draw what each habit costs more than the best pair, a bar for each task.

    Args:
        axes: Where to draw.
        costs: Columns task, habit, cost_share; the best pair itself is left out.
    """
    shown = costs[costs["cost_share"] > 0]
    habits, tasks = list(dict.fromkeys(shown["habit"])), list(dict.fromkeys(shown["task"]))
    height = 0.8 / len(tasks)
    for place, (colour, task) in enumerate(zip(plots.COLOURS, tasks, strict=False)):
        some = shown[shown["task"] == task].set_index("habit")["cost_share"].reindex(habits)
        rows = np.arange(len(habits)) + (place - (len(tasks) - 1) / 2) * height
        axes.barh(rows, 100 * some, height=height, color=colour, label=task)
        for row, share in zip(rows, some, strict=True):
            if np.isfinite(share):
                axes.text(100 * share, row, f" {100 * share:.0f} %", va="center", fontsize=10)
    axes.set_yticks(range(len(habits)), ["\n".join(wrap(habit, 26)) for habit in habits])
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(0, 1500 * float(shown["cost_share"].max()))  # room for the number at the longest bar
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.set_xlabel("time lost, logarithmic above 10 %")
    plots.legend(axes)
    return shown


def published_medians(workload: str, devices: Sequence[str]) -> pd.DataFrame:
    """Return the published seconds of an update of one network on some devices, as `own_medians` does."""
    timed = gpu_times.timed_series()
    here = timed[(timed["workload"] == workload) & (timed["learners"] == 1)]
    sizes = {device: here[here["device"] == device] for device in devices}
    return _with_lines(
        {device: dict(zip(one["batch_size"], one["seconds"], strict=True)) for device, one in sizes.items()}
    )


def own_medians(timings: Mapping[str, Sequence[UpdateTiming]]) -> pd.DataFrame:
    """Return the median seconds of an update on some machines, and the line through those of each.

    Columns: device, batch_size, milliseconds, fixed_milliseconds, milliseconds_per_example, break_even.
    """
    return _with_lines({device: dict(median_seconds(some).items()) for device, some in timings.items()})


def _with_lines(seconds: Mapping[str, Mapping[float, float]]) -> pd.DataFrame:
    parts = []
    for device, some in seconds.items():
        size, each = np.array(list(some), dtype=np.float64), np.array(list(some.values()), dtype=np.float64)
        fixed, slope = gpu_truth.line(size, each)
        parts.append(
            pd.DataFrame({"device": device, "batch_size": size, "milliseconds": 1e3 * each}).assign(
                fixed_milliseconds=1e3 * fixed, milliseconds_per_example=1e3 * slope, break_even=fixed / slope
            )
        )
    return pd.concat(parts, ignore_index=True)


def two_machines(axes: Axes, seen: pd.DataFrame) -> pd.DataFrame:
    """Draw seconds of an update of one network on some machines, the lines through them, and where each line doubles.

    Args:
        axes: Where to draw.
        seen: Of `own_medians`.
    """
    sizes = plots.even_grid(list(seen["batch_size"]))
    for colour, mark, (device, some) in zip(
        plots.COLOURS, plots.MARKS, seen.groupby("device", sort=False), strict=False
    ):
        fixed, each, knee = (
            float(some[name].iloc[0]) for name in ("fixed_milliseconds", "milliseconds_per_example", "break_even")
        )
        axes.plot(sizes, fixed + each * sizes, color=colour, linewidth=1)
        axes.plot(some["batch_size"], some["milliseconds"], mark, color=colour, markersize=5, label=str(device))
        axes.plot(knee, 2 * fixed, "|", color=colour, markersize=16, markeredgewidth=2)
    plots.batch_size_axis(axes)
    plots.plain_log_axis(axes, "milliseconds an update")
    plots.legend(axes)
    return seen
