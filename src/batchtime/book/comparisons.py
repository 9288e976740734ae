"""Recorded sweeps beside each other: tasks, arms of one task, targets, and rules for when a run has converged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from batchtime.book.show import either_or, percent_text
from batchtime.errors import FitError
from batchtime.fit.inverse_law import LawFit, fit_inverse_law, predict_updates
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.fit.measurements import Observation
from batchtime.fit.rival_laws import POLE, fit_law
from batchtime.fit.scatter import LEVEL
from batchtime.laws.quantity import Interval
from batchtime.laws.updates import InverseLaw
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One sweep with the law fitted to it.

    Args:
        label: What a reader calls it.
        experiment: The sweep and its plan of analysis.
        records: Its runs.
        fit: The law, or None.
        reason: Why there is none.
    """

    label: str
    experiment: Experiment
    records: Sequence[RunRecord]
    fit: LawFit | None
    reason: str = ""

    @property
    def rate(self) -> float:
        """Step size at large batches."""
        return self.experiment.sweep.setting.learning_rate.maximum

    @property
    def observations(self) -> list[Observation]:
        """What is known of every run, also of those that the law is not fitted to."""
        return [record.observation() for record in self.records]

    @property
    def fitted(self) -> list[Observation]:
        """What the law is fitted to."""
        return self.experiment.fit_observations(self.records)

    def means(self) -> tuple[MeanUpdates, ...]:
        """Return the mean updates at each batch size, whether it is fitted or not."""
        return mean_updates(self.observations)

    def deviation(self) -> float | None:
        """Return the law's error in the mean at the fitted batch size that it describes worst, as a fraction."""
        if self.fit is None:
            return None
        return largest_deviation(self.fitted, self.fit.law)

    def share_reached(self, batch_size: int) -> float:
        """Return which share of the runs at a batch size reached the target."""
        here = [record for record in self.records if record.batch_size == batch_size]
        return sum(record.outcome.status == "reached" for record in here) / len(here)


def own_means(observations: Sequence[Observation]) -> list[MeanUpdates]:
    """Return the mean updates at each batch size, by increasing size, from the runs at that size and no others.

    So an error of the law is the same wherever it is shown, whichever other batch sizes stand beside.
    """
    sizes = sorted({seen.batch_size for seen in observations})
    return [mean_updates([seen for seen in observations if seen.batch_size == size])[0] for size in sizes]


def largest_deviation(observations: Sequence[Observation], law: InverseLaw) -> float:
    """Return the law's error in the mean updates at the batch size that it describes worst, as a fraction."""
    seen = own_means(observations)
    return max(abs(law.updates(one.batch_size) / one.mean - 1) for one in seen if one.mean is not None)


def arm(chosen: Experiment, records: Sequence[RunRecord], label: str) -> Arm:
    """Fit the law to one sweep; an arm without law says why."""
    try:
        fit = fit_inverse_law(chosen.fit_observations(records))
    except FitError as error:
        return Arm(label=label, experiment=chosen, records=records, fit=None, reason=str(error))
    return Arm(label=label, experiment=chosen, records=records, fit=fit)


def arms(runs: Mapping[str, tuple[Experiment, Sequence[RunRecord]]]) -> list[Arm]:
    """Fit the law to each of some sweeps, given by what a reader calls them."""
    return [arm(chosen, records, label) for label, (chosen, records) in runs.items()]


def count_runs(several: Sequence[Arm]) -> int:
    """Return how many runs there are together."""
    return sum(len(one.records) for one in several)


def count_fitted(several: Sequence[Arm]) -> int:
    """Return how many runs the laws are fitted to together."""
    return sum(len(one.fitted) for one in several)


def main_arm(several: Sequence[Arm], name: str) -> Arm:
    """Return the arm of the experiment of this name."""
    return next(one for one in several if one.experiment.name == name)


def spread_of(several: Sequence[Arm], quantity: str) -> float:
    """Return the greatest over the least estimate of a quantity of the law ("n_inf", say)."""
    values = [float(getattr(one.fit.law, quantity)) for one in several if one.fit is not None]
    return max(values) / min(values)


