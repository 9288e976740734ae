"""The page on the simulation study: its tables and figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from IPython.display import HTML, Markdown
from matplotlib.axes import Axes

from batchtime.book.figures import note
from batchtime.book.plots import FITTED, LEFT_OUT, MEASURED, legend
from batchtime.book.tables import number_text, table
from batchtime.plan.simulation import ESTIMATORS, INTERVAL, QUANTITIES, bias, coverage, design_text, expected_bias
from batchtime.runs.records import StudyRecord

# Simulated tables

NAMES = {"n_inf": "n_inf", "alpha": "alpha", "critical_batch_size": "alpha / n_inf"}


ENOUGH = 500
"""Tables from which on a coverage of 92 % is told from 95 % (three standard errors)."""


def coverage_table(studies: Sequence[StudyRecord]) -> HTML:
    """Return in how many tables of each design the 95 % intervals hold the truth."""
    rows = [
        (
            design_text(one.design),
            f"{one.design.cv:.0%}",
            f"{one.replications:,}",
            *(f"{coverage(one, quantity):.1%}" for quantity in QUANTITIES),
        )
        for one in studies
    ]
    return table(["runs are", "CV", "tables", "n_inf", "alpha", "alpha / n_inf"], rows)


def bias_table(studies: Sequence[StudyRecord], quantity: str) -> HTML:
    """Return how far the median estimate of a quantity is off, by each estimator, in the quantity's unit."""
    rows = [
        (
            design_text(one.design),
            f"{one.design.cv:.0%}",
            *(
                f"{_signed(bias(one, name, quantity))} ({bias(one, name, quantity) / _truth(one, quantity):+.1%})"
                for name in ESTIMATORS
            ),
        )
        for one in studies
    ]
    return table(["runs are", "CV", *ESTIMATORS], rows)


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else ''}{number_text(value)}"


def expected_bias_table(studies: Sequence[StudyRecord]) -> HTML:
    """Return the biases that are known beforehand beside those of ordinary least squares and of the likelihood."""
    rows = []
    for one in studies:
        if (expected := expected_bias(one.design)) is None:
            continue
        quantity, value = expected
        found = (_signed(bias(one, name, quantity)) for name in ("ordinary least squares", INTERVAL))
        rows.append((design_text(one.design), f"{one.design.cv:.0%}", quantity, f"{value:+g}", *found))
    return table(["runs are", "CV", "biased", "expected", "by least squares", "by the likelihood"], rows)


def coverage_verdict(studies: Sequence[StudyRecord]) -> Markdown:
    """Return where the coverage is outside of 92 % to 98 %, as a list, or one sentence if it is nowhere."""
    if min(one.replications for one in studies) < ENOUGH:
        return Markdown(f"Fewer than {ENOUGH} tables are too few to tell 92 % or 98 % from 95 %.")
    shares = [(one.design, quantity, coverage(one, quantity)) for one in studies for quantity in QUANTITIES]
    outside = [
        f"- Outside of 92 % to 98 %: {NAMES[quantity]} with CV {design.cv:.0%}, {design_text(design)}: {share:.1%}, "
        f"so the interval is too {'narrow' if share < 0.92 else 'wide'}."
        for design, quantity, share in shares
        if not 0.92 <= share <= 0.98
    ]
    return Markdown("\n".join(outside) or "All lie between 92 % and 98 %.")


def _truth(one: StudyRecord, quantity: str) -> float:
    return float(getattr(one.design.law, quantity))


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
