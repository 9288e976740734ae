"""The page on the simulation study: its frames and figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from batchtime.book.frames import binomial
from batchtime.book.plots import FITTED, LEFT_OUT, MEASURED, legend
from batchtime.plan.simulation import ESTIMATORS, INTERVAL, QUANTITIES, bias, coverage, design_text, expected_bias
from batchtime.runs.records import StudyRecord

# Simulated tables

NAMES = {"n_inf": "n_inf", "alpha": "alpha", "critical_batch_size": "alpha / n_inf"}


ENOUGH = 500
"""Tables from which on a coverage of 92 % is told from 95 % (three standard errors)."""


def coverage_frame(studies: Sequence[StudyRecord]) -> pd.DataFrame:
    """Return in how many tables of each design the 95 % intervals hold the truth."""
    return pd.DataFrame(
        {
            "runs_are": design_text(one.design),
            "cv_share": one.design.cv,
            "tables": one.replications,
            **{f"{quantity}_share": coverage(one, quantity) for quantity in QUANTITIES},
        }
        for one in studies
    )


def optima_frame(folder: Path) -> pd.DataFrame:
    """Return how often intervals of the best batch size and bounds on the loss held on simulated truths.

    Columns: truth, tables, optima_held_share with its 95 % interval (binomial), bounds_held_share, refused_share.
    """
    recorded = pd.read_csv(folder / "studies" / "optima.csv")
    held, tables = recorded["optima_held"].to_numpy(), recorded["tables"].to_numpy()
    low, high = binomial(held, tables)
    return pd.DataFrame(
        {
            "truth": recorded["truth"],
            "tables": tables,
            "optima_held_share": held / tables,
            "optima_held_share_low": low,
            "optima_held_share_high": high,
            "bounds_held_share": recorded["bounds_held"] / tables,
            "refused_share": recorded["refused"] / tables,
        }
    )


def bias_frame(studies: Sequence[StudyRecord], quantity: str) -> pd.DataFrame:
    """Return how far the median estimate of a quantity is off by each estimator, as a fraction of the truth."""
    return pd.DataFrame(
        {
            "runs_are": design_text(one.design),
            "cv_share": one.design.cv,
            **{
                f"{name.replace(' ', '_')}_error": bias(one, name, quantity) / _truth(one, quantity)
                for name in ESTIMATORS
            },
        }
        for one in studies
    )


def expected_bias_frame(studies: Sequence[StudyRecord]) -> pd.DataFrame:
    """Return the biases that are known beforehand beside those of ordinary least squares and of the likelihood."""
    rows = []
    for one in studies:
        if (expected := expected_bias(one.design)) is None:
            continue
        quantity, value = expected
        rows.append(
            {
                "runs_are": design_text(one.design),
                "cv_share": one.design.cv,
                "quantity": quantity,
                "expected": value,
                "by_least_squares": bias(one, "ordinary least squares", quantity),
                "by_the_likelihood": bias(one, INTERVAL, quantity),
            }
        )
    return pd.DataFrame(rows)


def coverage_verdict(studies: Sequence[StudyRecord]) -> list[str]:
    """Return where the coverage is outside of 92 % to 98 %, a sentence each, or one that says that it is nowhere."""
    if min(one.replications for one in studies) < ENOUGH:
        return [f"Fewer than {ENOUGH} tables are too few to tell 92 % or 98 % from 95 %."]
    shares = [(one.design, quantity, coverage(one, quantity)) for one in studies for quantity in QUANTITIES]
    outside = [
        f"Outside of 92 % to 98 %: {NAMES[quantity]} with CV {design.cv:.0%}, {design_text(design)}: {share:.1%}, "
        f"so the interval is too {'narrow' if share < 0.92 else 'wide'}."
        for design, quantity, share in shares
        if not 0.92 <= share <= 0.98
    ]
    return outside or ["All lie between 92 % and 98 %."]


def _truth(one: StudyRecord, quantity: str) -> float:
    return float(getattr(one.design.law, quantity))


def biases(axes: Axes, studies: Sequence[StudyRecord], quantity: str) -> pd.DataFrame:
    """Draw the median error of each estimator in percent of the truth, a row a design, under what designs share."""
    frame = pd.DataFrame(
        {
            "design": design_text(one.design),
            "cv": one.design.cv,
            "estimator": name,
            "percent": 100 * bias(one, name, quantity) / _truth(one, quantity),
            "row": row,
        }
        for row, one in enumerate(studies)
        for name in ESTIMATORS
    )
    designs = [design_text(one.design) for one in studies]
    places = np.arange(len(studies), dtype=float)
    for row, text in enumerate(designs):
        if row == 0 or text != designs[row - 1]:
            places[row:] += 1  # room for the text
            where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 10}
            where["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(0.01, places[row] - 1, text, **where)
    axes.axvline(0, color="black", linewidth=1)
    look: dict[str, Any] = {"hue": "estimator", "style": "estimator", "palette": [LEFT_OUT, MEASURED, FITTED]}
    sns.scatterplot(x=frame["percent"], y=places[frame["row"]], data=frame, markers=["s", "D", "o"], **look, ax=axes)
    axes.set_yticks(places, [f"CV {100 * one.design.cv:.0f} %" for one in studies])
    axes.set_ylim(places[-1] + 0.6, places[0] - 1.6)
    axes.set(xlabel="median estimate over truth, less 1 (%)", ylabel="")
    legend(axes)
    return frame.drop(columns="row")
