"""Tables and phrases that the book shows, made from values."""

import inspect
import re
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from IPython.display import HTML, Markdown

from batchtime.book.comparisons import (
    Arm,
    Power,
    Tuned,
    arms_seen,
    own_means,
    paired_ratios,
    pole_bounds,
    sealed_errors,
)
from batchtime.fit.inverse_law import LawFit, Prediction
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Interval
from batchtime.laws.updates import InverseLaw
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import Outcome, RunRecord, total_cost
from batchtime.theory.problems import Solvable


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> HTML:
    """Return rows of text as a table of the page; on a phone each row of a wide one becomes a list of named cells.

    A column of numbers stands to the right, one of words to the left: what most of its cells start with decides.
    """
    kind = "dataframe stacked" if len(columns) > _NARROW else "dataframe"
    sides = [_side([row[place] for row in rows]) for place in range(len(columns))]
    head = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(columns, sides, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(name)}"{side}>{escape(apart(text))}</td>'
            for name, side, text in zip(columns, sides, row, strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    return HTML(f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>')


def apart(text: str) -> str:
    """Return text with each percent sign off its number by a space that does not break: what a format leaves out."""
    return re.sub(r"(?<=\d) ?%", "\N{NO-BREAK SPACE}%", text)


def _side(cells: Sequence[str]) -> str:
    """Return the attribute of a column's cells: a class for words, nothing for numbers."""
    filled = [cell for cell in cells if cell]
    numbers = [cell for cell in filled if re.match(r"[-+<>]?\s*\d", cell)]
    return "" if len(numbers) > len(filled) / 2 else ' class="words"'


_NARROW = 5  # columns that a phone has room for


def interval_text(interval: Interval, digits: int = 3) -> str:
    """Return an interval as a reader says it: "156 to 195", "more than 156", "less than 195" or "not bounded"."""
    low, high = ("" if side is None else number_text(side, digits) for side in interval)
    if low and high:
        return f"{low} to {high}"
    return f"more than {low}" if low else f"less than {high}" if high else "not bounded"


def number_text(value: float, digits: int = 3) -> str:
    """Return a number to some significant digits, without exponent up to ten million."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if digits <= 0 or 10 ** (digits - 1) <= abs(rounded) < 1e7 else f"{value:.{digits}g}"


def percent_text(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction in percent, or words where it is not known."""
    return "an unknown share (too few batch sizes)" if fraction is None else f"{100 * fraction:.{digits}f} %"


def p_text(value: float | None) -> str:
    """Return a p-value as a reader says it."""
    if value is None:
        return "not known"
    return "less than 0.001" if value < 0.001 else f"{value:.2g}"


def reached_text(outcome: Outcome) -> str:
    """Return the updates between which a run reached its target."""
    return f"{outcome.lower} to {outcome.upper}" if outcome.upper is not None else f"more than {outcome.lower}"


def paragraph(text: str) -> Markdown:
    """Return text as a paragraph of the page."""
    return Markdown(text)


def source(*shown: Callable[..., object]) -> Markdown:
    """Show the source of functions or classes, one below the other."""
    return Markdown("```python\n{}```".format("\n\n".join(inspect.getsource(one) for one in shown)))


def law_table(fit: LawFit) -> HTML:
    """Return the three quantities of a law with their units and intervals, one a row."""
    law, intervals = fit.law, fit.intervals
    rows = [
        ("n_inf", law.n_inf, "updates", intervals.n_inf),
        ("alpha", law.alpha, "examples", intervals.alpha),
        ("alpha / n_inf", law.critical_batch_size, "examples", intervals.critical_batch_size),
    ]
    return table(
        ["quantity", "estimate", "unit", "95 % interval"],
        [(name, number_text(value), unit, interval_text(interval)) for name, value, unit, interval in rows],
    )


def runs_table(chosen: Experiment, records: Sequence[RunRecord], law: InverseLaw) -> HTML:
    """Return for each batch size how many runs reached the target, their mean updates and epochs, and the law's error.

    The mean is the most likely one, censored runs counted as "more than"; an epoch passes over the training examples.
    """
    rows = []
    for size in sorted(chosen.sweep.batch_sizes):
        here = [record for record in records if record.batch_size == size]
        seen = own_means([record.observation() for record in here])[0]
        role = "sealed" if size in chosen.sealed else "left out" if size in chosen.left_out else "fitted"
        reached = sum(record.outcome.status == "reached" for record in here)
        rows.append(
            (
                f"{size}",
                role,
                f"{reached} of {len(here)}",
                number_text(seen.mean) if seen.mean is not None else "not known",
                number_text(law.updates(float(size))),
                f"{law.updates(float(size)) / seen.mean - 1:+.1%}" if seen.mean is not None else "",
                f"{seen.mean * size / chosen.n_examples:.2g}" if seen.mean is not None else "",
            )
        )
    return table(["M", "runs are", "reached", "mean updates", "law", "error of the law", "epochs"], rows)


def prediction_table(predicted: Sequence[Prediction], measured: Sequence[MeanUpdates]) -> HTML | Markdown:
    """Return predicted mean updates beside measured ones, with the error as a fraction of what was measured."""
    if not predicted:
        return Markdown("No batch size was sealed for these parameters.")
    rows = [
        (
            f"{guess.batch_size:g}",
            number_text(guess.mean),
            interval_text(guess.interval),
            "not known" if seen.mean is None else number_text(seen.mean),
            "" if seen.mean is None else f"{guess.mean / seen.mean - 1:+.1%}",
        )
        for guess, seen in zip(predicted, measured, strict=True)
    ]
    return table(["M", "predicted", "95 % interval", "measured", "error"], rows)


def known_law_table(found: LawFit, known: InverseLaw) -> HTML:
    """Return a fitted law beside the one that is known."""
    rows = [
        (
            name,
            f"{getattr(known, name):.2f}",
            f"{getattr(found.law, name):.2f}",
            interval_text(getattr(found.intervals, name), 4),
        )
        for name in ("n_inf", "alpha", "critical_batch_size")
    ]
    return table(["quantity", "known", "fitted", "95 % interval"], rows)


def closed_form_table(batch_sizes: Sequence[int], rate: LearningRate, problem: Solvable) -> HTML:
    """Return the exact updates of a solvable problem beside the inverse law that they are to first order."""
    law = problem.law(rate)
    rows = [
        (f"{size}", f"{exact:.2f}", f"{law.updates(size):.2f}", f"{law.updates(size) / exact - 1:+.2%}")
        for size in batch_sizes
        for exact in (problem.updates(size, rate),)
    ]
    return table(["M", "closed form", "inverse law", "difference"], rows)


def remarks(sentences: Sequence[str]) -> Markdown:
    """Return sentences as a list, or one that says that there is none."""
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences) or "The fit raises no warning.")


