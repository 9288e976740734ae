"""The pages on training time, its optimum and the clock: frames and figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from batchtime.book.frames import clock_frame, with_interval
from batchtime.book.plots import (
    COLOURS,
    CURVE_POINTS,
    LINES,
    MEASURED,
    PREDICTED,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    strip,
    together,
)
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.laws.scaling import Network
from batchtime.laws.time import TrainingTime, UpdateTime
from batchtime.plan.clock import Clocked
from batchtime.runs.records import LearnersRecord, TimedRun


def penalties(time: TrainingTime, factors: Sequence[float]) -> pd.DataFrame:
    """Return how much longer training takes at batch sizes some factor below or above the optimum."""
    best, least = time.optimal_batch_size, time.least_seconds
    return pd.DataFrame(
        {
            "off by a factor of": factor,
            "below": best / factor,
            "below_longer_share": time.seconds(best / factor) / least - 1,
            "above": best * factor,
            "above_longer_share": time.seconds(best * factor) / least - 1,
        }
        for factor in factors
    )


def optima(found: Mapping[str, TrainingTimeFit]) -> pd.DataFrame:
    """Return the two batch sizes of each task, the optimum between them, and what it takes."""
    rows = []
    for label, one in found.items():
        low, high = one.time.within(0.05)
        rows.append(
            {
                "task": label,
                "critical_batch_size": one.time.law.critical_batch_size,
                "break_even": one.time.update_time.break_even_batch_size,
                **with_interval("optimum", one.time.optimal_batch_size, one.optimal_batch_size),
                "within_5_percent_low": low,
                "within_5_percent_high": high,
                "least_seconds": one.time.least_seconds,
            }
        )
    return pd.DataFrame(rows)


def predicted_updates(alone: UpdateTime, together: LearnersRecord, network: Network) -> pd.DataFrame:
    """Return measured seconds of an update of several learners beside gamma M / L + delta + c(L)."""
    exchange = network.all_reduce.seconds(together.learners, network.payload_bytes)
    frame = pd.DataFrame(
        {"batch_size": timing.batch_size, "measured_milliseconds": timing.seconds}
        for timing in together.timings["in turn"]
    )
    predicted = alone.seconds(frame["batch_size"].to_numpy(dtype=np.float64) / together.learners) + exchange
    frame.insert(1, "predicted_milliseconds", predicted)
    return frame.assign(error=predicted / frame["measured_milliseconds"] - 1)


def training_time(
    axes: Axes,
    times: Mapping[str, TrainingTime],
    *,
    batch_sizes: Sequence[float],
    fitted: tuple[float, float],
    within: float = 0.05,
) -> pd.DataFrame:
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
    whole = pd.concat(
        pd.DataFrame({"name": name, "batch_size": sizes, "seconds": time.seconds(sizes)})
        for name, time in times.items()
    )
    whole["fitted"] = whole["batch_size"].between(*fitted)
    for colour, style, (name, time) in zip(COLOURS, LINES, times.items(), strict=False):
        inside = (fitted[0] <= sizes) & (sizes <= fitted[1])
        axes.plot(sizes[inside], time.seconds(sizes[inside]), style, color=colour, label=name)
        for beyond in (sizes[sizes <= fitted[0]], sizes[sizes >= fitted[1]]):
            axes.plot(beyond, time.seconds(beyond), ":", color=colour)
        low, high = (min(max(end, sizes[0]), sizes[-1]) for end in time.within(within))
        near = np.geomspace(low, high, CURVE_POINTS)
        look: dict[str, Any] = {"color": colour, "linewidth": 5, "alpha": 0.4, "solid_capstyle": "butt"}
        axes.plot(near, time.seconds(near), **look)
        if sizes[0] <= time.optimal_batch_size <= sizes[-1]:
            best = time.optimal_batch_size, time.least_seconds
            face = colour if fitted[0] <= best[0] <= fitted[1] else "none"
            look = {"color": colour, "markerfacecolor": face, "markersize": 7}
            axes.plot(*best, "D", **look)
    key = COLOURS[0] if len(times) == 1 else "grey"
    axes.plot([], [], "D", color=key, label="optimal batch size")
    axes.plot([], [], color=key, linewidth=5, alpha=0.4, label=f"within {100 * within:.0f} % of the least time")
    batch_size_axis(axes)
    plain_log_axis(axes, "seconds to the target")
    legend(axes)
    return whole


def against_the_clock(
    axes: Axes, time: TrainingTime, runs: Sequence[TimedRun], rows: Sequence[Clocked]
) -> pd.DataFrame:
    """Draw predicted training time and each run with the clock running, with the mean at each batch size."""
    clocked = clock_frame(rows)
    sizes = even_grid([clocked["batch_size"].min() / 1.5, clocked["batch_size"].max() * 1.5])
    curve = pd.DataFrame({"batch_size": sizes, "seconds": time.seconds(sizes)})
    seen = pd.DataFrame(
        {
            "batch_size": run.batch_size,
            "seed": run.seed,
            "seconds": (run.lower_seconds + run.upper_seconds) / 2,
            "what": "run",
        }
        for run in runs
        if run.upper_seconds is not None
    )
    axes.plot(sizes, curve["seconds"], color=PREDICTED, label="predicted, $N(M)\\,t(M)$")
    low, high = (clocked[f"predicted_seconds_{side}"].fillna(clocked["predicted_seconds"]) for side in ("low", "high"))
    thick: dict[str, Any] = {"color": PREDICTED, "linewidth": 6, "alpha": 0.3}
    axes.vlines(clocked["batch_size"], low, high, **thick, label="where their mean should lie (95 %)")
    looks = {"run": ("a run by the clock", MEASURED, "o")}
    strip(axes, seen, "batch_size", "seconds", by="what", looks=looks)
    dash: dict[str, Any] = {"color": MEASURED, "linestyle": "none", "markeredgewidth": 2}
    axes.plot(clocked["batch_size"], clocked["measured_seconds"], marker="_", markersize=22, **dash)
    axes.plot([], [], marker="_", markersize=12, **dash, label="their mean")
    batch_size_axis(axes)
    plain_log_axis(axes, "seconds to the target")
    legend(axes)
    return together(predicted=curve, runs=seen.drop(columns="what"), means=clocked)