def at_targets(chosen: Experiment, records: Sequence[RunRecord], values: Sequence[float]) -> list[Arm]:
    """Read the same runs at other targets of the same metric, and fit the law to each."""
    goal = chosen.workload.target
    targets = [replace(goal, value=value) for value in values]
    return [arm(chosen, [record.at(target) for record in records], f"{target.value:g}") for target in targets]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a run counts as converged.

    Args:
        label: What a reader calls it.
        target: Metric, value and how long it must hold.
        window: Evaluations over which the metric is averaged first; 1 for none.
    """

    label: str
    target: Target
    window: int = 1

    def read(self, record: RunRecord) -> RunRecord:
        """Return a run read by this rule."""
        return replace(record, evaluations=record.evaluations.smoothed(self.window)).at(self.target)


def crossing_rules(chosen: Experiment, records: Sequence[RunRecord]) -> list[Rule]:
    """Return rules that the kept evaluations can be read by, the experiment's own second.

    A run ends when its own rule is met, so another one can be read only if it is met before. The threshold of the loss
    is such that it holds, at their end, in 19 of 20 runs that reached their target.
    """
    goal = chosen.workload.target
    rules = [
        Rule(label="first dip", target=replace(goal, hold=1)),
        Rule(label=f"held for {goal.hold}", target=goal),
        Rule(label=f"mean of {goal.hold} evaluations", target=replace(goal, hold=1), window=goal.hold),
    ]
    ends = [record.evaluations.metrics.get("loss", ())[-goal.hold :] for record in records if record.outcome.upper]
    known = [max(value for value in end if value is not None) for end in ends if end and None not in end]
    if goal.metric == "loss" or not known:
        return rules
    loss = Target(metric="loss", value=float(f"{np.quantile(known, 0.95):.3g}"), hold=1)
    return [
        *rules,
        Rule(label=f"loss {loss.value:g}, first dip", target=loss),
        Rule(label=f"loss {loss.value:g}, held for {goal.hold}", target=replace(loss, hold=goal.hold)),
    ]


def by_rules(chosen: Experiment, records: Sequence[RunRecord], rules: Sequence[Rule]) -> list[Arm]:
    """Read the same runs by several rules, and fit the law to each."""
    return [arm(chosen, [rule.read(record) for record in records], rule.label) for rule in rules]


# --- the step size that suits each batch size ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The best of some step sizes at one batch size.

    Args:
        batch_size: Examples in a batch.
        rate: The step size with the least mean updates over the even seeds.
        runs: The runs of that step size with the odd seeds, which had no part in the choice.
        at_the_edge: Whether no smaller, or no larger, step size was run here.
    """

    batch_size: int
    rate: float
    runs: tuple[RunRecord, ...]
    at_the_edge: bool


def tune(candidates: Sequence[Arm]) -> list[Tuned]:
    """Choose at each batch size the step size of the least mean updates; a step size counts if all its runs got there.

    Half of the seeds choose and the others are reported: the least of several noisy means is too low by itself. Batch
    sizes that were run at one step size only are left out.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.rate)
    sizes = sorted({record.batch_size for candidate in ordered for record in candidate.records})
    tuned = []
    for size in sizes:
        here = {
            candidate.rate: [record for record in candidate.records if record.batch_size == size]
            for candidate in ordered
            if any(record.batch_size == size for record in candidate.records)
        }
        if len(here) < 2:
            continue
        choosing = {rate: [record for record in runs if record.seed % 2 == 0] for rate, runs in here.items()}
        means = {
            rate: float(np.mean([(run.outcome.lower + (run.outcome.upper or 0)) / 2 for run in runs]))
            for rate, runs in choosing.items()
            if runs and all(run.outcome.status == "reached" for run in runs)
        }
        if means:
            best = min(means, key=lambda rate: means[rate])
            reported = tuple(record for record in here[best] if record.seed % 2 == 1)
            edge = best in (min(here), max(here))
            tuned.append(Tuned(batch_size=size, rate=best, runs=reported, at_the_edge=edge))
    return tuned


def tuned_arm(fixed: Arm, tuned: Sequence[Tuned]) -> Arm:
    """Return the runs at the best step size of each batch size as an arm, with the law fitted to all of them."""
    records = [record for one in tuned for record in one.runs]
    sizes = tuple(one.batch_size for one in tuned)
    chosen = replace(
        fixed.experiment,
        sweep=replace(fixed.experiment.sweep, batch_sizes=sizes),
        sealed=(),
        left_out=(),
    )
    return arm(chosen, records, "the best at each batch size")


# --- how the law goes with the step size -----------------------------------------------------------------------------


def rates(several: Sequence[Arm]) -> list[float]:
    """Return the step size of each arm."""
    return [one.rate for one in several]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A quantity is proportional to another one to this power; with a 95 % interval, from so many points."""

    power: float
    interval: tuple[float, float]
    points: int