# Sweeps beside each other


def arms_table(several: Sequence[Arm], what: str) -> HTML:
    """Return the law of each arm with intervals, how well it describes the runs, and how many there are.

    Args:
        several: The arms.
        what: Heading of the column of labels.
    """
    rows = []
    for one in several:
        reached = sum(record.outcome.status == "reached" for record in one.records)
        runs = f"{reached} of {len(one.records)}"
        if one.fit is None:
            rows.append((one.label, runs, "", "no law", "", "", ""))
            continue
        law, found = one.fit.law, one.fit.intervals
        rows.append(
            (
                one.label,
                runs,
                f"{min(one.fit.batch_sizes):g} to {max(one.fit.batch_sizes):g}",
                f"{number_text(law.n_inf)} ({interval_text(found.n_inf)})",
                f"{number_text(law.alpha)} ({interval_text(found.alpha)})",
                f"{number_text(law.critical_batch_size)} ({interval_text(found.critical_batch_size)})",
                percent_text(one.deviation()),
            )
        )
    columns = ["runs that reached it", "M fitted", "n_inf, updates", "alpha, examples", "alpha / n_inf, examples"]
    return table([what, *columns, "worst error of a mean"], rows)


def accuracy_table(several: Sequence[Arm], what: str = "task") -> HTML:
    """Return how well the law describes and predicts each sweep, and whether both of its arms were seen."""
    rows = []
    for one in several:
        if one.fit is None:
            continue
        seen = arms_seen(one)
        rows.append(
            (
                one.label,
                f"{len(one.fit.batch_sizes)}, {len(one.experiment.sweep.seeds)} seeds",
                "" if seen is None else f"{seen[0]:.2g} to {seen[1]:.2g}",
                percent_text(one.fit.scatter),
                percent_text(one.deviation()),
                percent_text(one.fit.leave_one_out_error),
                ", ".join(f"{error:+.1%}" for error in sealed_errors(one)),
            )
        )
    columns = [
        what,
        "batch sizes fitted",
        "alpha / M over n_inf, least to greatest M",
        "scatter of runs",
        "worst error of a mean",
        "left-out error, rms",
        "errors at sealed sizes",
    ]
    return table(columns, rows)


def examples_per_second(records: Sequence[RunRecord]) -> float:
    """Return the examples that runs trained on in a second of CPU, evaluation apart."""
    cost = total_cost(records)
    return cost.examples / (cost.cpu_seconds - cost.evaluation_cpu_seconds)


def cost_table(several: Sequence[Arm]) -> HTML:
    """Return what each sweep cost: CPU, the share of evaluation, examples a second while training."""
    rows = []
    for one in several:
        cost = total_cost(one.records)
        rows.append(
            (
                one.label,
                f"{len(one.records)}",
                f"{cost.cpu_seconds / 60:.0f}",
                f"{cost.evaluation_share:.1%}",
                number_text(examples_per_second(one.records)),
            )
        )
    return table(["sweep", "runs", "CPU minutes", "of these for evaluation", "examples a CPU second, training"], rows)


def rates_text(several: Sequence[Arm]) -> str:
    """Return the step sizes of some arms as a reader says them."""
    texts = [f"{one.rate:g}" for one in several]
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else texts[0]


def power_text(found: Power) -> str:
    """Return a power with its interval and the number of step sizes behind it."""
    low, high = found.interval
    return f"{found.power:.2f} ({low:.2f} to {high:.2f}; {found.points} step sizes)"


