"""Recorded sweeps as frames of numbers, which pages show and figures draw: a row a run, a batch size or a law."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from batchtime.book.comparisons import (
    QUANTITIES,
    Arm,
    Tuned,
    arms_seen,
    own_means,
    paired_ratios,
    pole_bounds,
    sealed_errors,
)
from batchtime.fit.inverse_law import LawFit, Prediction
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.fit.measurements import Observation
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import Array, Interval
from batchtime.laws.updates import InverseLaw
from batchtime.plan.clock import Clocked
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord, total_cost
from batchtime.theory.problems import Solvable


def with_interval(name: str, value: float | None, interval: Interval) -> dict[str, float | None]:
    """Return an estimate and the ends of its interval as columns NAME, NAME_low and NAME_high."""
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


# One sweep


def runs(observations: Mapping[str, Sequence[Observation]]) -> pd.DataFrame:
    """Return a row a run: what is known of it, and under which name it was given.

    `updates` is the middle of the interval in which the target was reached, or the budget that was spent without that;
    columns `batch_size, seed, updates, updates_lower, updates_upper, censored` and `run_is`.
    """
    rows = [
        {
            "batch_size": seen.batch_size,
            "seed": seen.seed,
            "updates": seen.lower if seen.upper is None else (seen.lower + seen.upper) / 2,
            "updates_lower": seen.lower,
            "updates_upper": seen.upper,
            "censored": seen.upper is None,
            "run_is": name,
        }
        for name, several in observations.items()
        for seen in several
    ]
    columns = ["batch_size", "seed", "updates", "updates_lower", "updates_upper", "censored", "run_is"]
    return pd.DataFrame(rows, columns=columns)


def law(fit: LawFit) -> pd.DataFrame:
    """Return the three quantities of a law with their units and intervals, one a row."""
    units = {"n_inf": "updates", "alpha": "examples", "critical_batch_size": "examples"}
    return pd.DataFrame(
        {
            "quantity": name,
            "estimate": getattr(fit.law, name),
            "unit": unit,
            "interval_low": getattr(fit.intervals, name)[0],
            "interval_high": getattr(fit.intervals, name)[1],
        }
        for name, unit in units.items()
    )


def by_batch_size(chosen: Experiment, records: Sequence[RunRecord], law: InverseLaw) -> pd.DataFrame:
    """Return for each batch size how many runs reached the target, their mean updates and epochs, and the law's error.

    The mean is the most likely one, censored runs counted as "more than"; an epoch passes over the training examples.
    """
    rows = []
    for size in sorted(chosen.sweep.batch_sizes):
        here = [record for record in records if record.batch_size == size]
        mean = own_means([record.observation() for record in here])[0].mean
        rows.append(
            {
                "batch_size": size,
                "runs_are": _role(chosen, size),
                "runs": len(here),
                "reached": sum(record.outcome.status == "reached" for record in here),
                "updates": mean,
                "law": law.updates(float(size)),
                "error": None if mean is None else law.updates(float(size)) / mean - 1,
                "epochs": None if mean is None else mean * size / chosen.n_examples,
            }
        )
    return pd.DataFrame(rows)


def _role(chosen: Experiment, size: int) -> str:
    """Return what a batch size is to the fit."""
    if size in chosen.sealed:
        return "held out"
    return "left out" if size in chosen.left_out else "fitted"


def predictions(predicted: Sequence[Prediction], measured: Sequence[MeanUpdates]) -> pd.DataFrame:
    """Return predicted mean updates beside measured ones, with the error as a fraction of what was measured."""
    return pd.DataFrame(
        {
            "batch_size": guess.batch_size,
            **with_interval("predicted", guess.mean, guess.interval),
            "measured": seen.mean,
            "error": None if seen.mean is None else guess.mean / seen.mean - 1,
        }
        for guess, seen in zip(predicted, measured, strict=True)
    )


def known_law(found: LawFit, known: InverseLaw) -> pd.DataFrame:
    """Return a fitted law beside the one that is known."""
    return pd.DataFrame(
        {
            "quantity": name,
            "known": getattr(known, name),
            **with_interval("fitted", getattr(found.law, name), getattr(found.intervals, name)),
        }
        for name in QUANTITIES
    )


def closed_form(batch_sizes: Sequence[int], rate: LearningRate, problem: Solvable) -> pd.DataFrame:
    """Return the exact updates of a solvable problem beside the inverse law that they are to first order."""
    exact = np.array([problem.updates(size, rate) for size in batch_sizes])
    law = problem.law(rate).updates(np.array(batch_sizes, dtype=np.float64))
    columns = {"batch_size": batch_sizes, "closed form": exact, "inverse law": law, "law_error": law / exact - 1}
    return pd.DataFrame(columns)


def tried(chosen: Experiment, recorded: Sequence[RunRecord]) -> pd.DataFrame:
    """Return what was tried before a sweep: recorded runs with other seeds or another setting, one a row."""
    named = set(chosen.sweep.runs())
    rows = [
        {
            "learning_rate": record.setting.learning_rate.maximum,
            "batch_size": record.batch_size,
            "seed": record.seed,
            "target": record.setting.workload.target.value,
            "outcome": record.outcome.status,
            "updates_low": record.outcome.lower,
            "updates_high": record.outcome.upper,
        }
        for record in recorded
        if record.spec not in named
    ]
    return pd.DataFrame(rows).sort_values(["learning_rate", "target", "batch_size", "seed"]) if rows else pd.DataFrame()


# Sweeps beside each other


def means(several: Sequence[Arm]) -> pd.DataFrame:
    """Return the mean updates of each sweep at each batch size with 95 % intervals, one a row.

    `fitted` says whether the law of the sweep is fitted there, `lost` whether less than half of the runs got there.
    """
    return pd.DataFrame(
        {
            "label": one.label,
            "learning_rate": one.rate,
            "batch_size": seen.batch_size,
            **with_interval("updates", seen.mean, seen.interval),
            "runs": seen.n_runs,
            "censored": seen.n_censored,
            "fitted": one.fit is not None and seen.batch_size in one.experiment.fitted,
            "lost": one.share_reached(int(seen.batch_size)) < 0.5,
        }
        for one in several
        for seen in one.means()
    )


def laws(several: Sequence[Arm]) -> pd.DataFrame:
    """Return the law of each sweep with intervals, how well it describes the runs, and how many there are."""
    rows = []
    for one in several:
        sizes = one.fit.batch_sizes if one.fit is not None else None
        row: dict[str, object] = {
            "label": one.label,
            "runs": len(one.records),
            "reached": sum(record.outcome.status == "reached" for record in one.records),
            "fitted_low": min(sizes) if sizes else None,
            "fitted_high": max(sizes) if sizes else None,
        }
        for name in QUANTITIES:
            fitted = one.fit is not None
            value = getattr(one.fit.law, name) if one.fit is not None else None
            row |= with_interval(name, value, getattr(one.fit.intervals, name) if fitted and one.fit else (None, None))
        rows.append(row | {"worst_error": one.deviation()})
    return pd.DataFrame(rows)


def accuracy(several: Sequence[Arm]) -> pd.DataFrame:
    """Return how well the law describes and predicts each sweep, and whether both of its arms were seen."""
    rows = []
    for one in several:
        if one.fit is None:
            continue
        seen = arms_seen(one) or (None, None)
        errors = sealed_errors(one)
        rows.append(
            {
                "label": one.label,
                "batch_sizes": len(one.fit.batch_sizes),
                "seeds": len(one.experiment.sweep.seeds),
                "noise_over_floor_low": seen[1],
                "noise_over_floor_high": seen[0],
                "spread": one.fit.scatter,
                "worst_error": one.deviation(),
                "leave_one_out_error": one.fit.leave_one_out_error,
                "sealed_error_low": min(errors, default=None),
                "sealed_error_high": max(errors, default=None),
            }
        )
    return pd.DataFrame(rows)


def examples_per_second(records: Sequence[RunRecord]) -> float:
    """Return the examples that runs trained on in a second of CPU, evaluation apart."""
    cost = total_cost(records)
    return cost.examples / (cost.cpu_seconds - cost.evaluation_cpu_seconds)


def costs(several: Sequence[Arm]) -> pd.DataFrame:
    """Return what each sweep cost: CPU, the share of evaluation, examples a second while training."""
    return pd.DataFrame(
        {
            "label": one.label,
            "runs": len(one.records),
            "CPU minutes": total_cost(one.records).cpu_seconds / 60,
            "evaluation_share": total_cost(one.records).evaluation_share,
            "examples a CPU second": examples_per_second(one.records),
        }
        for one in several
    )


def poles(several: Sequence[Arm]) -> pd.DataFrame:
    """Return for each arm below which batch sizes runs did not all, or mostly not, reach the target."""
    return pd.DataFrame(
        {
            "label": one.label,
            "least_batch_size": min(one.experiment.sweep.batch_sizes),
            "some_lost": pole_bounds(one)[0],
            "most_lost": pole_bounds(one)[1],
            "budget": one.experiment.sweep.setting.max_updates,
        }
        for one in several
    )


def ratios(first: Arm, second: Arm) -> pd.DataFrame:
    """Return updates of one arm over those of another at each batch size, run by run, with the middle half."""
    rows = []
    for size, several in paired_ratios(first, second).items():
        low, high = np.quantile(several, (0.25, 0.75))
        mean = float(np.exp(np.mean(np.log(several))))
        rows.append(
            {"batch_size": size, "pairs": len(several), "ratio": mean, "half_ratio_low": low, "half_ratio_high": high}
        )
    return pd.DataFrame(rows)


def tuned(best: Sequence[Tuned], fixed: Arm) -> pd.DataFrame:
    """Return for each batch size the best step size, its mean updates, and those at the fixed step size."""
    at_fixed = {seen.batch_size: seen.mean for seen in fixed.means()}
    # Together, so that all batch sizes say how runs scatter: a few runs at one may lie between the same evaluations.
    at_best = {seen.batch_size: seen for seen in mean_updates([run.observation() for one in best for run in one.runs])}
    rows = []
    for one in best:
        seen, other = at_best[one.batch_size], at_fixed.get(one.batch_size)
        rows.append(
            {
                "batch_size": one.batch_size,
                "learning_rate": one.rate,
                "at_the_edge": one.at_the_edge,
                "runs": len(one.runs),
                **with_interval("updates", seen.mean, seen.interval),
                "at_fixed": other,
                "saved_ratio": other / seen.mean if other and seen.mean else None,
            }
        )
    return pd.DataFrame(rows)


def binomial(held: ArrayLike, tried: ArrayLike) -> tuple[Array, Array]:
    """Return the ends of the 95 % intervals (Clopper and Pearson's) of shares that held so often of those tried.

    Example:
        >>> low, high = binomial(np.array([95]), np.array([100]))
        >>> round(float(low[0]), 3), round(float(high[0]), 3)
        (0.887, 0.984)
    """
    held, tried = np.asarray(held, dtype=float), np.asarray(tried, dtype=float)
    with np.errstate(all="ignore"):
        low = np.where(held > 0, betaincinv(held, tried - held + 1, 0.025), 0.0)
        high = np.where(held < tried, betaincinv(held + 1, tried - held, 0.975), 1.0)
    return low, high


# Whole runs by the clock


def clock_frame(rows: Sequence[Clocked]) -> pd.DataFrame:
    """Return predicted and measured seconds to the target at each batch size, and whose part of the error is whose."""
    return pd.DataFrame(
        {
            "batch_size": row.batch_size,
            "runs": row.n_runs,
            **with_interval("predicted_seconds", row.predicted, row.predicted_interval),
            **with_interval("measured_seconds", row.measured, row.measured_interval),
            "error": row.error,
            "of_updates_error": row.updates_error,
            "of_time_error": row.seconds_error,
        }
        for row in rows
    )
