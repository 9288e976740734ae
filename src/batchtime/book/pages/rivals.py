"""The page on rivals: contests of laws on recorded sweeps, as tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from batchtime.book.comparisons import Arm
from batchtime.book.figures import note
from batchtime.book.plots import FITTED, LEFT_OUT, MEASURED, SECOND, batch_size_axis, legend
from batchtime.book.tables import number_text, p_text, percent_text, table
from batchtime.fit.rival_laws import AS_GOOD, LAWS, Comparison, compare

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


def laws_table() -> HTML:
    """Return every law with what its parameters mean and where it becomes another one."""
    rows = [(law.name, law.formula, law.meaning, law.limits) for law in LAWS]
    return table(["law", "N", "meaning", "limits"], rows)


def comparison_table(found: Comparison) -> HTML:
    """Return the laws on one sweep's means: parameters, distance in AICc, errors; those not testable last."""
    rows = []
    for one in sorted(found.fitted, key=lambda one: one.aicc):
        parameters = zip(one.law.parameters, one.parameters, strict=True)
        rows.append(
            (
                one.law.name,
                ", ".join(f"{name} = {number_text(value)}" for name, value in parameters),
                f"{found.behind(one):.1f}",
                percent_text(one.leave_one_out_error),
                percent_text(one.worst),
                p_text(one.lack_of_fit),
            )
        )
    rows += [(law.name, f"not testable: needs {law.needs} batch sizes", "", "", "", "") for law in found.untested]
    columns = [
        "law",
        "fitted",
        "AICc above the least",
        "left-out error, rms",
        "worst error of a mean",
        "lack of fit, p",
    ]
    return table(columns, rows)


def winners_table(contests: Sequence[Contest]) -> HTML:
    """Return which law wins on each sweep, at the batch sizes of the fit and at all of them."""
    rows = []
    for one in contests:
        for which, found in (("those fitted", one.fitted), ("all", one.every)):
            if found is None:
                continue
            sizes = f"{which}: {len(found.batch_sizes)}, {found.batch_sizes[0]:g} to {found.batch_sizes[-1]:g}"
            rows.append((one.label, sizes, *_winner(found)))
    columns = ["sweep", "batch sizes", "least AICc", "inverse law above it by", "least left-out error", "inverse law's"]
    return table(columns, rows)


def _winner(found: Comparison) -> tuple[str, str, str, str]:
    ours, winner, best = found.ours, found.winner, found.best_left_out
    if ours is None or winner is None or best is None:
        return "not testable: too few batch sizes", "", "", ""
    return (
        winner.law.name,
        f"{found.behind(ours):.1f}" + (" (as good)" if 0 < found.behind(ours) < AS_GOOD else ""),
        f"{best.law.name}, {percent_text(best.leave_one_out_error)}",
        percent_text(ours.leave_one_out_error),
    )


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
