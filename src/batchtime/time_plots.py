"""Drawings of seconds: the time per update, training time, whole runs against the clock, several learners."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from batchtime.figures import note
from batchtime.plots import (
    COLOURS,
    CURVE_POINTS,
    FITTED,
    LEFT_OUT,
    LINES,
    M_LABEL,
    MARKS,
    MEASURED,
    PLAIN,
    PREDICTED,
    SECOND,
    batch_size_axis,
    even_grid,
    legend,
    plain_log_axis,
    shades,
    sideways,
)
from batchtime.records import LearnersRecord, NoiseRecord, TimedRun, TrainingTime, UpdateTiming
from batchtime.scaling import Network, optimal_scaling, strong_scaling, weak_scaling
from batchtime.training_time import Clocked, TrainingTimeFit
from batchtime.update_time import TimeForm


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


def communication(axes: Axes, alone: LearnersRecord, together: LearnersRecord) -> None:
    """Draw milliseconds of an update against the total batch size, for one learner and by way of communication."""
    looks = {"compute": (MEASURED, "-", "without communication"), "in turn": (FITTED, "--", "then all-reduce")}
    looks["overlapped"] = (PREDICTED, ":", "all-reduce during backward")
    seen = alone.timings["compute"]
    axes.plot(
        [t.batch_size for t in seen],
        [t.seconds * 1e3 for t in seen],
        "s-",
        color=LEFT_OUT,
        label="one learner",
        markersize=4,
    )
    for mode, timings in together.timings.items():
        colour, style, words = looks[mode]
        axes.plot(
            [t.batch_size for t in timings],
            [t.seconds * 1e3 for t in timings],
            "o" + style,
            color=colour,
            markersize=4,
            label=f"{together.learners} learners, {words}",
        )
    batch_size_axis(axes)
    axes.set_xlabel("batch size M of all learners (examples)")
    plain_log_axis(axes, "milliseconds per update")
    legend(axes)


def _size_text(count: float, _position: object = None) -> str:
    """Return a power of two of bytes as a reader says it."""
    power = max(int(np.log2(count)) // 10, 0)
    return f"{count / 1024**power:g}{('', ' Ki', ' Mi', ' Gi')[power]}"


def all_reduce(axes: Axes, together: LearnersRecord, network: Network) -> None:
    """Draw milliseconds of an all-reduce against its bytes, every repeat, and the fitted latency and bandwidth."""
    payloads = [timing.payload_bytes for timing in together.all_reduce]
    for timing in together.all_reduce:
        where = np.full(len(timing.seconds), timing.payload_bytes) * sideways(len(timing.seconds))
        look: dict[str, Any] = {"color": MEASURED, "markersize": 3, "alpha": 0.4, "label": "_an all-reduce"}
        (dots,) = axes.plot(where, np.multiply(timing.seconds, 1e3), ".", **look)
        note(dots, {"bytes": timing.payload_bytes})
    axes.plot(payloads, [t.median_seconds * 1e3 for t in together.all_reduce], "o", color=MEASURED, label="median")
    grid = even_grid(payloads)
    fitted = [network.all_reduce.seconds(together.learners, payload) * 1e3 for payload in grid]
    axes.plot(grid, fitted, color=FITTED, label="latency + bytes / bandwidth")
    axes.axvline(together.gradient_bytes, color=LEFT_OUT, linestyle="--", label="a gradient of this model")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(_size_text))
    axes.set_xlabel("bytes")
    plain_log_axis(axes, "milliseconds per all-reduce")
    legend(axes)


def scaling(axes: Axes, time: TrainingTime, network: Network, *, most: int, measured: Mapping[int, float]) -> None:
    """Draw the seconds to the target against the number of learners for three ways to choose the batch.

    Args:
        axes: Where to draw.
        time: Of one learner.
        network: Between the learners.
        most: The largest number of learners of the projection.
        measured: Seconds to the target at the optimum, from measured updates, by number of learners.
    """
    counts = [2**k for k in range(most.bit_length())]
    ways: Mapping[str, tuple[Callable[[TrainingTime, int, Network], float], object, str]] = {
        "strong: the batch that is best for one": (strong_scaling, MEASURED, "--"),
        "weak: that batch for each": (weak_scaling, FITTED, ":"),
        "optimal: the best batch for so many": (optimal_scaling, PREDICTED, "-"),
    }
    for label, (seconds, colour, style) in ways.items():
        axes.plot(counts, [seconds(time, count, network) for count in counts], style, color=colour, label=label)
    axes.plot(list(measured), list(measured.values()), "D", color="black", label="optimal, from measured t(M, L)")
    if len(counts) > len(measured):
        note(axes.axvspan(max(measured, default=1) * 1.4, counts[-1], color=LEFT_OUT, alpha=0.12), {})
        axes.text(
            counts[-1], 0.02, "projection ", ha="right", va="bottom", fontsize=10, transform=axes.get_xaxis_transform()
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts[::2], [f"{count:,}" for count in counts[::2]])
    axes.set_xlabel("learners L")
    plain_log_axis(axes, "seconds to the target")
    legend(axes)


def straggling(axes: Axes, optima: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Draw the optimal batch size against the number of learners for some spreads of their speed."""
    for colour, mark, (label, points) in zip(shades(len(optima)), MARKS, optima.items(), strict=False):
        look: dict[str, Any] = {"color": colour, "markersize": 4, "label": label}
        axes.plot([count for count, _ in points], [best for _, best in points], f"{mark}-", **look)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_xlabel("learners L")
    plain_log_axis(axes, "optimal batch size M (examples)")
    legend(axes)