def power_of(x: Sequence[float], y: Sequence[float], intervals: Sequence[Interval] = ()) -> Power:
    """Return the power of x that y is proportional to: the book's one estimator of an exponent.

    A straight line through the logarithms, in which each point weighs by the width of its interval, for the intervals
    of laws differ by factors and a plain least-squares line would let the law that is known least well decide. Where
    the points scatter about the line by more than their intervals, the interval of the power is widened as much (the
    square root of chi-square over its degrees of freedom, as the Particle Data Group does). Without intervals all
    points weigh the same, and their scatter alone makes the interval.

    Args:
        x: What was changed, (K,), at least two different values.
        y: The quantity, (K,), more than 0.
        intervals: 95 % of each y, both sides known; empty where there are none.
    """
    logs, values = np.log(x), np.log(y)
    ends = np.log(np.array(intervals, dtype=np.float64).reshape(-1, 2))
    errors = (ends[:, 1] - ends[:, 0]) / (2 * Z) if intervals else np.ones(len(logs))
    (slope, level), covariance = np.polyfit(logs, values, 1, w=1 / errors, cov="unscaled")
    chi_square = np.sum(((values - slope * logs - level) / errors) ** 2) / max(len(logs) - 2, 1)
    reach = Z * np.sqrt(covariance[0, 0] * (max(1.0, chi_square) if intervals else chi_square))
    return Power(power=float(slope), interval=(float(slope - reach), float(slope + reach)), points=len(logs))


def powers_of_rate(several: Sequence[Arm]) -> dict[str, Power]:
    """Return with which power of the step size each quantity of the law goes (see `power_of`).

    Raises:
        FitError: If fewer than two arms have a law whose three intervals are closed.
    """
    fits = closed([(one.rate, one.fit) for one in several if one.fit is not None])
    if len(fits) < 2:
        remedy = "a power needs two: add seeds or batch sizes"
        raise FitError(f"{len(fits)} of {len(several)} step sizes have a law with closed intervals; {remedy}")
    rates = [rate for rate, _ in fits]
    return {
        name: power_of(
            rates, [getattr(fit.law, name) for _, fit in fits], [getattr(fit.intervals, name) for _, fit in fits]
        )
        for name in QUANTITIES
    }


def closed(laws: Sequence[tuple[float, LawFit]]) -> list[tuple[float, LawFit]]:
    """Return the laws whose three intervals are closed, each with what was changed for it."""
    return [(x, fit) for x, fit in laws if all(None not in getattr(fit.intervals, name) for name in QUANTITIES)]


QUANTITIES = ("n_inf", "alpha", "critical_batch_size")
Z = float(stats.norm.ppf((1 + LEVEL) / 2))
"""Standard deviations from the middle to an end of an interval."""


def fitted_pole(one: Arm) -> float | None:
    """Return M_0 of n_inf + alpha / (M - M_0), fitted to the batch sizes at which every run arrived.

    None for fewer than four of them, and for a pole that makes up less than a tenth of the updates at the least of
    them, (M_0 / M)^2 by `averaged-excess`: recorded laws are off by nearly as much where there is no pole.
    """
    seen = {mean.batch_size: mean.mean for mean in one.means() if mean.n_censored == 0 and mean.mean is not None}
    if len(seen) < 4:
        return None
    *_, pole = fit_law(POLE, np.array(list(seen)), np.array(list(seen.values())))
    return pole if (pole / min(seen)) ** 2 > 0.1 else None


def pole_bounds(one: Arm) -> tuple[int | None, int | None]:
    """Return the greatest batch size at which not every run reached the target, and that at which less than half did.

    None where there is no such batch size.
    """
    shares = {size: one.share_reached(size) for size in one.experiment.sweep.batch_sizes}
    not_all = [size for size, share in shares.items() if share < 1]
    minority = [size for size, share in shares.items() if share < 0.5]
    return max(not_all, default=None), max(minority, default=None)


