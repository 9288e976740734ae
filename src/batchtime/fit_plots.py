"""Drawings of the law under scrutiny, on axes that are given, in the looks of `plots`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from batchtime.comparisons import Arm
from batchtime.plots import FITTED, LEFT_OUT, MEASURED, SECOND, batch_size_axis
from batchtime.rivals import Comparison


def forest(axes: Axes, several: Sequence[Arm]) -> None:
    """Draw alpha / n_inf of each sweep with its 95 % interval, one a row; an open side ends in an arrow."""
    shown = [one for one in several if one.fit is not None and 0 < one.fit.law.critical_batch_size < np.inf]
    for row, one in enumerate(shown):
        assert one.fit is not None  # noqa: S101 - `shown` has no other
        low, high = one.fit.intervals.critical_batch_size
        value = one.fit.law.critical_batch_size
        ends = (value / 8 if low is None else low, value * 8 if high is None else high)
        axes.plot(ends, [row, row], color=FITTED, linewidth=2)
        for end, side, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
            if side is None:
                axes.plot(end, row, marker, color=FITTED)
        axes.plot(value, row, "o", color=FITTED)
    axes.set_yticks(range(len(shown)), [one.label for one in shown])
    axes.invert_yaxis()
    axes.margins(y=0.08)
    batch_size_axis(axes)
    axes.set_xlabel("alpha / n_inf (examples), with its 95 % interval")


def laws_over_means(axes: Axes, found: Comparison, *, at_most: int = 3) -> None:
    """Draw the errors of the inverse law and of the laws of least AICc at each batch size, in percent of the mean."""
    best = sorted(found.fitted, key=lambda one: one.aicc)[:at_most]
    laws = [one for one in best if one is not found.ours] + ([found.ours] if found.ours else [])
    sizes = np.array(found.batch_sizes)
    axes.axhline(0, color="black", linewidth=1)
    for one, colour, marker in zip(laws[::-1], (FITTED, MEASURED, SECOND, LEFT_OUT), "osD^", strict=False):
        axes.plot(sizes, 100 * np.array(one.errors), marker, linestyle="-", color=colour, label=one.law.name)
    batch_size_axis(axes)
    axes.set_ylabel("law over mean of the runs, less 1 (%)")
    axes.legend(fontsize="small")
