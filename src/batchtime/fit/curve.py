"""From runs at several learning rates to one curve: estimate, intervals, rivals, and the best pair of both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from batchtime.errors import FitError
from batchtime.fit.curve_rivals import Rival, rivals_of
from batchtime.fit.likelihood import listed
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation, timings_of
from batchtime.fit.scatter import f_point
from batchtime.laws.curve import CurveLaw, Form
from batchtime.laws.quantity import Array, Interval, interval_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from batchtime.fit.face import TimedFit

TYPICAL_ERROR = 0.06
"""Standard error of a mean in log N where one run at each batch size leaves the scatter unknown."""
FARTHEST = 1e3
"""A pole beyond this many times the largest eta / M seen is a straight line."""
FORMS: tuple[Form, ...] = ("pole", "logarithm")
NO_LIFT = math.log(1e-6)
"""Logarithm of lift - 1 where there is none."""
NAMES = ("A", "alpha", "pole", "lift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The mean updates at one batch size and learning rate.

    Args:
        batch_size: Examples in a batch.
        learning_rate: Constant step size, or what a schedule makes of it at this batch size.
        mean: Mean updates to the target; None where it is not known.
        error: Standard error of its logarithm; None where the scatter is not known.
        runs: Runs made.
        censored: Of these, runs that did not reach the target.
    """

    batch_size: float
    learning_rate: float
    mean: float | None
    error: float | None
    runs: int
    censored: int

    @property
    def tau(self) -> float:
        """Learning rate over batch size."""
        return self.learning_rate / self.batch_size

    @property
    def whole(self) -> bool:
        """Whether every run reached the target, and the mean is known."""
        return self.mean is not None and self.censored == 0


