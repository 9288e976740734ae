"""Tables of the law under scrutiny: rivals, diagnostics, simulated tables, four names."""

from collections.abc import Sequence

import numpy as np
from IPython.display import HTML, Markdown

from batchtime.diagnostics import Influence, ScatterParts, SpreadTest
from batchtime.four_names import Form
from batchtime.records import StudyRecord
from batchtime.rivals import AS_GOOD, LAWS, Comparison, Contest
from batchtime.simulation import ESTIMATORS, INTERVAL, QUANTITIES, bias, coverage, design_text, expected_bias
from batchtime.tables import number_text, percent_text, table

NAMES = {"n_inf": "n_inf", "alpha": "alpha", "critical_batch_size": "alpha / n_inf"}


ENOUGH = 500
"""Tables from which on a coverage of 92 % is told from 95 % (three standard errors)."""


def p_text(value: float | None) -> str:
    """Return a p-value as a reader says it."""
    if value is None:
        return "not known"
    return "less than 0.001" if value < 0.001 else f"{value:.2g}"


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


# Simulated tables


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


# Four names


def forms_table(forms: Sequence[Form]) -> HTML:
    """Return the forms of the law with their own parameters, and what these are as n_inf and alpha."""
    rows = [
        (
            form.name,
            form.formula,
            ", ".join(f"{name} = {number_text(value, 6)}" for name, value in form.parameters.items()),
            f"{form.law.n_inf:.6g}",
            f"{form.law.alpha:.6g}",
            f"{np.abs(form.updates / forms[0].updates - 1).max():.0e}",
        )
        for form in forms
    ]
    columns = ["form", "formula", "its parameters, fitted", "as n_inf", "as alpha", "largest difference in N"]
    return table(columns, rows)
