"""Draw runs, laws and times on axes that are given.

Every run is drawn; batch sizes stand on a base-2 logarithmic axis with plain integers. One colour-blind-safe palette
means the same everywhere: blue is measured, orange fitted, green predicted, grey left out of the fit.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from batchtime.records import Array, InverseLaw, Observation, RunRecord, TrainingTime, UpdateTime, UpdateTiming

_COLOURS = [tuple(colour) for colour in sns.color_palette("colorblind")]
MEASURED, FITTED, PREDICTED, LEFT_OUT, SECOND = _COLOURS[0], _COLOURS[1], _COLOURS[2], _COLOURS[7], _COLOURS[4]
CURVE_POINTS = 200


def use_style() -> None:
    """Use the book's fonts, grid and deterministic output from now on, in this process."""
    plt.rcParams.update(
        {
            "axes.grid": True,
            "grid.alpha": 0.3,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
            "figure.figsize": (7, 4.5),
            "svg.hashsalt": "batchtime",
            "savefig.dpi": 150,
        }
    )


def save_figure(figure: Figure, folder: str | Path, name: str) -> None:
    """Write a figure as `name`.svg, the same bytes for the same figure."""
    path = Path(folder) / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def batch_size_axis(axes: Axes) -> None:
    """Put M on a base-2 logarithmic axis with plain integers."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("batch size M (examples)")


def plain_log_axis(axes: Axes, label: str) -> None:
    """Put updates, seconds or an error on a logarithmic axis with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(label)


def _grid(sizes: Sequence[float]) -> Array:
    return np.geomspace(min(sizes), max(sizes), CURVE_POINTS)


def _jitter(count: int) -> Array:
    """Return factors that spread runs at one batch size sideways, so that each can be seen."""
    return np.asarray(2 ** np.linspace(-0.12, 0.12, count)) if count > 1 else np.ones(1)


def _runs(axes: Axes, observations: Sequence[Observation], colour: object, label: str) -> None:
    """Draw each run at the middle of its interval; one that did not reach the target as a triangle at its budget."""
    sizes = sorted({seen.batch_size for seen in observations})
    named: set[str] = set()
    for size in sizes:
        here = [seen for seen in observations if seen.batch_size == size]
        spread = _jitter(len(here))
        for reached, marker, text in ((True, "o", label), (False, "^", f"{label}, not reached within its budget")):
            chosen = [(k, seen) for k, seen in enumerate(here) if (seen.upper is not None) == reached]
            if not chosen:
                continue
            axes.plot(
                [size * spread[k] for k, _ in chosen],
                [_middle(seen) for _, seen in chosen],
                marker,
                color=colour,
                markersize=4,
                alpha=0.6,
                markeredgewidth=0,
                label=None if text in named else text,
            )
            named.add(text)


def _middle(seen: Observation) -> float:
    return seen.lower if seen.upper is None else (seen.lower + seen.upper) / 2


def updates_against_batch_size(
    axes: Axes,
    *,
    fitted: Sequence[Observation],
    law: InverseLaw,
    band: tuple[Array, Array] | None = None,
    sealed: Sequence[Observation] = (),
    left_out: Sequence[Observation] = (),
) -> None:
    """Draw updates to the target against the batch size: every run, the law, its two arms.

    Args:
        axes: Where to draw.
        fitted: Runs that the law was fitted to.
        law: The fitted law.
        band: Lower and upper updates on `curve_sizes(fitted)`, each of shape (CURVE_POINTS,).
        sealed: Runs that were kept out of the fit, to be predicted.
        left_out: Runs at batch sizes where the law is not expected to hold.
    """
    sizes = curve_sizes(fitted)
    if band is not None:
        axes.fill_between(sizes, *band, color=FITTED, alpha=0.25, linewidth=0, label="95 % of laws, seeds resampled")
    axes.plot(sizes, law.updates(sizes), color=FITTED, label="n_inf + alpha / M")
    axes.plot(sizes, law.alpha / sizes, color=LEFT_OUT, linestyle=":", label="alpha / M: perfect scaling")
    axes.axhline(law.n_inf, color=LEFT_OUT, linestyle="--", label="n_inf")
    _runs(axes, fitted, MEASURED, "a run")
    if sealed:
        _runs(axes, sealed, PREDICTED, "a run at a sealed batch size")
    if left_out:
        _runs(axes, left_out, LEFT_OUT, "a run left out of the fit")
    batch_size_axis(axes)
    plain_log_axis(axes, "updates N to the target")
    everything = [_middle(seen) for seen in (*fitted, *sealed, *left_out)]
    axes.set_ylim(min([*everything, law.n_inf]) / 1.5, max(everything) * 1.5)
    axes.legend(fontsize="small")


