"""A fitted law drawn with its runs; matplotlib and seaborn, the extra `plot`, are imported inside."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batchtime.laws.quantity import estimate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from batchtime.fit.inverse_law import LawFit

_POINTS = 100


def plot_law(fitted: "LawFit", axes: "Axes | None" = None) -> "Axes":
    """Draw every run, the law and its 95 % band against the batch size.

    Args:
        fitted: What `fit` returned.
        axes: Where to draw; None for new axes.
    """
    import seaborn as sns
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    if axes is None:
        axes = plt.subplots(layout="constrained")[1]
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
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    ratio = estimate_text(fitted.law.critical_batch_size, fitted.intervals.critical_batch_size)
    axes.set_title(f"Both costs are equal at M = α / n∞ = {ratio} examples")
    axes.legend()
    return axes


def _kind(censored: bool) -> str:
    return "ended before" if censored else "reached the target"
