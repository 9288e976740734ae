"""Drawings of the law under scrutiny, on axes that are given, in the looks of `plots`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from batchtime.comparisons import Arm
from batchtime.diagnostics import Influence, Residual, ScatterParts, SpreadTest
from batchtime.figures import note
from batchtime.plots import FITTED, LEFT_OUT, MEASURED, SECOND, batch_size_axis, legend
from batchtime.records import StudyRecord
from batchtime.rivals import Comparison
from batchtime.simulation import ESTIMATORS, bias, design_text

RESIDUAL_LABEL = "mean of the runs over law, less 1 (%)"


def forest(axes: Axes, several: Sequence[Arm]) -> None:
    """Draw alpha / n_inf of each sweep with its 95 % interval, one a row; an open side ends in an arrow."""
    shown = [one for one in several if one.fit is not None and 0 < one.fit.law.critical_batch_size < np.inf]
    for row, one in enumerate(shown):
        assert one.fit is not None  # noqa: S101 - `shown` has no other
        low, high = one.fit.intervals.critical_batch_size
        value = one.fit.law.critical_batch_size
        ends = (value / 8 if low is None else low, value * 8 if high is None else high)
        note(axes.plot(ends, [row, row], color=FITTED, linewidth=2)[0], {})
        for end, side, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
            if side is None:
                note(axes.plot(end, row, marker, color=FITTED)[0], {})
        (place,) = axes.plot(value, row, "o", color=FITTED, label=f"_{one.label}")
        note(place, {"low": low, "high": high})
    axes.set_yticks(range(len(shown)), [one.label for one in shown])
    axes.invert_yaxis()
    axes.margins(y=0.08)
    batch_size_axis(axes)
    axes.set_xlabel("alpha / n_inf (examples), 95 % interval")


def laws_over_means(axes: Axes, found: Comparison, *, at_most: int = 3) -> None:
    """Draw the errors of the inverse law and of the laws of least AICc at each batch size, in percent of the mean."""
    best = sorted(found.fitted, key=lambda one: one.aicc)[:at_most]
    laws = [one for one in best if one is not found.ours] + ([found.ours] if found.ours else [])
    sizes = np.array(found.batch_sizes)
    note(axes.axhline(0, color="black", linewidth=1), {})
    for one, colour, marker in zip(laws[::-1], (FITTED, MEASURED, SECOND, LEFT_OUT), "osD^", strict=False):
        axes.plot(sizes, 100 * np.array(one.errors), marker, linestyle="-", color=colour, label=one.law.name)
    batch_size_axis(axes)
    axes.set_ylabel("law over mean of the runs, less 1 (%)")
    legend(axes)


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


def biases(axes: Axes, studies: Sequence[StudyRecord], quantity: str) -> None:
    """Draw the median error of each estimator in percent of the truth, a row a design, under what designs share."""
    designs = [design_text(one.design) for one in studies]
    places = np.arange(len(studies), dtype=float)
    for row, text in enumerate(designs):
        if row == 0 or text != designs[row - 1]:
            places[row:] += 1  # room for the text
            where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 10}
            where["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(0.01, places[row] - 1, text, **where)
    note(axes.axvline(0, color="black", linewidth=1), {})
    for name, colour, marker in zip(ESTIMATORS, (LEFT_OUT, MEASURED, FITTED), "sDo", strict=True):
        errors = [100 * bias(one, name, quantity) / getattr(one.design.law, quantity) for one in studies]
        (marks,) = axes.plot(errors, places, marker, color=colour, label=name)
        note(marks, {"design": designs, "CV": [one.design.cv for one in studies]})
    axes.set_yticks(places, [f"CV {100 * one.design.cv:.0f} %" for one in studies])
    axes.set_ylim(places[-1] + 0.6, places[0] - 1.6)
    axes.set_xlabel("median estimate over truth, less 1 (%)")
    legend(axes)
