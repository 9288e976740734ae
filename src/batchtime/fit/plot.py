"""A fitted law drawn with its runs; matplotlib and seaborn, the extra `plot`, are imported inside."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batchtime.laws.quantity import estimate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from batchtime.fit.curve import CurveFit
    from batchtime.fit.inverse_law import LawFit
    from batchtime.fit.seconds import TimeFit

_POINTS = 100


def plot_law(fitted: "LawFit", axes: "Axes | None" = None) -> "Axes":
    """Draw every run, the law and its 95 % band against the batch size.

    Args:
        fitted: What `fit` returned.
        axes: Where to draw; None for new axes.
    """
    import seaborn as sns

    axes = _axes(axes)
    runs = pd.DataFrame(
        [
            (run.batch_size, run.lower if run.upper is None else run.upper, _kind(run.censored))
            for run in fitted.observations
        ],
        columns=["batch size M", "updates N to the target", "run"],
    )
    dots, line = sns.color_palette("colorblind", 2)
    sizes = np.geomspace(min(fitted.batch_sizes), max(fitted.batch_sizes), _POINTS)
    curve = fitted.predict(list(sizes))
    axes.fill_between(sizes, curve["low"], curve["high"], color=line, alpha=0.25, linewidth=0, label="95 % of the law")
    axes.plot(sizes, curve["updates"], color=line, label="n∞ + α / M")
    sns.scatterplot(
        runs,
        x="batch size M",
        y="updates N to the target",
        style="run",
        markers={"reached the target": "o", "ended before": "^"},
        color=dots,
        alpha=0.6,
        linewidth=0,
        ax=axes,
    )
    _logarithmic(axes)
    ratio = estimate_text(fitted.law.critical_batch_size, fitted.intervals.critical_batch_size)
    axes.set_title(f"Both costs are equal at M = α / n∞ = {ratio} examples")
    axes.legend()
    return axes


def _kind(censored: bool) -> str:
    return "ended before" if censored else "reached the target"


def plot_curve(fitted: "CurveFit", axes: "Axes | None" = None) -> "Axes":
    """Draw learning rate times mean updates of each cell, and the curve, against learning rate over batch size.

    Args:
        fitted: What `fit` returned for runs at several learning rates.
        axes: Where to draw; None for new axes.
    """
    import seaborn as sns

    axes = _axes(axes)
    cells = pd.DataFrame(
        [
            (one.tau, one.learning_rate * one.mean, f"{one.learning_rate:g}")
            for one in fitted.cells
            if one.mean is not None
        ],
        columns=["learning rate / batch size", "learning rate times updates", "learning rate"],
    )
    quotients = np.geomspace(cells.iloc[:, 0].min(), min(cells.iloc[:, 0].max(), 0.999 * fitted.law.pole), _POINTS)
    axes.plot(quotients, fitted.law.distance(quotients), color="0.5", label="the curve, without the lift")
    sns.scatterplot(cells, x=cells.columns[0], y=cells.columns[1], hue="learning rate", palette="colorblind", ax=axes)
    _logarithmic(axes)
    axes.legend()
    return axes


def plot_times(fitted: "TimeFit", axes: "Axes | None" = None) -> "Axes":
    """Draw the seconds of an update against the batch size, over what was timed.

    Args:
        fitted: What `fit_timings` returned.
        axes: Where to draw; None for new axes.
    """
    import seaborn as sns

    axes = _axes(axes)
    curve = fitted.predict(list(np.geomspace(fitted.batch_sizes[0], fitted.batch_sizes[-1], _POINTS)))
    sns.lineplot(curve, x="batch_size", y="seconds", ax=axes)
    _logarithmic(axes)
    axes.set(xlabel="batch size M", ylabel="seconds of an update")
    return axes


def _axes(axes: "Axes | None") -> "Axes":
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1] if axes is None else axes


def _logarithmic(axes: "Axes") -> None:
    """Make both axes logarithmic, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
