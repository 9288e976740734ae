"""The page on one fit under scrutiny: its tables and figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from batchtime.book.diagnostics import Influence, Residual, ScatterParts, SpreadTest
from batchtime.book.figures import note
from batchtime.book.plots import FITTED, LEFT_OUT, MEASURED, SECOND, batch_size_axis, legend
from batchtime.book.tables import p_text, percent_text, table

# Diagnostics


def scatter_table(parts: ScatterParts) -> HTML:
    """Return the parts of the scatter, largest meaning first."""
    rows = [
        ("between seeds", percent_text(parts.seed), "what the runs of one seed share at all batch sizes"),
        ("between runs", percent_text(parts.run), "a run's own luck"),
        ("between batch sizes", percent_text(parts.batch_size), "the law's own error"),
    ]
    return table(["scatter", "standard deviation", "what it is"], rows)


def influence_table(found: Sequence[Influence]) -> HTML:
    """Return by how much the law changes without each batch size."""
    rows = [
        (f"{one.batch_size:g}", *(f"{value:+.1%}" for value in (one.n_inf, one.alpha, one.critical_batch_size)))
        for one in found
    ]
    return table(["without M =", "n_inf", "alpha", "alpha / n_inf"], rows)


def spread_text(found: SpreadTest) -> str:
    """Return the test of the spread as a sentence."""
    low, high = found.interval
    return (
        f"The standard deviation of the updates goes with their mean to the power {found.power:.2f} "
        f"({low:.2f} to {high:.2f}; {len(found.batch_sizes)} batch sizes). "
        f"That the spread of log N is the same at every batch size has p = {p_text(found.equal_in_logs)}, "
        f"and that the spread of N is, p = {p_text(found.equal_in_updates)}."
    )


RESIDUAL_LABEL = "mean of the runs over law, less 1 (%)"


def residuals(axes: Axes, found: Sequence[Residual], parts: ScatterParts | None) -> None:
    """Draw how far the mean of each batch size stands off the law, with its 95 % interval, in percent.

    A mean further off than twice the furthest fitted one is an arrow at the edge, with its value.

    Args:
        axes: Where to draw.
        found: Batch sizes; those that the law was not fitted to are hollow.
        parts: The band of two standard deviations of the law's own error is drawn if they are known.
    """
    if parts is not None:
        reach = 200 * parts.batch_size
        axes.axhspan(-reach, reach, color=LEFT_OUT, alpha=0.2, linewidth=0, label="the law's own error, twice")
    axes.axhline(0, color=FITTED, label="n_inf + alpha / M")
    edge = 200 * max(abs(end) for one in found if one.fitted for end in (one.error, *one.interval) if end is not None)
    for fitted, label in ((True, "mean of fitted runs"), (False, "mean of runs not fitted")):
        some = [one for one in found if one.fitted == fitted and abs(100 * one.error) < edge]
        if not some:
            continue
        ends = np.array([[one.error if side is None else side for side in one.interval] for one in some]).T
        errors = np.array([one.error for one in some])
        bars = axes.errorbar(
            [one.batch_size for one in some],
            100 * errors,
            yerr=100 * np.abs(ends - errors),
            fmt="o",
            color=MEASURED,
            markerfacecolor=MEASURED if fitted else "none",
            elinewidth=1,
            label=label,
        )
        known = {"low": [one.interval[0] for one in some], "high": [one.interval[1] for one in some]}
        note(bars, {side: [None if end is None else 100 * end for end in ends] for side, ends in known.items()})
    for one in found:
        if abs(100 * one.error) >= edge:
            height = float(np.copysign(0.92 * edge, one.error))
            marker = "^" if one.error > 0 else "v"
            look: dict[str, Any] = {"color": MEASURED, "markerfacecolor": "none", "label": "_mean of runs not fitted"}
            (arrow,) = axes.plot(one.batch_size, height, marker, **look)
            note(arrow, {RESIDUAL_LABEL: 100 * one.error})
            axes.annotate(f" {100 * one.error:+.0f} %", (one.batch_size, height), va="center", fontsize=10)
    batch_size_axis(axes)
    axes.set_ylim(-edge, edge)
    axes.set_ylabel(RESIDUAL_LABEL)
    legend(axes)


def spreads(axes: Axes, found: SpreadTest) -> None:
    """Draw the spread of the runs at each batch size as a share of their mean: level if the error is multiplicative."""
    spreads = [100 * spread for spread in found.spreads]
    axes.plot(found.batch_sizes, spreads, "o", color=MEASURED, label="runs at a batch size")
    together = float(np.sqrt(np.mean(np.square(found.spreads))))
    axes.axhline(100 * together, color=FITTED, label="root mean square")
    batch_size_axis(axes)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("standard deviation of log N (%)")
    legend(axes)


def influence(axes: Axes, found: Sequence[Influence]) -> None:
    """Draw by how many percent the law changes without each batch size."""
    names = {"n_inf": "n_inf", "alpha": "alpha", "critical_batch_size": "alpha / n_inf"}
    note(axes.axhline(0, color="black", linewidth=1), {})
    for (name, label), colour, marker in zip(names.items(), (MEASURED, FITTED, SECOND), "osD", strict=True):
        heights = [100 * getattr(one, name) for one in found]
        axes.plot([one.batch_size for one in found], heights, marker, linestyle="-", color=colour, label=label)
    batch_size_axis(axes)
    axes.set_ylabel("change without this batch size (%)")
    legend(axes)