def pole_table(several: Sequence[Arm]) -> HTML:
    """Return for each arm below which batch sizes runs did not all, or mostly not, reach the target."""
    rows = []
    for one in several:
        not_all, minority = pole_bounds(one)
        rows.append(
            (
                one.label,
                f"{min(one.experiment.sweep.batch_sizes)}",
                "every run reached it" if not_all is None else f"{not_all}",
                "at least half did everywhere" if minority is None else f"{minority}",
                f"{one.experiment.sweep.setting.max_updates:,}",
            )
        )
    columns = ["sweep", "least M", "not all reached it up to M =", "less than half did up to M =", "budget, updates"]
    return table(columns, rows)


def ratio_table(first: Arm, second: Arm) -> HTML:
    """Return updates of one arm over those of another at each batch size, run by run."""
    rows = []
    for size, ratios in paired_ratios(first, second).items():
        low, high = np.quantile(ratios, (0.25, 0.75))
        mean = float(np.exp(np.mean(np.log(ratios))))
        rows.append((f"{size}", f"{len(ratios)}", f"{mean:.3f}", f"{low:.2f} to {high:.2f}"))
    return table(["M", "pairs of runs", f"{first.label} over {second.label}", "middle half"], rows)


def verdict(several: Sequence[Arm]) -> Markdown:
    """Return a sentence a task, as a list: how well the law describes it, and whether its small-batch arm was seen."""
    sentences = []
    for one in several:
        if one.fit is None:
            sentences.append(f"{one.label}: no law ({one.reason}).")
            continue
        seen, deviation = arms_seen(one), one.deviation()
        sizes = f"M = {min(one.fit.batch_sizes):g} to {max(one.fit.batch_sizes):g}"
        tested = one.fit.lack_of_fit
        off = ", more than the scatter of its runs explains" if tested is not None and tested < 0.01 else ""
        arms = "" if seen is None or seen[0] >= 2 else "; its small-batch arm is cut short by the pole"
        sentences.append(f"{one.label}: within {percent_text(deviation)} of the mean updates from {sizes}{off}{arms}.")
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences))


def tuned_table(tuned: Sequence[Tuned], fixed: Arm) -> HTML:
    """Return for each batch size the best step size, its mean updates, and those at the fixed step size."""
    at_fixed = {seen.batch_size: seen for seen in fixed.means()}
    # Together, so that all batch sizes say how runs scatter: a few runs at one may lie between the same evaluations.
    at_best = {seen.batch_size: seen for seen in mean_updates([run.observation() for one in tuned for run in one.runs])}
    rows = []
    for one in tuned:
        seen = at_best[one.batch_size]
        other = at_fixed.get(one.batch_size)
        known = other is not None and other.mean is not None and seen.mean is not None
        rows.append(
            (
                f"{one.batch_size}",
                f"{one.rate:g}" + (" (at the edge)" if one.at_the_edge else ""),
                f"{len(one.runs)}",
                "not known" if seen.mean is None else f"{number_text(seen.mean)} ({interval_text(seen.interval)})",
                "not run" if other is None else "not known" if other.mean is None else number_text(other.mean),
                f"{other.mean / seen.mean:.2g}" if known and other is not None and other.mean and seen.mean else "",
            )
        )
    columns = ["M", "best step size", "runs", "mean updates there", f"at {fixed.rate:g}", "times as many"]
    return table(columns, rows)


def tried_table(chosen: Experiment, recorded: Sequence[RunRecord]) -> HTML | Markdown:
    """Return what was tried before a sweep: recorded runs with other seeds or another setting, one a row."""
    named = set(chosen.sweep.runs())
    tried = [record for record in recorded if record.spec not in named]
    if not tried:
        return Markdown("No run with another setting or other seeds is recorded for this workload.")
    rows = [
        (
            f"{record.setting.learning_rate.maximum:g}",
            f"{record.batch_size}",
            f"{record.seed}",
            f"{record.setting.workload.target.value:g}",
            record.outcome.status,
            f"{record.outcome.lower:,}" + ("" if record.outcome.upper is None else f" to {record.outcome.upper:,}"),
        )
        for record in sorted(
            tried,
            key=lambda r: (r.setting.learning_rate.maximum, r.setting.workload.target.value, r.batch_size, r.seed),
        )
    ]
    return table(["step size", "M", "seed", "target", "outcome", "updates"], rows)


def reports_text(records: Sequence[RunRecord]) -> Markdown | None:
    """Return the numbers taken of models that reached their target, as mean and range over runs; None for none."""
    names = sorted({name for record in records for name in record.reports})
    lines = []
    for name in names:
        values = [record.reports[name] for record in records if name in record.reports]
        lines.append(
            f"When a run ended, its model's {name.upper() if name == 'bleu' else name} score was "
            f"{np.mean(values):.1f} on average ({min(values):.1f} to {max(values):.1f}, {len(values)} runs): "
            "for orientation, the target is the loss."
        )
    return Markdown("\n".join(lines)) if lines else None
