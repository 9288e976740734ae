"""Where and why runs stand off their law: by batch size, by seed, by run; and what that means, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from batchtime.book.comparisons import Arm
from batchtime.errors import FitError
from batchtime.fit.inverse_law import LawFit, fit_inverse_law
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import LEVEL, SIGNIFICANT
from batchtime.laws.quantity import Array, Interval
from batchtime.laws.updates import InverseLaw

QUANTITIES = ("n_inf", "alpha", "critical_batch_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far the mean updates of one batch size stand off the law.

    Args:
        batch_size: Examples in a batch.
        error: Mean of the runs over the law, less 1: more than 0 where runs take longer than the law says.
        interval: 95 %, from the scatter of the runs; open where that is not known.
        fitted: Whether the law was fitted to these runs.
    """

    batch_size: float
    error: float
    interval: Interval
    fitted: bool


def residuals(law: InverseLaw, observations: Sequence[Observation], fitted: Sequence[float]) -> list[Residual]:
    """Return how far each batch size with a known mean stands off a law, by increasing batch size."""
    found = []
    for seen in mean_updates(observations):
        if seen.mean is None:
            continue
        expected = law.updates(seen.batch_size)
        low, high = (None if side is None else side / expected - 1 for side in seen.interval)
        found.append(
            Residual(
                batch_size=seen.batch_size,
                error=seen.mean / expected - 1,
                interval=(low, high),
                fitted=seen.batch_size in fitted,
            )
        )
    return found


# Scatter


def _logs(observations: Sequence[Observation]) -> tuple[Array, Array, Array]:
    """Return batch sizes, seeds and log updates, middles of intervals, of the runs that reached the target."""
    reached = [run for run in observations if run.upper is not None]
    seeds: dict[int | None, int] = {}
    # a run without a seed shares it with no other
    labels = [
        seeds.setdefault(run.seed, len(seeds)) if run.seed is not None else -1 - k for k, run in enumerate(reached)
    ]
    middles = [(run.lower + (run.upper or 0.0)) / 2 for run in reached]
    return np.array([run.batch_size for run in reached]), np.array(labels), np.log(middles)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterParts:
    """Standard deviations of log updates, each part apart from the others.

    Args:
        seed: What the runs of one seed share at all batch sizes.
        run: What is left of a run: its own luck.
        batch_size: How far the true means of batch sizes stand off the law: the law's own error.
    """

    seed: float
    run: float
    batch_size: float


