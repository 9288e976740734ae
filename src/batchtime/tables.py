"""Tables and phrases that the book shows, made from values."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from batchtime.experiments import Experiment
from batchtime.fit import MeanUpdates, Prediction, mean_updates
from batchtime.records import (
    Interval,
    InverseLaw,
    LawFit,
    LearningRate,
    RunRecord,
    TrainingTime,
    UpdateTime,
    UpdateTiming,
)
from batchtime.theory import Solvable


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> HTML:
    """Return rows of text as a table of the page."""
    return HTML(pd.DataFrame(rows, columns=list(columns)).to_html(index=False, border=0))


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
    return "an unknown share (too few batch sizes)" if fraction is None else f"{fraction:.{digits}%}"


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
        seen = _mean(here)
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


def _mean(records: Sequence[RunRecord]) -> MeanUpdates:
    """Return the mean updates of runs at one batch size."""
    return mean_updates([record.observation() for record in records])[0]


def largest_deviation(chosen: Experiment, records: Sequence[RunRecord], law: InverseLaw) -> float:
    """Return the law's error in the mean updates at the fitted batch size that it describes worst, as a fraction."""
    means = [_mean([record for record in records if record.batch_size == size]) for size in chosen.fitted]
    return max(abs(law.updates(seen.batch_size) / seen.mean - 1) for seen in means if seen.mean is not None)


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


def update_time_table(timings: Sequence[UpdateTiming], line: UpdateTime) -> HTML:
    """Return the median of each timed batch size with its quartiles, in milliseconds, beside the fitted line."""
    rows = [
        (
            f"{timing.batch_size}",
            f"{timing.seconds * 1e3:.3g}",
            " to ".join(f"{side * 1e3:.3g}" for side in np.quantile(timing.wall_seconds, (0.25, 0.75))),
            f"{line.seconds(float(timing.batch_size)) * 1e3:.3g}",
            f"{line.seconds(float(timing.batch_size)) / timing.seconds - 1:+.0%}",
        )
        for timing in timings
    ]
    return table(["M", "median, ms", "middle half, ms", "line, ms", "error of the line"], rows)


def penalty_table(time: TrainingTime, factors: Sequence[float]) -> HTML:
    """Return how much longer training takes at batch sizes some factor below or above the optimum."""
    best, least = time.optimal_batch_size, time.least_seconds
    rows = [
        (f"{factor:g}", f"{best / factor:.3g} or {best * factor:.3g}", f"{time.seconds(best * factor) / least - 1:.1%}")
        for factor in factors
    ]
    return table(["off by a factor of", "M", "longer than the least time by"], rows)


def remarks(sentences: Sequence[str]) -> Markdown:
    """Return sentences as a list, or one that says that there is none."""
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences) or "The fit raises no warning.")
