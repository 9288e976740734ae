"""Tables of the law under scrutiny: rivals, diagnostics, simulated tables, four names."""

from collections.abc import Sequence

from IPython.display import HTML

from batchtime.records import StudyDesign, StudyRecord
from batchtime.rivals import AS_GOOD, LAWS, Comparison, Contest
from batchtime.simulation import ESTIMATORS, QUANTITIES, bias, coverage
from batchtime.tables import number_text, percent_text, table


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


def verdict_text(contests: Sequence[Contest]) -> str:
    """Return how often the inverse law wins, and what wins where it does not."""
    tested = [
        (f"{one.label} ({which})", found)
        for one in contests
        for which, found in (("fitted batch sizes", one.fitted), ("all batch sizes", one.every))
        if found is not None and found.ours is not None
    ]
    ours = [found for _, found in tested if found.ours is not None and found.behind(found.ours) < AS_GOOD]
    lost = [
        f"{where}: {found.winner.law.name}, by {found.behind(found.ours):.1f}"
        for where, found in tested
        if found.ours is not None and found.winner is not None and found.behind(found.ours) >= AS_GOOD
    ]
    text = (
        f"In {len(ours)} of {len(tested)} tests the inverse law has the least AICc, or less than {AS_GOOD:g} above it."
    )
    return text + (f" Elsewhere another law does better: {'; '.join(lost)}." if lost else "")


# Simulated tables


def design_text(design: StudyDesign) -> str:
    """Return how a table is simulated, without its law and its batch sizes."""
    unit = {"by ratio": f"every {design.every:.0%}", "by updates": f"every {design.every:g} updates"}
    seen = unit.get(design.evaluated, f"every {design.every:g} examples")
    stopped = "" if design.budget == "none" else f", {design.censored:.0%} stopped by a budget in {design.budget}"
    together = f", correlation {design.correlation:g} by seed" if design.correlation else ""
    return f"evaluated {seen}{stopped}{together}"


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
                f"{bias(one, name, quantity):+.3g} ({bias(one, name, quantity) / _truth(one, quantity):+.1%})"
                for name in ESTIMATORS
            ),
        )
        for one in studies
    ]
    return table(["runs are", "CV", *ESTIMATORS], rows)


def _truth(one: StudyRecord, quantity: str) -> float:
    return float(getattr(one.design.law, quantity))
