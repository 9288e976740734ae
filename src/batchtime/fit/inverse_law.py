"""From runs to the law N(M) = n_inf + alpha / M: estimate, intervals, bootstrap, predictions.

The order is the order of reading. `likelihood` says how likely runs are, `scatter` how they scatter about their law,
`caveats` what to tell a reader; here they are put together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batchtime.errors import FitError
from batchtime.fit import caveats
from batchtime.fit.likelihood import (
    SMALLEST_START,
    Indices,
    Maximum,
    Quantity,
    gather,
    law_model,
    least_squares,
    maximise,
    most_likely_law,
    profile_intervals,
)
from batchtime.fit.means import around, finite
from batchtime.fit.measurements import Observation, timings_of
from batchtime.fit.scatter import (
    Scatter,
    f_point,
    misfit_of_means,
    scatter_about,
    scatter_of_runs,
)
from batchtime.fit.spreads import rows_of
from batchtime.laws.quantity import Array, Interval, interval_text
from batchtime.laws.updates import InverseLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from batchtime.fit.face import TimedFit


@dataclass(frozen=True, slots=True, kw_only=True)
class LawIntervals:
    """Profile-likelihood intervals, 95 %, widened where seeds go together or batch sizes stand off the law."""

    n_inf: Interval
    alpha: Interval
    critical_batch_size: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """An inverse law fitted to runs, with what is known of its uncertainty and quality.

    Args:
        law: Point estimate.
        scatter: Standard deviation of log N between runs at one batch size, root mean square over the runs; None with
            one run at each.
        misfit: Of the means of batch sizes about the law: root of the squares of log(mean / law) over k - 2; None below
            3 batch sizes that all reached.
        intervals: 95 % profile-likelihood intervals; both sides None where the scatter of the runs is not known.
        r2_examples: R^2 of the mean examples E against M over batch sizes that all reached; None below 3 of them.
        leave_one_out_error: Root mean square, over batch sizes, of the relative error in the mean updates predicted
            by a fit without that batch size; None where too few batch sizes are left.
        n_runs: Runs used, censored ones included.
        n_censored: Runs that did not reach the target.
        batch_sizes: Batch sizes used, increasing.
        lack_of_fit: p-value of the test that the batch sizes stand off the law by no more than their runs scatter; None
            where it cannot be tested.
        warnings: What a reader should know before trusting the numbers, one sentence each.
        observations: The runs.
        scatter_about: How they scatter about the law, and the likelihood at its maximum.
    """

    law: InverseLaw
    scatter: float | None
    misfit: float | None
    intervals: LawIntervals
    r2_examples: float | None
    leave_one_out_error: float | None
    n_runs: int
    n_censored: int
    batch_sizes: tuple[float, ...]
    lack_of_fit: float | None = None
    warnings: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = field(default=(), repr=False)
    scatter_about: Scatter | None = field(default=None, repr=False, compare=False)

    def summary(self) -> pd.DataFrame:
        """Return n_inf, alpha and the critical batch size as a frame: index quantity; estimate, low, high, unit.

        Example:
            >>> fit(runs).summary().loc["critical_batch_size", "unit"]
            'examples'
        """
        rows = [(name, getattr(self.law, name), *getattr(self.intervals, name), unit) for name, unit in _UNITS.items()]
        columns = ["quantity", "estimate", "low", "high", "unit"]
        return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float}).set_index("quantity")

    def predict(self, batch_sizes: Sequence[float], *, runs: int | None = None) -> pd.DataFrame:
        """Return predicted mean updates as a frame: batch_size, updates, low, high (95 %; NaN where open).

        Args:
            batch_sizes: In examples.
            runs: Number of new runs whose mean is predicted; None for the law itself.

        Raises:
            FitError: If a batch size or `runs` is not more than 0.

        Example:
            >>> fit(runs).predict([256]).columns.tolist()
            ['batch_size', 'updates', 'low', 'high']
        """
        rows = [(p.batch_size, p.mean, *p.interval) for p in predict_updates(self, batch_sizes, runs=runs)]
        return pd.DataFrame(rows, columns=["batch_size", "updates", "low", "high"], dtype=float)

    def with_timings(self, timings: pd.DataFrame) -> "TimedFit":
        """Return the training time of these runs with timed updates.

        Args:
            timings: Columns batch_size and seconds [, cpu_seconds], one row an update.

        Example:
            >>> fit(runs).with_timings(timings).recommend().learners
            1
        """
        from batchtime.fit.face import TimedFit

        return TimedFit(runs=self.observations, timings=timings_of(timings))

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw every run, the law and its 95 % band against the batch size; needs the extra `plot`.

        Args:
            axes: Where to draw; None for new axes.

        Example:
            >>> fit(runs).plot().get_xlabel()
            'batch size M'
        """
        from batchtime.fit.plot import plot_law

        return plot_law(self, axes)

    def to_dict(self) -> dict[str, object]:
        """Return what `batchtime fit --json` prints: numbers, None where something is open or not known.

        Example:
            >>> fit(runs).to_dict()["n_censored"]
            0
        """
        return {
            **{name: finite(getattr(self.law, name)) for name in _UNITS},
            "intervals": {name: list(getattr(self.intervals, name)) for name in _UNITS},
            "scatter": self.scatter,
            "misfit": self.misfit,
            "leave_one_out_error": self.leave_one_out_error,
            "r2_examples": self.r2_examples,
            "n_runs": self.n_runs,
            "n_censored": self.n_censored,
            "batch_sizes": list(self.batch_sizes),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Return what `batchtime fit` prints."""
        lines = [f"{self.n_runs} runs at {len(self.batch_sizes)} batch sizes, {self.n_censored} censored"]
        for name, unit in _UNITS.items():
            interval = interval_text(getattr(self.intervals, name))
            lines.append(f"  {name:20}{getattr(self.law, name):10.4g} {unit:9} 95 % interval {interval}")
        if self.leave_one_out_error is not None:
            lines.append(f"  a batch size left out is predicted to within {self.leave_one_out_error:.1%} (rms)")
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


_UNITS = {"n_inf": "updates", "alpha": "examples", "critical_batch_size": "examples"}

NOTHING: Interval = (None, None)


def least_squares_law(observations: Sequence[Observation]) -> InverseLaw:
    """Return the law of least squared relative residuals of the mean updates of each batch size.

    The classroom version: minimises sum_i n_i ((n_inf + alpha / M_i) / mean_i - 1)^2 over n_inf >= 0, alpha >= 0, where
    mean_i is over the n_i runs at M_i that reached the target, an interval counting as its middle. Censored runs are
    left out, which makes the law too low where there are any; `fit_inverse_law` counts them.

    Raises:
        FitError: If the runs do not determine a law.
    """
    rows = gather(observations)
    return rows.law(least_squares(rows))


def fit_inverse_law(observations: Sequence[Observation]) -> LawFit:
    """Fit mean updates N = n_inf + alpha / M by interval-censored maximum likelihood.

    log N is Normal(log(n_inf + alpha / M) - s^2 / 2, s^2), so that N is the mean. A run between two evaluations
    contributes the probability of that interval, a run that never reached the target (a diverged one is such a run) the
    probability of needing longer, an exact one its density. n_inf and alpha are at least 0. The spread s falls with the
    batch size as far as the runs tell (`batchtime.spreads`).

    Intervals are where twice the fall of the profile log-likelihood stays below n log(1 + F / (n - 2)), with F the
    95 % point of F(1, n - 2) and n the runs that reached the target. In the normal linear model that is the exact t
    interval; the usual chi-square cutoff 3.84 is its limit for many runs and covers too little for few. A side on
    which even n_inf = 0 or alpha = 0 stays below the cutoff is open: None. The cutoff is the widest of three:

    - that one;
    - where seeds were run at several batch sizes, that one scaled by the variance that the scores summed by seed have
      against the one that the likelihood takes for granted (Chandler and Bate 2007). No test decides between the two:
      with few seeds it would rarely see what matters;
    - where batch sizes are off the law by more than their runs scatter (lack of fit, p < 0.01; counts in whole numbers
      are known to half an update there), the scatter of the batch sizes about the law in place of that of the runs,
      with two degrees of freedom fewer than batch sizes.

    `r2_examples` is 1 - (squares of M (mean - law)) / (squares of M mean about their average), the squares summed over
    batch sizes that all reached, and `leave_one_out_error` is over the same ones. The mean of runs known only to
    lie in intervals is, in these two, the mean of the middles.

    Args:
        observations: Runs at two or more batch sizes; censored runs count.

    Raises:
        FitError: If fewer than two batch sizes have a run that reached the target, or a value is impossible.
    """
    rows = rows_of(observations)
    best = most_likely_law(rows)
    scatter = scatter_about(best, observations)
    intervals = _law_intervals(best, scatter)
    whole = np.flatnonzero(rows.by_size(~rows.reached) == 0)
    left_out = _leave_one_out(best, whole)
    of_runs = scatter_of_runs(rows)
    shape = tuple(caveats.of_the_shape(best, of_runs))
    n = rows.n_reached
    return LawFit(
        law=rows.law(best.parameters),
        scatter=of_runs,
        misfit=misfit_of_means(best),
        intervals=intervals,
        r2_examples=_r2_examples(best, whole),
        leave_one_out_error=float(np.sqrt(np.mean((left_out / rows.means[whole] - 1) ** 2))) if len(left_out) else None,
        n_runs=len(observations),
        n_censored=len(observations) - n,
        batch_sizes=tuple(float(size) for size in rows.sizes),
        lack_of_fit=scatter.lack_of_fit,
        observations=tuple(observations),
        scatter_about=scatter,
        warnings=(
            *caveats.of_the_design(rows, observations),
            *caveats.of_the_scatter(scatter, whole),
            *(shape or caveats.of_open_sides(best, intervals.critical_batch_size)),
            *caveats.of_a_batch_size(rows, whole, left_out),
            *caveats.of_a_run(rows, observations),
        ),
    )


def _law_intervals(best: Maximum, scatter: Scatter) -> LawIntervals:
    """Return the 95 % intervals of n_inf, alpha and alpha / n_inf."""
    if not best.spread_known:
        return LawIntervals(n_inf=NOTHING, alpha=NOTHING, critical_batch_size=NOTHING)
    quantities = [Quantity(kind="mean"), Quantity(kind="alpha"), Quantity(kind="ratio")]
    found = profile_intervals(best, quantities, [scatter.cutoff(quantity) for quantity in quantities])
    updates, examples = best.rows.unit_updates, best.rows.unit_batch_size
    n_inf, alpha, critical_batch_size = (
        (finite(low * unit), finite(high * unit))
        for (low, high), unit in zip(found, (updates, updates * examples, examples), strict=True)
    )
    return LawIntervals(n_inf=n_inf, alpha=alpha, critical_batch_size=critical_batch_size)


def _leave_one_out(best: Maximum, whole: Indices) -> Array:
    """Return the mean updates predicted at each of some batch sizes by a fit without it; empty if too few are left."""
    rows = best.rows
    bounded = np.unique(rows.size[rows.bounded])
    if len(whole) == 0 or min(len(np.setdiff1d(bounded, [size])) for size in whole) < 2:
        return np.empty(0)
    laws = refitted(best, rows.counts * (rows.size != whole[:, None]))
    return np.asarray(laws[:, 0] + laws[:, 1] * rows.unit_batch_size / rows.sizes[whole])


def refitted(best: Maximum, weights: Array) -> Array:
    """Return the most likely parameters (B, 3) of the rows with other weights (B, R)."""
    start = np.tile(best.parameters, (len(weights), 1))
    start[:, 2] = np.maximum(start[:, 2], math.log(max(best.rows.floor, SMALLEST_START)))
    return maximise(best.rows, weights, law_model(best.rows), start)[0]


def _r2_examples(best: Maximum, whole: Indices) -> float | None:
    """Return R^2 of the mean examples about the law's straight line alpha + n_inf M."""
    if len(whole) < 3:
        return None
    sizes = best.rows.sizes[whole] / best.rows.unit_batch_size
    examples = best.rows.means[whole] * sizes
    line = best.parameters[1] + best.parameters[0] * sizes
    about_mean = float(np.sum((examples - examples.mean()) ** 2))
    return 1 - float(np.sum((examples - line) ** 2)) / about_mean if about_mean > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Mean updates predicted at one batch size, with a 95 % interval for the mean of `runs` new runs there."""

    batch_size: float
    mean: float
    interval: Interval
    runs: int | None


def predict_updates(fitted: LawFit, batch_sizes: Sequence[float], *, runs: int | None) -> tuple[Prediction, ...]:
    """Predict the mean updates of `runs` new runs at each of some batch sizes from a fitted law.

    The interval joins the profile-likelihood interval of the law at that batch size (cutoffs as in `fit_inverse_law`)
    and the scatter of the mean of new runs, t sqrt((exp(s^2) - 1) / runs) in log N, as the root of the sum of squares.
    The new runs count as independent of those fitted; with the same seeds the interval is wide rather than narrow.

    Args:
        fitted: What `fit_inverse_law` returned.
        batch_sizes: Where to predict; nothing is predicted at none.
        runs: Number of new runs whose mean is predicted; None for the law itself.

    Raises:
        FitError: If a batch size or `runs` is not more than 0.
    """
    for size in batch_sizes:
        if not 0 < size < math.inf:
            raise FitError(f"batch size {size!r} to predict at; allowed: finite and more than 0")
    if runs is not None and runs < 1:
        raise FitError(f"runs = {runs}; allowed: a whole number, at least 1, or None for the law itself")
    if len(batch_sizes) == 0:
        return ()
    scatter = fitted.scatter_about
    means = fitted.law.updates(np.array(batch_sizes, dtype=np.float64))
    reaches = np.full((len(means), 2), np.inf)
    if scatter is not None and scatter.law.spread_known:
        best, rows = scatter.law, scatter.law.rows
        n = rows.n_reached
        quantities = [Quantity(kind="mean", x=rows.unit_batch_size / size) for size in batch_sizes]
        ends = profile_intervals(best, quantities, [scatter.cutoff(quantity) for quantity in quantities])
        of_size = np.array([rows.relative[rows.size == k][0] for k in range(len(rows.sizes))])
        spread = best.spread * np.exp(np.interp(np.log(batch_sizes), np.log(rows.sizes), of_size))
        variance = np.expm1(np.minimum(spread**2 * n / (n - 2), 500.0))  # of one new run, over its mean squared
        new = np.zeros(len(means)) if runs is None else np.sqrt(f_point(n - 2) * variance / runs)
        reaches = np.hypot(np.log(np.array(ends) * rows.unit_updates / means[:, None]), new[:, None])
    return tuple(
        Prediction(batch_size=float(size), mean=float(mean), interval=around(mean, *reach), runs=runs)
        for size, mean, reach in zip(batch_sizes, means, reaches, strict=True)
    )