def cells(runs: Mapping[float, Sequence[Observation]]) -> tuple[Cell, ...]:
    """Return the mean of each batch size at each learning rate, from runs by learning rate.

    Raises:
        FitError: If a learning rate is not finite and more than 0, or a run is impossible.
    """
    found: list[Cell] = []
    for rate, seen in sorted(runs.items()):
        if not 0 < rate < math.inf:
            raise FitError(f"learning_rate = {rate!r}; allowed: finite and more than 0; correct the rows that have it")
        means = mean_updates(seen)
        reached = sum(run.upper is not None for run in seen)
        t = math.sqrt(f_point(max(reached - sum(one.mean is not None for one in means), 1)))
        for one in means:
            high = one.interval[1]
            error = None if high is None or one.mean is None else math.log(high / one.mean) / t
            found.append(
                Cell(
                    batch_size=one.batch_size,
                    learning_rate=rate,
                    mean=one.mean,
                    error=error,
                    runs=one.n_runs,
                    censored=one.n_censored,
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFit:
    """One curve fitted to the means at several batch sizes and learning rates.

    Args:
        law: Point estimate.
        intervals: 95 %, by "A", "alpha", "pole" and "lift"; None on a side that is open.
        rms: Root mean square of log(mean / curve) over the cells fitted.
        misfit: What of it is beyond the sampling error of the means.
        lack_of_fit: p-value that the means stand off the curve by no more than their runs scatter.
        left_out: By learning rate, the rms of log(mean / curve) of its cells by a curve fitted without them; only
            learning rates between others, or next to them, whose cells overlap with theirs.
        rivals: The curve itself first.
        cells: Those fitted.
        covariance: (4, 4) of the logarithms of A, alpha, 1 / pole and of lift - 1 in units of 1, for draws.
        warnings: What to know before trusting it.
        runs: By learning rate; None where means were given.
    """

    law: CurveLaw
    intervals: Mapping[str, Interval]
    rms: float
    misfit: float
    lack_of_fit: float | None
    left_out: Mapping[float, float]
    rivals: tuple[Rival, ...]
    cells: tuple[Cell, ...]
    covariance: tuple[tuple[float, ...], ...]
    warnings: tuple[str, ...]
    runs: Mapping[float, Sequence[Observation]] | None = field(default=None, repr=False, compare=False)

    def with_timings(self, timings: pd.DataFrame) -> "TimedFit":
        """Return the training time of these runs with timed updates: a frame with columns batch_size and seconds."""
        from batchtime.fit.face import TimedFit

        if self.runs is None:
            raise FitError("this curve was fitted to means without their runs; fit a frame of runs")
        return TimedFit(runs=self.runs, timings=timings_of(timings))

    def to_dict(self) -> dict[str, object]:
        """Return what `fit --json` says of the curve."""
        names = {name: _finite(getattr(self.law, name)) for name in NAMES}
        return {
            **names,
            "largest_learning_rate": self.law.largest_learning_rate,
            "intervals": {name: list(self.intervals[name]) for name in NAMES},
            "misfit": self.misfit,
            "form": self.law.form,
        }

    def summary(self) -> pd.DataFrame:
        """Return A, alpha, pole and lift as a frame: index quantity; estimate, low, high, unit."""
        rows = [(name, getattr(self.law, name), *self.intervals[name], unit) for name, unit in _UNITS.items()]
        columns = ["quantity", "estimate", "low", "high", "unit"]
        return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float}).set_index("quantity")

    def predict(self, batch_sizes: Sequence[float], *, learning_rate: float) -> pd.DataFrame:
        """Return the curve's mean updates as a frame: batch_size, learning_rate, updates.

        Intervals, and seconds, come from `with_timings(...).predict`.
        """
        updates = [self.law.updates(float(size), learning_rate) for size in batch_sizes]
        return pd.DataFrame(
            {"batch_size": batch_sizes, "learning_rate": learning_rate, "updates": updates}, dtype=float
        )

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw learning rate times updates against learning rate over batch size; needs the extra `plot`."""
        from batchtime.fit.plot import plot_curve

        return plot_curve(self, axes)

    def __str__(self) -> str:
        """Return what `batchtime fit` prints of runs at several learning rates."""
        lines = [f"one curve N = g(eta) Phi(eta / M) / eta through {len(self.cells)} means"]
        lines += [
            f"  {name:20}{getattr(self.law, name):10.4g} {unit:14} 95 % interval {interval_text(self.intervals[name])}"
            for name, unit in _UNITS.items()
        ]
        lines.append(
            f"  the means stand {100 * self.rms:.2g} % off it (rms), {100 * self.misfit:.2g} % beyond sampling"
        )
        lines += [
            f"  learning rate {rate:g} left out: predicted to {100 * error:.2g} % (rms)"
            for rate, error in self.left_out.items()
        ]
        lines += [f"  {one.name}: rms {100 * one.rms:.2g} %, {one.parameters} parameters" for one in self.rivals[1:]]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


_UNITS = {"A": "eta N", "alpha": "examples", "pole": "eta / M", "lift": "times"}


class _Data(NamedTuple):
    rate: Array
    tau: Array
    log: Array  # of eta N
    variance: Array  # of the log mean, from the scatter of runs
    largest: float


class _Profile(NamedTuple):
    data: _Data
    form: Form
    misfit: float
    wanted: float  # weighted squares at the ends of an interval


def fit_curve(
    runs: Mapping[float, Sequence[Observation]] | Sequence[Cell], *, one_rate: bool = False, full: bool = True
) -> CurveFit:
    """Fit N(M, eta) = g(eta) Phi(eta / M) / eta to the means of all cells whose runs all reached the target.

    Least squares of log(mean / curve), each weighted by its sampling variance and one misfit variance for all, which is
    what makes the weighted squares as large as their degrees of freedom. Both forms of Phi are fitted, the likelier is
    kept. Intervals are where the profiled squares rise by the F point of (1, cells - parameters).

    Args:
        runs: Runs by learning rate; or cells.
        one_rate: Whether one learning rate will do: there is no lift then, and what the curve says of other learning
            rates and of schedules rests on eta / M alone.
        full: Whether intervals, left-out errors and rivals are wanted; they take most of the time.

    Raises:
        FitError: If fewer than two learning rates have a cell that all runs reached, none of them overlap in eta / M,
            or fewer than five cells are left.
    """
    seen = cells(runs) if isinstance(runs, Mapping) else tuple(runs)
    used = _usable(seen, one_rate=one_rate)
    data = _data(used)
    tried = _tried(data)
    law, parameters, misfit, hessian = _best(data, tried)
    residual = _residual(data, parameters, law.form)
    freedom = max(len(used) - len(parameters), 1)
    plain = float(np.sum(residual**2 / data.variance))
    return CurveFit(
        law=law,
        intervals=_intervals(data, tried, freedom) if full else {},
        rms=float(np.sqrt(np.mean(residual**2))),
        misfit=misfit,
        lack_of_fit=float(chdtrc(freedom, plain)) if all(one.error is not None for one in used) else None,
        left_out=_left_out(used) if full else {},
        rivals=rivals_of(data.rate, data.tau, data.log, data.variance, residual=residual, parameters=len(parameters))
        if full
        else (),
        cells=used,
        covariance=tuple(tuple(float(v) for v in row) for row in hessian),
        warnings=tuple(_warnings(seen, used, law)),
    )


def _usable(seen: Sequence[Cell], *, one_rate: bool) -> tuple[Cell, ...]:
    """Return the cells that can be fitted; refuse those that make no curve."""
    used = tuple(one for one in seen if one.whole)
    rates = sorted({one.learning_rate for one in used})
    if not used:
        raise FitError(
            f"no cell of {len(seen)} had all its runs reach the target: all lie past the pole or the largest step; "
            "take smaller learning rates or larger batches"
        )
    if len(rates) == 1 and not one_rate:
        raise FitError(
            f"only learning rate {rates[0]:g} has batch sizes at which all runs reached the target; a curve needs two"
        )
    if len(used) < 5:
        raise FitError(f"{len(used)} cells had all their runs reach the target; a curve of 3 parameters needs 5")
    spans = {
        rate: (min(o.tau for o in used if o.learning_rate == rate), max(o.tau for o in used if o.learning_rate == rate))
        for rate in rates
    }
    apart = [
        rate
        for rate, (low, high) in spans.items()
        if not any(low <= 1.001 * h and high >= 0.999 * o for other, (o, h) in spans.items() if other != rate)
    ]
    if len(apart) == len(rates) > 1 and max(sum(o.learning_rate == r for o in used) for r in rates) > 1:
        raise FitError(
            f"the learning rates {listed(rates)} do not overlap in learning rate / batch size, so that no two are on "
            "one stretch of a curve; run larger batches at the larger rates"
        )
    return used


def _data(used: Sequence[Cell]) -> _Data:
    rate = np.array([one.learning_rate for one in used])
    size = np.array([one.batch_size for one in used])
    mean = np.array([one.mean for one in used], dtype=np.float64)
    error = np.array([TYPICAL_ERROR if one.error is None else max(one.error, 1e-3) for one in used])
    return _Data(rate, rate / size, np.log(rate * mean), error**2, float(rate.max()))


def _law(parameters: Array, form: Form, largest: float) -> CurveLaw:
    """Return the curve of log A, log alpha, log(1 / pole) and log(lift - 1)."""
    a, alpha, inverse, lift = np.exp(np.clip(parameters, -80, 80))
    return CurveLaw(
        A=float(a),
        alpha=float(alpha),
        pole=float(1 / inverse),
        lift=float(1 + lift),
        largest_learning_rate=largest,
        form=form,
    )


def _residual(data: _Data, parameters: Array, form: Form) -> Array:
    law = _law(parameters, form, data.largest)
    with np.errstate(all="ignore"):
        value = np.log(law.factor(data.rate) * law.distance(data.tau))
    # A pole among the cells is as bad as a mean off by exp(20).
    return np.asarray(
        data.log - np.where(np.isfinite(value), np.minimum(value, data.log.max() + 20), data.log.max() + 20)
    )


def _fitted(
    data: _Data, form: Form, misfit: float, start: Array, fixed: tuple[int, float] | None = None
) -> tuple[Array, float]:
    """Return the parameters of least weighted squares, one of them fixed, and these squares."""
    weight = 1 / np.sqrt(data.variance + misfit**2)
    free = [k for k in range(4) if fixed is None or k != fixed[0]]
    if np.ptp(data.rate) == 0:
        free = [k for k in free if k != 3]
    low = np.array([-60.0, -60.0, math.log(1 / (FARTHEST * data.tau.max())), NO_LIFT])
    high = np.array([60.0, 60.0, math.log(1 / (1.0001 * data.tau.max())), math.log(1e3)])

    def full(some: Array) -> Array:
        every = np.full(4, NO_LIFT)
        every[free] = some
        if fixed is not None:
            every[fixed[0]] = fixed[1]
        return every

    def weighted(some: Array) -> Array:
        return weight * _residual(data, full(some), form)

    from scipy.optimize import least_squares

    found = least_squares(
        weighted,
        np.clip(start[free], low[free] + 1e-9, high[free] - 1e-9),
        bounds=(low[free], high[free]),
        x_scale="jac",
        max_nfev=60,
    )
    return full(found.x), float(2 * found.cost)


def _starts(data: _Data) -> list[Array]:
    level = float(data.log.min())
    order = np.argsort(data.tau)
    slope = math.log(max(math.exp(float(data.log[order[-1]])) / 2, 1e-9) / data.tau.max())
    return [np.array([level, slope, math.log(1 / (far * data.tau.max())), math.log(0.1)]) for far in (1.2, 3.0, 50.0)]


class _Tried(NamedTuple):
    """A form at its best: twice the negative log-likelihood, the parameters, the misfit and the weighted squares."""

    loss: float
    form: Form
    parameters: Array
    misfit: float
    squares: float


def _tried(data: _Data) -> list[_Tried]:
    """Return both forms at their best, the likelier first."""
    tried = []
    for form in FORMS:
        misfit = 0.03
        parameters, squares = min((_fitted(data, form, misfit, start) for start in _starts(data)), key=lambda f: f[1])
        for _ in range(3):
            misfit = _misfit(data, _residual(data, parameters, form))
            parameters, squares = _fitted(data, form, misfit, parameters)
        loss = squares + float(np.log(data.variance + misfit**2).sum())
        tried.append(_Tried(loss, form, parameters, misfit, squares))
    return sorted(tried, key=lambda one: one.loss)


def _best(data: _Data, tried: Sequence[_Tried]) -> tuple[CurveLaw, Array, float, Array]:
    """Return the curve of the likelier form, its parameters, its misfit and the covariance of the parameters."""
    _, form, parameters, misfit, _ = tried[0]
    steps = 1e-4 * np.eye(4)
    above, below = (
        np.stack([_residual(data, parameters + sign * step, form) for step in steps], axis=1) for sign in (1, -1)
    )
    slopes = (above - below) / 2e-4
    weighted = slopes / np.sqrt(data.variance + misfit**2)[:, None]
    # A parameter that the cells do not tell (a pole far away, no lift) is left where it is, to a factor of e.
    covariance = np.asarray(np.linalg.inv(weighted.T @ weighted + np.eye(4)), dtype=np.float64)
    return _law(parameters, form, data.largest), parameters, misfit, covariance


def _misfit(data: _Data, residual: Array) -> float:
    """Return the standard deviation about the curve beyond sampling: weighted squares are then their freedom."""
    from scipy.optimize import brentq

    freedom = max(len(residual) - 4, 1)

    def excess(misfit: float) -> float:
        return float(np.sum(residual**2 / (data.variance + misfit**2))) - freedom

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, 10 + float(np.abs(residual).max()) * 10))


def _intervals(data: _Data, tried: Sequence[_Tried], freedom: int) -> dict[str, Interval]:
    """Return the 95 % profile intervals, the form being profiled too; a side that is open is None."""
    cutoff = f_point(freedom) * max(1.0, tried[0].squares / freedom)
    sides: dict[str, list[list[float]]] = {name: [[], []] for name in NAMES}
    for one in tried:
        left = cutoff - (one.loss - tried[0].loss)
        if left <= 0:
            continue
        profile = _Profile(data, one.form, one.misfit, one.squares + left)
        for k, name in enumerate(NAMES):
            for side, sign in enumerate((-1.0, 1.0)):
                end = _end(profile, one.parameters, k, sign)
                sides[name][side].append(sign * math.inf if end is None else end)
    found: dict[str, Interval] = {}
    for name, (lows, highs) in sides.items():
        low, high = min(lows), max(highs)
        if name == "pole":  # its inverse was fitted
            low, high = -high, -low
        below, above = (None if math.isinf(end) else math.exp(end) for end in (low, high))
        if name == "lift":
            below, above = 1 + (below or 0.0), None if above is None else 1 + above
        found[name] = (below, above)
    return found


def _end(profile: _Profile, parameters: Array, k: int, side: float) -> float | None:
    """Return where the profile of parameter k passes the wanted squares on one side; None where it never does."""
    data, form, misfit, wanted = profile
    limits = (math.log(1 / (FARTHEST * data.tau.max())), math.log(1 / (1.0001 * data.tau.max())))
    from scipy.optimize import brentq

    start = parameters.copy()

    def above(value: float) -> float:
        nonlocal start
        start, squares = _fitted(data, form, misfit, start, (k, value))
        return squares - wanted

    near, reach = float(parameters[k]), 0.02
    for _ in range(12):
        far = float(parameters[k]) + side * reach
        if k == 2:
            far = min(max(far, limits[0]), limits[1])
        if k == 3 and (far < NO_LIFT or np.ptp(data.rate) == 0):
            return None
        if above(far) > 0 and above(near) >= 0:  # another start found less: the profile passes at once
            return near
        if above(far) > 0:
            return float(brentq(above, min(near, far), max(near, far), xtol=1e-3))
        if k == 2 and far in limits:
            return far if side > 0 else None
        near, reach = far, 2 * reach
    return None


def _left_out(used: Sequence[Cell]) -> dict[float, float]:
    """Return the error at each learning rate by a curve fitted to the others, where its eta / M lie among theirs."""
    errors: dict[float, float] = {}
    rates = sorted({one.learning_rate for one in used})
    if len(rates) < 3:
        return errors
    for rate in rates:
        rest = [one for one in used if one.learning_rate != rate]
        most = max(one.tau for one in rest)
        here = [one for one in used if one.learning_rate == rate and one.tau <= most * 1.0001]
        if len(rest) < 5 or not here:
            continue
        part = _data(rest)
        best = _tried(part)[0]
        law = _law(best.parameters, best.form, part.largest)
        off = [math.log(one.mean / law.updates(one.batch_size, rate)) for one in here if one.mean is not None]
        errors[rate] = float(np.sqrt(np.mean(np.square(off))))
    return errors


def _warnings(seen: Sequence[Cell], used: Sequence[Cell], law: CurveLaw) -> list[str]:
    said = []
    lost = [one for one in seen if not one.whole]
    if lost:
        said.append(
            f"{len(lost)} of {len(seen)} cells are not fitted, as not all their runs reached the target: "
            + ", ".join(f"({one.batch_size:g}, {one.learning_rate:g})" for one in lost[:6])
            + (" ..." if len(lost) > 6 else "")
            + " (batch size, learning rate)."
        )
    if law.pole > 20 * max(one.tau for one in used):
        said.append("No pole is seen: smaller batches, or larger learning rates at the smallest, would show it.")
    return said


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# The best pair


def log_middle(law: CurveLaw) -> Array:
    """Return the logarithms of A, alpha, 1 / pole and lift - 1, about which curves are drawn."""
    return np.log([law.A, law.alpha, 1 / law.pole, max(law.lift - 1, math.exp(NO_LIFT))])
