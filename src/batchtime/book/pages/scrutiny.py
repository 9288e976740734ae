"""The page on one fit under scrutiny: its tables and figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from batchtime.book.diagnostics import Influence, Residual, ScatterParts, SpreadTest
from batchtime.book.frames import with_interval
from batchtime.book.plots import (
    ALPHA,
    CRITICAL,
    FITTED,
    LAW,
    LEFT_OUT,
    MEASURED,
    N_INF,
    SECOND,
    batch_size_axis,
    intervals,
    legend,
)
from batchtime.book.show import p_text


def scatter_frame(parts: ScatterParts) -> pd.DataFrame:
    """Return the parts of the scatter, largest meaning first."""
    rows = [
        ("between seeds", parts.seed, "what the runs of one seed share at all batch sizes"),
        ("between runs", parts.run, "a run's own luck"),
        ("between batch sizes", parts.batch_size, "the law's own error"),
    ]
    return pd.DataFrame(rows, columns=["scatter", "spread", "what it is"])


def influence_frame(found: Sequence[Influence]) -> pd.DataFrame:
    """Return by how much the law changes without each batch size, as fractions."""
    columns = {"n_inf_error": "n_inf", "alpha_error": "alpha", "critical_error": "critical_batch_size"}
    return pd.DataFrame(
        {"batch_size": one.batch_size, **{column: getattr(one, name) for column, name in columns.items()}}
        for one in found
    )


def spread_text(found: SpreadTest) -> str:
    """Return the test of the spread as a sentence."""
    low, high = found.interval
    return (
        f"The standard deviation of the updates goes with their mean to the power {found.power:.2f} "
        f"({low:.2f} to {high:.2f}; {len(found.batch_sizes)} batch sizes). "
        f"That the spread of log N is the same at every batch size has p = {p_text(found.equal_in_logs)}, "
        f"and that the spread of N is, p = {p_text(found.equal_in_updates)}."
    )


def residuals(axes: Axes, found: Sequence[Residual], parts: ScatterParts | None) -> pd.DataFrame:
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
    axes.axhline(0, color=FITTED, label=LAW)
    frame = pd.DataFrame(
        {
            "batch_size": one.batch_size,
            **with_interval("percent", 100 * one.error, _percent(one)),
            "fitted": one.fitted,
        }
        for one in found
    )
    fitted = frame[frame["fitted"]]
    edge = 2 * float(fitted[["percent", "percent_low", "percent_high"]].astype(float).abs().max().max())
    inside = frame["percent"].abs() < edge
    for is_fitted, label in ((True, "mean of fitted runs"), (False, "mean of runs not fitted")):
        some = frame[inside & (frame["fitted"] == is_fitted)]
        if len(some):
            intervals(axes, some, "batch_size", "percent", colour=MEASURED, full=is_fitted, label=label)
    for size, percent in zip(frame.loc[~inside, "batch_size"], frame.loc[~inside, "percent"], strict=True):
        height = float(np.copysign(0.92 * edge, percent))
        look: dict[str, Any] = {"color": MEASURED, "markerfacecolor": "none"}
        axes.plot(size, height, "^" if percent > 0 else "v", **look)
        axes.annotate(f" {percent:+.0f} %", (size, height), va="center", fontsize=10)
    batch_size_axis(axes)
    axes.set_ylim(-edge, edge)
    axes.set_ylabel("mean of the runs over law, less 1 (%)")
    legend(axes)
    return frame


def _percent(one: Residual) -> tuple[float | None, float | None]:
    low, high = (None if side is None else 100 * side for side in one.interval)
    return low, high


def spreads(axes: Axes, found: SpreadTest) -> pd.DataFrame:
    """Draw the spread of the runs at each batch size as a share of their mean: level if the error is multiplicative."""
    frame = pd.DataFrame({"batch_size": found.batch_sizes, "percent": [100 * spread for spread in found.spreads]})
    look: dict[str, Any] = {"color": MEASURED, "s": 36, "label": "runs at a batch size"}
    sns.scatterplot(frame, x="batch_size", y="percent", ax=axes, **look)
    together = float(np.sqrt(np.mean(np.square(frame["percent"]))))
    axes.axhline(together, color=FITTED, label="root mean square")
    batch_size_axis(axes)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("standard deviation of log N (%)")
    legend(axes)
    return frame.assign(root_mean_square=together)


def influence(axes: Axes, found: Sequence[Influence]) -> pd.DataFrame:
    """Draw by how many percent the law changes without each batch size."""
    names = {"n_inf": N_INF, "alpha": ALPHA, "critical_batch_size": CRITICAL}
    changes = pd.DataFrame(
        {"quantity": label, "batch_size": one.batch_size, "percent": 100 * getattr(one, name)}
        for name, label in names.items()
        for one in found
    )
    axes.axhline(0, color="black", linewidth=1)
    look: dict[str, Any] = {"palette": [MEASURED, FITTED, SECOND], "style": "quantity", "dashes": False}
    look |= {"markers": ["o", "s", "D"], "markeredgewidth": 0}
    sns.lineplot(changes, x="batch_size", y="percent", hue="quantity", estimator=None, ax=axes, **look)
    batch_size_axis(axes)
    axes.set_ylabel("change without this batch size (%)")
    legend(axes)
    return changes
