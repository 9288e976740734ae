"""Tables and phrases that the book shows, made from values."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from IPython.display import Markdown

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
from batchtime.theory import NoisyQuadratic


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


def law_table(fit: LawFit) -> pd.DataFrame:
    """Return the three quantities of a law with their units and intervals, one a row."""
    rows = [
        ("n_inf", fit.law.n_inf, "updates", fit.intervals.n_inf),
        ("alpha", fit.law.alpha, "examples", fit.intervals.alpha),
        (
            "critical batch size alpha / n_inf",
            fit.law.critical_batch_size,
            "examples",
            fit.intervals.critical_batch_size,
        ),
    ]
    return pd.DataFrame(
        [(name, number_text(value), unit, interval_text(interval)) for name, value, unit, interval in rows],
        columns=["quantity", "estimate", "unit", "95 % interval"],
    ).set_index("quantity")


def outcome_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return for each batch size how many runs reached the target, spent the budget or diverged."""
    table = pd.crosstab(
        pd.Series([record.batch_size for record in records], name="batch size M"),
        pd.Series([record.outcome.status for record in records], name="runs"),
    )
    columns = {"reached": "reached", "censored": "not reached within the budget", "diverged": "diverged"}
    return table.reindex(columns=list(columns), fill_value=0).rename(columns=columns)


class _Predicted(Protocol):
    """What a table needs of a prediction."""

    @property
    def batch_size(self) -> float: ...
    @property
    def mean(self) -> float: ...
    @property
    def interval(self) -> Interval: ...


class _Measured(Protocol):
    """What a table needs of a measured mean."""

    @property
    def mean(self) -> float | None: ...


def prediction_table(predicted: Sequence[_Predicted], measured: Sequence[_Measured]) -> pd.DataFrame:
    """Return predicted mean updates beside measured ones, with the error as a fraction of what was measured."""
    rows = [
        (
            f"{guess.batch_size:g}",
            number_text(guess.mean),
            interval_text(guess.interval),
            "not reached" if seen.mean is None else number_text(seen.mean),
            "" if seen.mean is None else f"{guess.mean / seen.mean - 1:+.1%}",
        )
        for guess, seen in zip(predicted, measured, strict=True)
    ]
    columns = ["batch size M", "predicted updates", "95 % interval", "measured mean", "error of the prediction"]
    return pd.DataFrame(rows, columns=columns).set_index("batch size M")


def known_law_table(found: LawFit, known: InverseLaw) -> pd.DataFrame:
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
    return pd.DataFrame(rows, columns=["quantity", "known", "fitted", "95 % interval"]).set_index("quantity")


def closed_form_table(batch_sizes: Sequence[int], rate: LearningRate, problem: NoisyQuadratic) -> pd.DataFrame:
    """Return the exact updates of a noisy quadratic beside the inverse law that they are to first order."""
    law = problem.law(rate)
    rows = [
        (f"{size}", f"{exact:.2f}", f"{law.updates(size):.2f}", f"{law.updates(size) / exact - 1:+.2%}")
        for size in batch_sizes
        for exact in (problem.updates(size, rate),)
    ]
    columns = ["batch size M", "closed form", "inverse law", "difference"]
    return pd.DataFrame(rows, columns=columns).set_index("batch size M")


def update_time_table(timings: Sequence[UpdateTiming], line: UpdateTime) -> pd.DataFrame:
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
    columns = ["batch size M", "median, ms", "middle half, ms", "line, ms", "error of the line"]
    return pd.DataFrame(rows, columns=columns).set_index("batch size M")


def penalty_table(time: TrainingTime, factors: Sequence[float]) -> pd.DataFrame:
    """Return how much longer training takes at batch sizes some factor below or above the optimum."""
    best, least = time.optimal_batch_size, time.least_seconds
    rows = [
        (f"{factor:g}", f"{best / factor:.3g} or {best * factor:.3g}", f"{time.seconds(best * factor) / least - 1:.1%}")
        for factor in factors
    ]
    columns = ["off by a factor of", "batch size M", "longer than the least time by"]
    return pd.DataFrame(rows, columns=columns).set_index("off by a factor of")


def remarks(sentences: Sequence[str]) -> Markdown:
    """Return sentences as a list, or one that says that there is none."""
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences) or "The fit raises no warning.")
