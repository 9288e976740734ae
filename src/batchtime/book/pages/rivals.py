"""The page on rivals: contests of laws on recorded sweeps, as tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from batchtime.book.comparisons import Arm
from batchtime.book.plots import FITTED, LEFT_OUT, MEASURED, SECOND, UNITS, batch_size_axis, legend
from batchtime.book.show import percent_text
from batchtime.fit.rival_laws import AS_GOOD, LAWS, Comparison, compare
from batchtime.laws.quantity import number_text

# Every recorded sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The laws compared on the runs of one sweep.

    Args:
        label: What a reader calls the sweep.
        fitted: At the batch sizes that the inverse law is fitted to.
        every: At every batch size at which at least half of the runs reached the target, the sealed ones and those
            below the pole included; None where these are the same.
    """

    label: str
    fitted: Comparison
    every: Comparison | None


def contest(arm: Arm) -> Contest:
    """Compare the laws on the runs of one sweep, with and without the batch sizes kept out of its fit."""
    fitted = compare(arm.fitted)
    every = compare(arm.observations)
    return Contest(label=arm.label, fitted=fitted, every=None if every.batch_sizes == fitted.batch_sizes else every)


def contests(arms: Sequence[Arm]) -> list[Contest]:
    """Compare the laws on the runs of each sweep that has a law at all."""
    return [contest(arm) for arm in arms if arm.fit is not None]


# Rivals


def laws_frame() -> pd.DataFrame:
    """Return every law with what its parameters mean and where it becomes another one."""
    return pd.DataFrame(
        {"law": law.name, "N": law.formula, "meaning": law.meaning, "limits": law.limits} for law in LAWS
    )


def comparison_frame(found: Comparison) -> pd.DataFrame:
    """Return the laws on one sweep's means: parameters, distance in AICc, errors; those not testable last."""
    tested = [
        {
            "law": one.law.name,
            "fitted": ", ".join(
                f"{name} = {number_text(value)}" for name, value in zip(one.law.parameters, one.parameters, strict=True)
            ),
            "aicc_above": found.behind(one),
            "leave_one_out_error": one.leave_one_out_error,
            "worst_error": one.worst,
            "p_value": one.lack_of_fit,
        }
        for one in sorted(found.fitted, key=lambda one: one.aicc)
    ]
    rest = [{"law": law.name, "fitted": f"not testable: needs {law.needs} batch sizes"} for law in found.untested]
    return pd.DataFrame([*tested, *rest])


def winners_frame(contests: Sequence[Contest]) -> pd.DataFrame:
    """Return which law wins on each sweep, at the batch sizes of the fit and at all of them."""
    rows = []
    for one in contests:
        for which, found in (("those fitted", one.fitted), ("all", one.every)):
            if found is None:
                continue
            row: dict[str, object] = {"sweep": one.label, "which": which, "batch_sizes": len(found.batch_sizes)}
            row |= {"M_low": found.batch_sizes[0], "M_high": found.batch_sizes[-1]}
            ours, winner, best = found.ours, found.winner, found.best_left_out
            if ours is None or winner is None or best is None:
                rows.append(row | {"least_aicc": "not testable: too few batch sizes"})
                continue
            row |= {"least_aicc": winner.law.name, "inverse_law_above": found.behind(ours)}
            row |= {"least_left_out": best.law.name, "its_share": best.leave_one_out_error}
            rows.append(row | {"leave_one_out_error": ours.leave_one_out_error})
    return pd.DataFrame(rows)


def _tested(contests: Sequence[Contest]) -> list[tuple[str, Comparison]]:
    """Return each test that the inverse law took part in, by what it was on."""
    return [
        (f"{one.label} ({which})", found)
        for one in contests
        for which, found in (("fitted batch sizes", one.fitted), ("all batch sizes", one.every))
        if found is not None and found.ours is not None
    ]


def as_good(contests: Sequence[Contest]) -> tuple[int, int]:
    """Return in how many tests the inverse law is as good as any other law, and how many tests there are."""
    tested = [found for _, found in _tested(contests)]
    return sum(found.ours is not None and found.behind(found.ours) < AS_GOOD for found in tested), len(tested)


def verdict_text(contests: Sequence[Contest]) -> str:
    """Return how often the inverse law wins, and what wins where it does not."""
    tested, (good, tests) = _tested(contests), as_good(contests)
    lost = [
        f"{where}: {found.winner.law.name}, by {found.behind(found.ours):.1f} (left-out error "
        f"{percent_text(found.winner.leave_one_out_error)}, "
        f"the inverse law's {percent_text(found.ours.leave_one_out_error)})"
        for where, found in tested
        if found.ours is not None and found.winner is not None and found.behind(found.ours) >= AS_GOOD
    ]
    text = f"In {good} of {tests} tests the inverse law has the least AICc, or less than {AS_GOOD:g} above it."
    return text + (f" Elsewhere another law does better: {'; '.join(lost)}." if lost else "")


def forest(axes: Axes, laws: pd.DataFrame) -> pd.DataFrame:
    """Draw alpha / n_inf of each sweep with its 95 % interval, one a row; an open side ends in an arrow."""
    name = "critical_batch_size"
    values = laws[name].astype(float)
    shown = laws[np.isfinite(values) & (values > 0)].reset_index(drop=True)
    for row, one in enumerate(shown.to_dict("records")):
        low, high, value = one[f"{name}_low"], one[f"{name}_high"], one[name]
        ends = (
            value / 8 if _open(low) else low,
            value * 8 if _open(high) else high,
        )
        axes.plot(ends, [row, row], color=FITTED, linewidth=2)
        for end, side, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
            if _open(side):
                axes.plot(end, row, marker, color=FITTED)
    sns.scatterplot(x=shown[name].astype(float), y=shown.index, color=FITTED, s=36, ax=axes)
    axes.set_yticks(range(len(shown)), list(shown["label"]))
    axes.set_ylabel("")
    axes.invert_yaxis()
    axes.margins(y=0.08)
    batch_size_axis(axes)
    axes.set_xlabel(f"{UNITS[name]}, 95 % interval")
    return shown[["label", name, f"{name}_low", f"{name}_high"]]


def _open(side: float | None) -> bool:
    return side is None or np.isnan(side)


def laws_over_means(axes: Axes, found: Comparison, *, at_most: int = 3) -> pd.DataFrame:
    """Draw the errors of the inverse law and of the laws of least AICc at each batch size, in percent of the mean."""
    best = sorted(found.fitted, key=lambda one: one.aicc)[:at_most]
    laws = [one for one in best if one is not found.ours] + ([found.ours] if found.ours else [])
    errors = pd.DataFrame(
        {"law": one.law.name, "batch_size": size, "percent": 100 * error}
        for one in laws[::-1]
        for size, error in zip(found.batch_sizes, one.errors, strict=True)
    )
    axes.axhline(0, color="black", linewidth=1)
    look: dict[str, Any] = {"palette": [FITTED, MEASURED, SECOND, LEFT_OUT][: len(laws)], "dashes": False}
    look |= {"markers": ["o", "s", "D", "^"][: len(laws)], "style": "law", "markeredgewidth": 0}
    sns.lineplot(errors, x="batch_size", y="percent", hue="law", estimator=None, ax=axes, **look)
    batch_size_axis(axes)
    axes.set_ylabel("law over mean of the runs, less 1 (%)")
    legend(axes)
    return errors