def epoch_and_training(axes: Axes, found: Mapping[str, TrainingTimeFit], batch_sizes: Sequence[float]) -> None:
    """Draw the time of an epoch and the training time, each over its least value, against the batch size.

    Training time is drawn at the batch sizes that its law was fitted to.
    """
    sizes = even_grid(batch_sizes)
    every = CURVE_POINTS // 8
    for colour, mark, (label, one) in zip(COLOURS, MARKS, found.items(), strict=False):
        time, (low, high) = one.time, one.within_law
        known = sizes[(low <= sizes) & (sizes <= high)]
        epoch = time.update_time.seconds(sizes) / sizes
        look: dict[str, Any] = {"color": colour, "markevery": every, "markersize": 4}
        axes.plot(sizes, epoch / epoch.min(), f"{mark}--", **look, linewidth=1, label=f"_{label}, an epoch")
        axes.plot(known, time.seconds(known) / time.least_seconds, f"{mark}-", **look, label=label)
    axes.plot([], [], color="grey", label="training time over the least")
    axes.plot([], [], "--", color="grey", linewidth=1, label="time of an epoch over its least")
    batch_size_axis(axes)
    plain_log_axis(axes, "times the least")
    legend(axes)


def noise_panel(
    axes: Axes,
    records: Sequence[NoiseRecord],
    scales: Sequence[Sequence[tuple[float, float, float]]],
    marks: Mapping[str, tuple[float, float, float]],
) -> None:
    """Draw the simple noise scale along training, one line a seed with its interval, beside constant estimates.

    Args:
        axes: Where to draw.
        records: Of several seeds.
        scales: For each record and point the noise scale and the ends of its interval.
        marks: What to call each constant estimate, and its value and the ends of its interval.
    """
    for record, points in zip(records, scales, strict=True):
        place = np.array(record.updates) / record.updates[-1]
        values, lows, highs = np.array(points).T
        errors = np.clip([values - lows, highs - values], 0, None)
        look: dict[str, Any] = {"fmt": "o-", "color": MEASURED, "alpha": 0.6, "markersize": 3, "linewidth": 1}
        bars = axes.errorbar(place, values, yerr=errors, **look, label="_noise scale")
        note(bars, {"seed": record.seed, "low": lows, "high": highs})
    axes.plot([], [], "o-", color=MEASURED, label="tr S / |G|^2, one line a seed, 95 %")
    for colour, style, (label, (value, low, high)) in zip(
        (FITTED, PREDICTED, SECOND), ("-", "--", ":"), marks.items(), strict=False
    ):
        axes.axhline(value, color=colour, linestyle=style, label=label)
        axes.axhspan(low, high, color=colour, alpha=0.15, label=f"_{label}, 95 %")
    axes.set_xlabel("updates, as a fraction of those to the target")
    plain_log_axis(axes, "examples")
    legend(axes)