def curve_sizes(observations: Sequence[Observation]) -> Array:
    """Return the batch sizes at which curves over these runs are drawn, shape (CURVE_POINTS,)."""
    return _grid([seen.batch_size for seen in observations])


def examples_against_batch_size(axes: Axes, *, fitted: Sequence[Observation], law: InverseLaw) -> None:
    """Draw the examples needed, E = N M, against M on linear axes: the law is the straight line alpha + n_inf M."""
    sizes = np.linspace(0, max(seen.batch_size for seen in fitted), CURVE_POINTS)
    axes.plot(sizes, law.examples(sizes) / 1e3, color=FITTED, label="alpha + n_inf M")
    reached = [seen for seen in fitted if seen.upper is not None]
    axes.plot(
        [seen.batch_size for seen in reached],
        [_middle(seen) * seen.batch_size / 1e3 for seen in reached],
        "o",
        color=MEASURED,
        markersize=4,
        alpha=0.6,
        markeredgewidth=0,
        label="a run",
    )
    axes.set_xlabel("batch size M (examples)")
    axes.set_ylabel("examples E to the target (thousands)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")


def learning_curves(axes: Axes, records: Sequence[RunRecord], batch_sizes: Sequence[int]) -> None:
    """Draw the metric of each run against updates, one colour a batch size, with the target."""
    target = records[0].setting.workload.target
    palette = sns.color_palette("viridis", len(batch_sizes))
    for colour, size in zip(palette, batch_sizes, strict=True):
        for number, record in enumerate(record for record in records if record.batch_size == size):
            axes.plot(
                record.evaluations.updates,
                [np.nan if value is None else value for value in record.evaluations.metrics[target.metric]],
                color=colour,
                linewidth=0.8,
                alpha=0.7,
                label=f"M = {size}" if number == 0 else None,
            )
    axes.axhline(target.value, color="black", linestyle="--", linewidth=1, label=f"target {target.value:g}")
    axes.set_xscale("log")
    plain_log_axis(axes, f"validation {target.metric}" + (" (nats)" if target.metric == "loss" else " (fraction)"))
    axes.set_xlabel("updates")
    axes.legend(fontsize="small")


def update_time(axes: Axes, timings: Sequence[UpdateTiming], line: UpdateTime) -> None:
    """Draw every measured duration of an update against the batch size, their medians, and the fitted line."""
    sizes = np.geomspace(min(t.batch_size for t in timings), max(t.batch_size for t in timings), CURVE_POINTS)
    for timing in timings:
        axes.plot(
            timing.batch_size * _jitter(len(timing.wall_seconds)),
            np.multiply(timing.wall_seconds, 1e3),
            ".",
            color=MEASURED,
            markersize=2,
            alpha=0.4,
        )
    medians = [timing.seconds * 1e3 for timing in timings]
    axes.plot([t.batch_size for t in timings], medians, "o", color=MEASURED, markersize=5, label="median of an update")
    axes.plot(sizes, line.seconds(sizes) * 1e3, color=FITTED, label="delta + gamma M")
    axes.axhline(line.fixed_seconds * 1e3, color=LEFT_OUT, linestyle="--", label="delta: the cost of any update")
    batch_size_axis(axes)
    plain_log_axis(axes, "milliseconds per update")
    axes.legend(fontsize="small")


def training_time(
    axes: Axes,
    times: Mapping[str, TrainingTime],
    *,
    batch_sizes: Sequence[float],
    within: float = 0.05,
) -> None:
    """Draw training time against the batch size for each named law and machine, its optimum and the range near it.

    Args:
        axes: Where to draw.
        times: What to call each curve.
        batch_sizes: The curves go from the least to the greatest.
        within: The range of batch sizes with at most this excess over the least time is drawn thick.
    """
    sizes = _grid(batch_sizes)
    colours = sns.color_palette("colorblind", len(times))
    for colour, (name, time) in zip(colours, times.items(), strict=True):
        axes.plot(sizes, time.seconds(sizes), color=colour, label=name)
        low, high = time.within(within)
        near = np.geomspace(max(low, sizes[0]), min(high, sizes[-1]), CURVE_POINTS)
        axes.plot(near, time.seconds(near), color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
        axes.plot([time.optimal_batch_size], [time.least_seconds], "D", color=colour, markersize=7)
    axes.plot([], [], "D", color="grey", label="optimal batch size")
    axes.plot([], [], color="grey", linewidth=5, alpha=0.4, label=f"within {within:.0%} of the least time")
    batch_size_axis(axes)
    plain_log_axis(axes, "seconds to the target")
    axes.legend(fontsize="small")