# --- two arms, run by run --------------------------------------------------------------------------------------------


def paired_ratios(first: Arm, second: Arm) -> dict[int, list[float]]:
    """Return updates of the first arm over those of the second, for the batch sizes and seeds that both reached."""
    middles = [
        {
            (record.batch_size, record.seed): (record.outcome.lower + record.outcome.upper) / 2
            for record in one.records
            if record.outcome.upper is not None
        }
        for one in (first, second)
    ]
    ratios: dict[int, list[float]] = {}
    for size, seed in sorted(middles[0].keys() & middles[1].keys()):
        ratios.setdefault(size, []).append(middles[0][size, seed] / middles[1][size, seed])
    return ratios


def count_pairs(first: Arm, second: Arm) -> int:
    """Return how many pairs of runs with one batch size and seed there are, both of which reached the target."""
    return sum(len(some) for some in paired_ratios(first, second).values())


def mean_ratio(first: Arm, second: Arm) -> float:
    """Return the geometric mean of updates of the first arm over those of the second, run by run.

    Raises:
        FitError: If no batch size and seed was reached by both.
    """
    ratios = [ratio for some in paired_ratios(first, second).values() for ratio in some]
    if not ratios:
        raise FitError(f"{first.label} and {second.label} share no run that reached the target; add seeds")
    return float(np.exp(np.mean(np.log(ratios))))


# --- tasks -----------------------------------------------------------------------------------------------------------


def sealed_errors(one: Arm) -> list[float]:
    """Return the errors of the predicted mean updates at the sealed batch sizes, as fractions of what was measured."""
    if one.fit is None:
        return []
    sealed = one.experiment.sealed
    measured = own_means(one.experiment.select(one.records, sealed))
    predicted = predict_updates(one.fit, [seen.batch_size for seen in measured], runs=len(one.records))
    return [
        guess.mean / seen.mean - 1 for guess, seen in zip(predicted, measured, strict=True) if seen.mean is not None
    ]


def arms_seen(one: Arm) -> tuple[float, float] | None:
    """Return alpha / M over n_inf at the least and at the greatest fitted batch size: both arms show if 2 and 1/3."""
    if one.fit is None or one.fit.law.n_inf == 0:
        return None
    critical = one.fit.law.critical_batch_size
    return critical / min(one.fit.batch_sizes), critical / max(one.fit.batch_sizes)


# --- in words --------------------------------------------------------------------------------------------------------


def rates_text(several: Sequence[Arm]) -> str:
    """Return the step sizes of some arms as a reader says them."""
    return either_or([f"{one.rate:g}" for one in several])


def power_text(found: Power) -> str:
    """Return a power with its interval and the number of learning rates behind it."""
    low, high = found.interval
    return f"{found.power:.2f} ({low:.2f} to {high:.2f}; {found.points} learning rates)"


def verdict(several: Sequence[Arm]) -> list[str]:
    """Return a sentence a task: how well the law describes it, and whether its small-batch arm was seen."""
    sentences = []
    for one in several:
        if one.fit is None:
            sentences.append(f"{one.label}: no law ({one.reason}).")
            continue
        seen, deviation = arms_seen(one), one.deviation()
        sizes = f"M = {min(one.fit.batch_sizes):g} to {max(one.fit.batch_sizes):g}"
        tested = one.fit.lack_of_fit
        off = ", more than the scatter of its runs explains" if tested is not None and tested < 0.01 else ""
        short = "" if seen is None or seen[0] >= 2 else "; its small-batch arm is cut short by the pole"
        sentences.append(f"{one.label}: within {percent_text(deviation)} of the mean updates from {sizes}{off}{short}.")
    return sentences


def reports(records: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each number taken of models that reached their target, its mean and range over runs."""
    names = sorted({name for record in records for name in record.reports})
    lines = []
    for name in names:
        values = [record.reports[name] for record in records if name in record.reports]
        lines.append(
            f"When a run ended, its model's {name.upper() if name == 'bleu' else name} score was "
            f"{np.mean(values):.1f} on average ({min(values):.1f} to {max(values):.1f}, {len(values)} runs): "
            "for orientation, the target is the loss."
        )
    return lines