def scatter_parts(law: InverseLaw, observations: Sequence[Observation]) -> ScatterParts:
    """Split the scatter of runs about a law into that between seeds, between batch sizes, and the rest.

    A two-way analysis of variance of log updates by batch size and seed (method of moments), over the runs that reached
    the target. What the runs of one seed share does not move batch sizes against each other: the batch means scatter
    about the law by the rest over the root of their number, and what they scatter more is the law's own error, with two
    degrees of freedom fewer than batch sizes.

    Raises:
        FitError: If too few runs share seeds at too few batch sizes.
    """
    sizes, seeds, logs = _logs(observations)
    _, size = np.unique(sizes, return_inverse=True)
    _, seed = np.unique(seeds, return_inverse=True)
    n_sizes, n_seeds = int(size.max(initial=-1)) + 1, int(seed.max(initial=-1)) + 1
    rest = len(logs) - n_sizes - n_seeds + 1
    if n_sizes < 3 or n_seeds < 2 or rest < 1:
        raise FitError(
            f"{len(logs)} runs at {n_sizes} batch sizes with {n_seeds} seeds leave none over to split their scatter; "
            "run the same two or more seeds at three or more batch sizes"
        )
    design = np.hstack([np.eye(n_sizes)[size], np.eye(n_seeds)[seed][:, 1:]])
    left = logs - design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    run = float(left @ left) / rest
    means = np.array([logs[size == k].mean() for k in range(n_sizes)])
    counts = np.bincount(size)
    centred = logs - means[size]
    by_seed = np.array([centred[seed == k].mean() for k in range(n_seeds)])
    of_seed = float(by_seed @ by_seed) / (n_seeds - 1) - run / float(np.bincount(seed).mean())
    off = means - np.log(law.updates(np.unique(sizes)))
    off -= np.average(off, weights=counts)
    of_size = float(off @ off) / (n_sizes - 2) - run * float(np.mean(1 / counts))
    return ScatterParts(seed=math.sqrt(max(of_seed, 0)), run=math.sqrt(run), batch_size=math.sqrt(max(of_size, 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadTest:
    """Is the error of a run multiplicative, of one size in log N, or additive, of one size in N?

    Args:
        batch_sizes: With three or more runs that reached the target.
        spreads: Standard deviation of log updates at each.
        power: The standard deviation of updates goes with their mean to this power: 1 multiplicative, 0 additive.
        interval: Of the power, 95 %.
        equal_in_logs: p-value that the spread of log N is the same at every batch size (Brown and Forsythe 1974).
        equal_in_updates: The same of N.
    """

    batch_sizes: tuple[float, ...]
    spreads: tuple[float, ...]
    power: float
    interval: Interval
    equal_in_logs: float
    equal_in_updates: float

    @property
    def multiplicative(self) -> bool:
        """Whether a multiplicative error agrees with the runs, and an additive one does not."""
        return self.equal_in_logs >= SIGNIFICANT > self.equal_in_updates


def spread_test(observations: Sequence[Observation]) -> SpreadTest:
    """Test whether the spread of the runs grows in proportion to their mean.

    The power is the slope of log(standard deviation) against log(mean), a point a batch size.

    Raises:
        FitError: If fewer than three batch sizes have three runs that reached the target and differ.
    """
    sizes, _, logs = _logs(observations)
    groups = {float(m): logs[sizes == m] for m in np.unique(sizes)}
    groups = {m: values for m, values in groups.items() if len(values) > 2 and np.ptp(values) > 0}
    if len(groups) < 3:
        raise FitError(
            f"{len(groups)} batch sizes have three runs that reached the target and differ; a test of their spread "
            "needs three batch sizes: add seeds"
        )
    updates = [np.exp(values) for values in groups.values()]
    line = stats.linregress([np.log(n.mean()) for n in updates], [np.log(n.std(ddof=1)) for n in updates])
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(groups) - 2) * line.stderr)
    return SpreadTest(
        batch_sizes=tuple(groups),
        spreads=tuple(float(values.std(ddof=1)) for values in groups.values()),
        power=float(line.slope),
        interval=(float(line.slope - reach), float(line.slope + reach)),
        equal_in_logs=float(stats.levene(*groups.values(), center="median").pvalue),
        equal_in_updates=float(stats.levene(*updates, center="median").pvalue),
    )


# Influence


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """What leaving out one batch size does to the law, each change as a fraction of the estimate from all."""

    batch_size: float
    n_inf: float
    alpha: float
    critical_batch_size: float


def influences(observations: Sequence[Observation]) -> list[Influence]:
    """Return how much each quantity of the law changes without each batch size, for those that can be left out."""
    whole = fit_inverse_law(observations).law
    found = []
    for size in sorted({run.batch_size for run in observations}):
        try:
            law = fit_inverse_law([run for run in observations if run.batch_size != size]).law
        except FitError:
            continue
        changes = {name: _change(getattr(law, name), getattr(whole, name)) for name in QUANTITIES}
        found.append(Influence(batch_size=size, **changes))
    return found


def _change(without: float, whole: float) -> float:
    return without / whole - 1 if 0 < whole < math.inf else math.nan


# In words


def verdict(arm: Arm) -> list[str]:
    """Return what the diagnostics of one sweep mean, a sentence each.

    Raises:
        FitError: If the sweep has no law.
    """
    if arm.fit is None:
        raise FitError(f"{arm.label} has no law to look into: {arm.reason}")
    found = residuals(arm.fit.law, arm.observations, arm.fit.batch_sizes)
    return [
        *_how_well(arm.fit, found),
        *_outside(found, arm.fit.batch_sizes, fixed=arm.experiment.sweep.setting.learning_rate.half_batch_size == 0),
        *_of_scatter(arm.fit.law, arm.fitted),
        *_of_spread(arm.fitted),
        *_of_influence(arm.fitted),
    ]


def _how_well(fit: LawFit, found: Sequence[Residual]) -> list[str]:
    fitted = [one for one in found if one.fitted]
    off = {one.batch_size: abs(1 / (1 + one.error) - 1) for one in fitted}  # law over mean, as on the other pages
    worst = max(off, key=lambda size: off[size])
    text = (
        f"The law describes these runs to within {_percent(off[worst])} at batch sizes {fitted[0].batch_size:g} to "
        f"{fitted[-1].batch_size:g}; it is furthest off at {worst:g}."
    )
    if fit.lack_of_fit is None:
        return [text, "Whether that is more than chance cannot be tested on these runs."]
    if fit.lack_of_fit < SIGNIFICANT:
        more = f"That is more than the scatter of the runs explains (p = {fit.lack_of_fit:.1g}): it is no exact law."
        return [text, more]
    return [text, f"The scatter of the runs is enough to explain that (p = {fit.lack_of_fit:.2g})."]


def _outside(found: Sequence[Residual], fitted: Sequence[float], *, fixed: bool) -> list[str]:
    """Tell of batch sizes below those fitted, whether they lie above the law, and why at a fixed learning rate."""
    below = [one for one in found if one.batch_size < min(fitted)]
    above_law = [one for one in below if one.interval[0] is not None and one.interval[0] > 0]
    if not below:
        return []
    where = f"{_count(len(below))} below {min(fitted):g}"
    if len(above_law) == len(below):
        lie = "lies" if len(below) == 1 else "lie"
        why = ", as theory expects near the pole of a fixed learning rate" if fixed else ""
        return [f"{where} {lie} above the law{why}."]
    return [f"Of {where[0].lower()}{where[1:]}, {len(above_law)} can be told to lie above the law."]


def _count(number: int) -> str:
    words = ("No batch size", "One batch size", "Two batch sizes", "Three batch sizes", "Four batch sizes")
    return words[number] if number < len(words) else f"{number} batch sizes"


def _of_scatter(law: InverseLaw, runs: Sequence[Observation]) -> list[str]:
    try:
        parts = scatter_parts(law, runs)
    except FitError:
        return []
    own = f"beyond that, the law itself is off by {_percent(parts.batch_size)} (one standard deviation)"
    if parts.batch_size == 0:
        own = "beyond that no error of the law itself can be seen"
    shared = f"{_percent(parts.seed)} is shared by the runs of a seed, {_percent(parts.run)} is a run's own"
    return [f"Of the scatter, {shared}; {own}."]


def _of_spread(runs: Sequence[Observation]) -> list[str]:
    try:
        found = spread_test(runs)
    except FitError:
        return []
    power = f"the spread of the updates goes with their mean to the power {found.power:.2f}"
    if found.multiplicative:
        return [f"The error is multiplicative, as the fit assumes: {power}."]
    if found.equal_in_logs < SIGNIFICANT:
        chance = f"p = {found.equal_in_logs:.1g} that it is the same share at every batch size"
        return [f"The error is not simply multiplicative, as the fit assumes: {power} ({chance})."]
    return [
        f"A multiplicative error, which the fit assumes, agrees with the runs, and so does an additive one: {power}."
    ]


def _of_influence(runs: Sequence[Observation]) -> list[str]:
    known = [one for one in influences(runs) if math.isfinite(one.critical_batch_size)]
    if not known:
        return []
    most = max(known, key=lambda one: abs(one.critical_batch_size))
    changed = f"without it alpha / n_inf changes by {100 * most.critical_batch_size:+.1f} %"
    return [f"Batch size {most.batch_size:g} has the most influence: {changed}."]


def _percent(value: float) -> str:
    return f"{100 * abs(value):.1f} %"
