"""From runs to laws: mean updates N(M) = n_inf + alpha / M and seconds per update, each with its uncertainty.

The order is the order of reading: what is refused, the likelihood of runs and its maximum, the law with its intervals,
the bootstrap, predictions, and last the time per update. Inside, updates and batch sizes are in units of their own
geometric middles, so that no result depends on a unit; x is 1 / M in those units.
Shapes: R rows (distinct batch size and interval), B fits done at once, P parameters of the mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, fdtri, log_ndtr

from batchtime.records import (
    Array,
    BatchtimeError,
    Interval,
    InverseLaw,
    LawFit,
    LawIntervals,
    Observation,
    UpdateTime,
    UpdateTiming,
)

LEVEL = 0.95
"""Every interval of this module is a 95 % interval."""

LOG_SQRT_2PI = math.log(math.sqrt(2 * math.pi))
SMALLEST_SPREAD = 1e-7
LARGEST_SPREAD = 3.0
HOPELESS_SPREAD = 2.0
"""From this spread on (runs a factor of 7 apart, the mean 7 times the median) no law is said to describe the runs."""
NARROW = 1e-4
"""Below this width in standard deviations an interval counts as a density at its middle (relative error 1e-9)."""

Parameter = Literal["n_inf", "alpha", "ratio", "mean"]


def _f_point(freedom: int) -> float:
    """Return the 95 % point of F(1, freedom): the square of the two-sided t point."""
    return float(fdtri(1, freedom, LEVEL))


class FitError(BatchtimeError):
    """Runs or timings that do not determine a law; the message names what, the value and the remedy."""


# ----------------------------------------------------------------------------------------------------------------------
# Runs, checked and gathered


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Runs in units of their own middles, equal ones counted once; exact rows first."""

    sizes: Array  # (K,) distinct batch sizes, increasing
    size: npt.NDArray[np.intp]  # (R,) position in `sizes`
    x: Array  # (R,) unit_batch_size / M
    log_lower: Array  # (R,) -inf where only an upper bound is known
    log_upper: Array  # (R,) +inf where censored
    exact: int  # rows 0 .. exact - 1 are exact
    counts: Array  # (R,) runs
    row_of: npt.NDArray[np.intp]  # (runs,) row of each run, in the order given
    unit_batch_size: float
    unit_updates: float
    floor: float  # least spread that these rows can tell from zero

    @property
    def reached(self) -> npt.NDArray[np.bool_]:
        """Whether each row reached the target."""
        return np.isfinite(self.log_upper)

    @property
    def n_reached(self) -> int:
        """Runs that reached the target."""
        return int(self.counts[self.reached].sum())

    def law(self, parameters: Array) -> InverseLaw:
        """Return the law of scaled parameters (n_inf, alpha, ...)."""
        n_inf = float(parameters[0]) * self.unit_updates
        return InverseLaw(n_inf=n_inf, alpha=float(parameters[1]) * self.unit_updates * self.unit_batch_size)


def _listed(values: Sequence[float] | Array) -> str:
    """Return batch sizes as a reader writes them, at most eight."""
    shown = [f"{value:g}" for value in values]
    return "[" + ", ".join(shown if len(shown) <= 8 else [*shown[:7], "...", shown[-1]]) + "]"


def _check_observation(run: Observation) -> None:
    """Refuse one run with values that no run can have."""
    where = f"the run at batch size {run.batch_size!r}" + ("" if run.seed is None else f", seed {run.seed}")
    if not (math.isfinite(run.batch_size) and run.batch_size > 0):
        raise FitError(f"{where}: a batch size is finite and more than 0; correct this row")
    if not (math.isfinite(run.lower) and run.lower >= 0):
        raise FitError(f"{where}: lower = {run.lower!r} updates; allowed: finite and at least 0; correct this row")
    if run.upper is None:
        return
    if not (math.isfinite(run.upper) and run.upper > 0):
        raise FitError(
            f"{where}: upper = {run.upper!r} updates; allowed: finite and more than 0, or None where the target was "
            "not reached; correct this row"
        )
    if run.lower > run.upper:
        raise FitError(
            f"{where}: lower = {run.lower!r} is more than upper = {run.upper!r} updates; swap or correct them"
        )


def _gather(observations: Sequence[Observation]) -> _Rows:
    """Check the runs and count equal ones once.

    Raises:
        FitError: If they do not determine a law.
    """
    if len(observations) == 0:
        raise FitError("0 runs to fit; give at least one run that reached the target at each of two batch sizes")
    for run in observations:
        _check_observation(run)
    reached = sorted({run.batch_size for run in observations if run.upper is not None})
    if not reached:
        spent = max(run.lower for run in observations)
        raise FitError(
            f"all {len(observations)} runs are censored (the longest at {spent:g} updates): none reached the target; "
            "raise the budget or choose an easier target"
        )
    if len(reached) < 2:
        raise FitError(
            f"runs reached the target only at batch size {_listed(reached)}; a law needs two distinct batch sizes: "
            "add runs at another one"
        )
    bounded = sorted({run.batch_size for run in observations if run.upper is not None and run.lower > 0})
    if len(bounded) < 2:
        raise FitError(
            f"only at batch sizes {_listed(bounded)} is the target known to be reached after some update, elsewhere "
            "before the first evaluation; evaluate earlier or choose a harder target"
        )
    keys = [(not _is_exact(run), float(run.batch_size), float(run.lower), _upper(run)) for run in observations]
    distinct = sorted(set(keys))
    position = {key: row for row, key in enumerate(distinct)}
    row_of = np.array([position[key] for key in keys], dtype=np.intp)
    columns = np.array(distinct, dtype=np.float64)  # (R, 4)
    exact = int((columns[:, 0] == 0).sum())
    sizes, size = np.unique(columns[:, 1], return_inverse=True)
    with np.errstate(divide="ignore"):
        log_lower, log_upper = np.log(columns[:, 2]), np.log(columns[:, 3])
    known = np.where(np.isfinite(log_upper), log_upper, log_lower)
    unit_updates = float(np.exp(np.median(known[np.isfinite(log_upper)])))
    unit_batch_size = float(np.sqrt(sizes[0]) * np.sqrt(sizes[-1]))
    widths = (log_upper - log_lower)[exact:]
    widths = widths[np.isfinite(widths)]
    # An interval of width d cannot tell spreads below about d / 10 apart.
    floor = SMALLEST_SPREAD if exact or not len(widths) else max(SMALLEST_SPREAD, 0.02 * float(widths.min()))
    return _Rows(
        sizes=sizes,
        size=size.astype(np.intp),
        x=unit_batch_size / columns[:, 1],
        log_lower=log_lower - math.log(unit_updates),
        log_upper=log_upper - math.log(unit_updates),
        exact=exact,
        counts=np.bincount(row_of, minlength=len(distinct)).astype(np.float64),
        row_of=row_of,
        unit_batch_size=unit_batch_size,
        unit_updates=unit_updates,
        floor=floor,
    )


def _is_exact(run: Observation) -> bool:
    """Return whether the bounds of a run are equal to rounding."""
    return run.upper is not None and run.upper - run.lower <= 1e-12 * run.upper


def _upper(run: Observation) -> float:
    return math.inf if run.upper is None else float(run.upper)


# ----------------------------------------------------------------------------------------------------------------------
# The likelihood of a run and its derivatives


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Terms:
    """Log-likelihood of each row and its derivatives by location m and log spread tau, all (B, R)."""

    value: Array
    m: Array
    tau: Array
    m_m: Array
    m_tau: Array
    tau_tau: Array


def _density_terms(z: Array, tau: Array) -> _Terms:
    """Return the terms of exact observations: the log density of log N (tau is (B, 1))."""
    inverse = np.exp(-tau)
    return _Terms(
        value=-0.5 * z * z - LOG_SQRT_2PI - tau,
        m=z * inverse,
        tau=z * z - 1,
        m_m=np.broadcast_to(-inverse * inverse, z.shape),
        m_tau=-2 * z * inverse,
        tau_tau=-2 * z * z,
    )


def _log_probability(low: Array, high: Array) -> Array:
    """Return log(Phi(high) - Phi(low)), in logs and in the left tail, where no digits are lost."""
    right = low > 0
    low, high = np.where(right, -high, low), np.where(right, -low, high)
    upper = log_ndtr(high)
    return np.asarray(upper + np.log(-np.expm1(log_ndtr(low) - upper)), dtype=np.float64)


def _interval_terms(low: Array, high: Array, tau: Array, *, width: Array) -> _Terms:
    """Return the terms of observations between two bounds, either of which may be infinite, `width` apart in log N."""
    inverse = np.exp(-tau)
    narrow = width * inverse < NARROW
    some_narrow = bool(narrow.any())
    value = _log_probability(low, high)
    # phi(z) / probability, in logs; 0 at infinite bounds, where z itself then counts as 0.
    ratio_low = np.exp(-0.5 * low * low - LOG_SQRT_2PI - value)
    ratio_high = np.exp(-0.5 * high * high - LOG_SQRT_2PI - value)
    z_low, z_high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    first_low, first_high = z_low * ratio_low, z_high * ratio_high
    second_low, second_high = z_low * first_low, z_high * first_high
    m = (ratio_low - ratio_high) * inverse
    by_tau = first_low - first_high
    terms = _Terms(
        value=value,
        m=m,
        tau=by_tau,
        m_m=by_tau * inverse * inverse - m * m,
        m_tau=(second_low - second_high) * inverse - m - m * by_tau,
        tau_tau=z_low * second_low - z_high * second_high - by_tau - by_tau * by_tau,
    )
    if not some_narrow:
        return terms
    middle = np.where(narrow, (low + high) / 2, 0.0)
    density = _density_terms(middle, tau)
    return _Terms(
        value=np.where(narrow, density.value + np.log(width), terms.value),
        m=np.where(narrow, density.m, terms.m),
        tau=np.where(narrow, density.tau, terms.tau),
        m_m=np.where(narrow, density.m_m, terms.m_m),
        m_tau=np.where(narrow, density.m_tau, terms.m_tau),
        tau_tau=np.where(narrow, density.tau_tau, terms.tau_tau),
    )


@np.errstate(all="ignore")
def _terms(rows: _Rows, mean: Array, tau: Array) -> _Terms:
    """Return the terms of every row at given mean updates (B, R) and log spread (B, 1).

    log N ~ Normal(m, s^2) with m = log(mean) - s^2 / 2, which makes `mean` the mean of N.
    """
    spread = np.exp(tau)
    m = np.log(mean) - spread * spread / 2
    exact = rows.exact
    parts = []
    if exact:
        parts.append(_density_terms((rows.log_upper[:exact] - m[:, :exact]) / spread, tau))
    if exact < len(rows.x):
        low = (rows.log_lower[exact:] - m[:, exact:]) / spread
        high = (rows.log_upper[exact:] - m[:, exact:]) / spread
        width = rows.log_upper[exact:] - rows.log_lower[exact:]
        parts.append(_interval_terms(low, high, tau, width=width))
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    return _Terms(
        value=np.concatenate((first.value, second.value), axis=1),
        m=np.concatenate((first.m, second.m), axis=1),
        tau=np.concatenate((first.tau, second.tau), axis=1),
        m_m=np.concatenate((first.m_m, second.m_m), axis=1),
        m_tau=np.concatenate((first.m_tau, second.m_tau), axis=1),
        tau_tau=np.concatenate((first.tau_tau, second.tau_tau), axis=1),
    )


# ----------------------------------------------------------------------------------------------------------------------
# The maximum of the likelihood, for many data sets or constraints at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """Mean updates base + design . u, for B fits (a leading 1 is shared by all of them)."""

    base: Array  # (B or 1, R)
    design: Array  # (B or 1, R, P)
    largest: Array  # (P,) largest u allowed; the least is 0

    def mean(self, parameters: Array) -> Array:
        """Return the mean updates (B, R)."""
        moving: Array = np.matmul(self.design, parameters[:, :-1, None])[:, :, 0]
        return self.base + moving

    def of(self, fits: npt.NDArray[np.intp]) -> "_Model":
        """Return the model of some of the fits."""
        return _Model(base=_some(self.base, fits), design=_some(self.design, fits), largest=self.largest)


def _some(values: Array, fits: npt.NDArray[np.intp]) -> Array:
    """Return the values of some fits; a leading 1 is shared by all."""
    return values if len(values) == 1 else values[fits]


def _inverse_law_model(rows: _Rows) -> _Model:
    """Return the mean n_inf + alpha x."""
    design = np.stack((np.ones_like(rows.x), rows.x), axis=1)[None]
    return _Model(base=np.zeros((1, len(rows.x))), design=design, largest=np.full(2, np.inf))


@np.errstate(all="ignore")  # a trial step may leave the floating-point numbers: its value is then -inf
def _evaluate(rows: _Rows, weights: Array, model: _Model, parameters: Array) -> tuple[Array, Array, Array]:
    """Return log-likelihood (B,), gradient (B, P + 1) and Hessian (B, P + 1, P + 1) by (u, log spread)."""
    mean = model.mean(parameters)
    tau = parameters[:, -1:]
    terms = _terms(rows, mean, tau)
    variance = np.exp(2 * tau)
    slope = model.design / mean[:, :, None]  # dm / du, (B, R, P)
    by_m = weights * terms.m
    by_mean = weights * (terms.m_m - terms.m)
    cross = weights * (terms.m_tau - variance * terms.m_m)
    by_tau = weights * (terms.tau - variance * terms.m)
    by_tau_tau = weights * (
        terms.tau_tau - 2 * variance * terms.m_tau + variance * variance * terms.m_m - 2 * variance * terms.m
    )
    size = parameters.shape[1]
    gradient = np.empty((len(parameters), size))
    hessian = np.empty((len(parameters), size, size))
    transposed = slope.transpose(0, 2, 1)
    gradient[:, :-1] = np.matmul(transposed, by_m[:, :, None])[:, :, 0]
    gradient[:, -1] = by_tau.sum(axis=1)
    hessian[:, :-1, :-1] = np.matmul(transposed * by_mean[:, None, :], slope)
    hessian[:, :-1, -1] = hessian[:, -1, :-1] = np.matmul(transposed, cross[:, :, None])[:, :, 0]
    hessian[:, -1, -1] = by_tau_tau.sum(axis=1)
    value = (weights * terms.value).sum(axis=1)
    good = np.isfinite(value) & np.isfinite(gradient).all(axis=1) & np.isfinite(hessian).all(axis=(1, 2))
    return np.where(good, value, -np.inf), gradient, hessian


def _newton_step(gradient: Array, hessian: Array, free: npt.NDArray[np.bool_]) -> Array:
    """Return an uphill step: Newton's where the likelihood is concave, with |curvature| elsewhere."""
    gradient = np.where(free, gradient, 0.0)
    both = free[:, :, None] & free[:, None, :]
    curvature = np.where(both, -hessian, 0.0)
    diagonal = np.einsum("bpp->bp", curvature)
    scale = np.sqrt(np.maximum(np.abs(diagonal), 1e-12))
    scaled = curvature / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(scaled)
    inverse = 1 / np.maximum(np.abs(values), 1e-9)
    rotated = np.matmul(vectors.transpose(0, 2, 1), (gradient / scale)[:, :, None])
    step: Array = np.matmul(vectors, rotated * inverse[:, :, None])[:, :, 0] / scale
    return np.where(free, step, 0.0)


def _maximise(rows: _Rows, weights: Array, model: _Model, start: Array) -> tuple[Array, Array]:
    """Return the parameters (B, P + 1) of greatest likelihood, and that log-likelihood (B,).

    Projected Newton steps with backtracking: u between 0 and `model.largest`, the spread between its floor and 3.
    """
    least = np.append(np.zeros_like(model.largest), math.log(rows.floor))
    largest = np.append(model.largest, math.log(LARGEST_SPREAD))
    parameters = np.clip(start, least, largest)
    value, gradient, hessian = _evaluate(rows, weights, model, parameters)
    fits = np.arange(len(parameters))
    for _ in range(60):
        here = parameters[fits]
        slope = gradient[fits]
        free = ~(((here <= least) & (slope <= 0)) | ((here >= largest) & (slope >= 0)))
        step = _newton_step(slope, hessian[fits], free)
        shrink = np.minimum(1.0, 2.0 / np.maximum(np.abs(step[:, -1]), 1e-300))
        step *= shrink[:, None]
        promised = (np.where(free, slope, 0.0) * step).sum(axis=1)
        going = promised > 1e-12
        fits, here, step, promised = fits[going], here[going], step[going], promised[going]
        if not len(fits):
            break
        waiting = np.arange(len(fits))
        moved = np.zeros(len(fits), dtype=bool)
        length = 1.0
        for _ in range(25):
            chosen = fits[waiting]
            trial = np.clip(here[waiting] + length * step[waiting], least, largest)
            found = _evaluate(rows, _some(weights, chosen), model.of(chosen), trial)
            wanted = value[chosen] + 1e-4 * length * promised[waiting]
            # Near the top the promised gain drowns in rounding: a step that loses nothing is taken.
            wanted = np.where(promised[waiting] < 1e-6, value[chosen] - 1e-11 * (1 + np.abs(value[chosen])), wanted)
            better = found[0] >= wanted
            taken = chosen[better]
            parameters[taken], value[taken] = trial[better], found[0][better]
            gradient[taken], hessian[taken] = found[1][better], found[2][better]
            moved[waiting[better]] = True
            waiting = waiting[~better]
            if not len(waiting):
                break
            length /= 3
        fits = fits[moved]
        if not len(fits):
            break
    return parameters, value


# ----------------------------------------------------------------------------------------------------------------------
# The law


def least_squares_law(observations: Sequence[Observation]) -> InverseLaw:
    """Return the law of least squared relative residuals of the mean updates of each batch size, in closed form.

    The classroom version: minimises sum_i n_i ((n_inf + alpha / M_i) / mean_i - 1)^2 over n_inf >= 0, alpha >= 0, where
    mean_i is over the n_i runs at M_i that reached the target, an interval counting as its middle. Censored runs are
    left out, which makes the law too low where there are any; `fit_inverse_law` counts them.

    Raises:
        FitError: If the runs do not determine a law.
    """
    rows = _gather(observations)
    start = _least_squares(rows, rows.counts)
    return rows.law(start)


def _middles(rows: _Rows) -> Array:
    """Return the middle of each row's interval in scaled updates; the lower bound where censored."""
    lower = np.exp(rows.log_lower)
    return np.where(rows.reached, (lower + np.exp(rows.log_upper)) / 2, lower)


def _batch_means(rows: _Rows, weights: Array) -> tuple[Array, Array]:
    """Return (K,) the mean of the runs that reached the target at each batch size, and their number."""
    counts: Array = np.bincount(rows.size, weights=weights * rows.reached, minlength=len(rows.sizes)).astype(np.float64)
    middles = np.where(rows.reached, _middles(rows), 0.0)
    totals = np.bincount(rows.size, weights=weights * middles, minlength=len(rows.sizes))
    return totals / np.maximum(counts, 1e-300), counts


def _least_squares(rows: _Rows, weights: Array) -> Array:
    """Return scaled (n_inf, alpha) of least squared relative residuals, both at least 0."""
    means, counts = _batch_means(rows, weights)
    used = counts > 0
    means, counts = means[used], counts[used]
    n_inf, alpha = _relative_line(rows.unit_batch_size / rows.sizes[used], means, counts)
    return np.array([n_inf, alpha])


def _relative_line(x: Array, y: Array, weights: Array) -> tuple[float, float]:
    """Return the line a + b x, a >= 0 and b >= 0, of least squared relative residuals (a + b x) / y - 1."""
    p, q = 1 / y, x / y
    pp, pq, qq = float(weights @ (p * p)), float(weights @ (p * q)), float(weights @ (q * q))
    p1, q1 = float(weights @ p), float(weights @ q)
    determinant = pp * qq - pq * pq
    if determinant > 1e-14 * pp * qq:
        intercept, slope = (p1 * qq - q1 * pq) / determinant, (q1 * pp - p1 * pq) / determinant
        if intercept >= 0 and slope >= 0:
            return intercept, slope
    # One of the two is 0: keep the one that explains more, gain = (sum)^2 / (sum of squares).
    return (p1 / pp, 0.0) if p1 * p1 / pp >= q1 * q1 / qq else (0.0, q1 / qq)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Estimate:
    """The most likely parameters (n_inf, alpha, log spread), scaled, and what the intervals need."""

    rows: _Rows
    parameters: Array  # (3,)
    value: float
    hessian: Array  # (3, 3)

    @property
    def spread(self) -> float:
        """Most likely standard deviation of log N."""
        return float(np.exp(self.parameters[2]))

    @property
    def spread_known(self) -> bool:
        """Whether runs are left over to tell the spread, and it is neither 0 to rounding nor beyond all reason."""
        at_floor = self.rows.exact > 0 and self.spread <= 1.01 * self.rows.floor
        return self.rows.n_reached > 2 and not at_floor and self.spread < HOPELESS_SPREAD


def _estimate(rows: _Rows) -> _Estimate:
    """Return the law of greatest likelihood, from least squares and three other starts."""
    weights = rows.counts[None]
    model = _inverse_law_model(rows)
    closed = _least_squares(rows, rows.counts)
    level = float(np.median(_middles(rows)[rows.reached]))
    starts = [closed] + [level * np.array([1 - share, share]) for share in (0.1, 0.5, 0.9)]
    start = np.empty((len(starts), 3))
    start[:, :2] = starts
    residual = np.log(np.maximum(_middles(rows), 1e-300)) - np.log(model.mean(start))
    used = rows.counts * rows.reached
    start[:, 2] = np.log(np.clip(np.sqrt((residual**2 @ used) / used.sum()), max(rows.floor, 0.01), 3.0))
    parameters, value = _maximise(rows, weights, model, start)
    best = int(np.argmax(value))
    _, _, hessian = _evaluate(rows, weights, model, parameters[best : best + 1])
    return _Estimate(rows=rows, parameters=parameters[best], value=float(value[best]), hessian=hessian[0])


def fit_inverse_law(observations: Sequence[Observation]) -> LawFit:
    """Fit mean updates N = n_inf + alpha / M by interval-censored maximum likelihood.

    log N is Normal(log(n_inf + alpha / M) - s^2 / 2, s^2) with one spread s, so that N is the mean. A run between two
    evaluations contributes the probability of that interval, a run that never reached the target (a diverged one is
    such a run) the probability of needing longer, an exact one its density. n_inf and alpha are at least 0.

    Intervals are where twice the fall of the profile log-likelihood stays below n log(1 + F / (n - 2)), with F the
    95 % point of F(1, n - 2) and n the runs that reached the target. In the normal linear model that is the exact t
    interval; the usual chi-square cutoff 3.84 is its limit for many runs and covers too little for few. A side on
    which even n_inf = 0 or alpha = 0 stays below the cutoff is open: None. Two departures widen the cutoff:

    - runs of one seed that go together across batch sizes (seed effect, F test, p < 0.01): the runs are then not n
      independent ones, and the cutoff is scaled by the variance that the scores summed by seed have against the one
      that the likelihood takes for granted, with the seeds less one as degrees of freedom (Chandler and Bate 2007);
    - batch sizes off the law by more than their runs scatter (lack of fit, p < 0.01): the scatter of the batch sizes
      about the law then takes the place of the scatter of the runs, with two degrees of freedom fewer than batch sizes.

    `spread` is the most likely s times sqrt(n / (n - 2)), the usual allowance for the two fitted parameters.
    `r2_examples` is 1 - (squares of M (mean - law)) / (squares of M mean about their average), the squares summed over
    batch sizes that all reached, and `leave_one_out_error` is over the same ones. The mean of runs known only to
    lie in intervals is, in these two, the mean of the middles.

    Args:
        observations: Runs at two or more batch sizes; censored runs count.

    Raises:
        FitError: If fewer than two batch sizes have a run that reached the target, or a value is impossible.
    """
    rows = _gather(observations)
    estimate = _estimate(rows)
    scatter = _scatter(estimate, observations)
    intervals = _law_intervals(estimate, scatter)
    means, _ = _batch_means(rows, rows.counts)
    whole = _whole_sizes(rows)
    left_out = _leave_one_out(estimate, whole)
    error = float(np.sqrt(np.mean((left_out / means[whole] - 1) ** 2))) if len(left_out) else None
    n_reached = rows.n_reached
    return LawFit(
        law=rows.law(estimate.parameters),
        spread=estimate.spread * math.sqrt(n_reached / max(n_reached - 2, 1)),
        intervals=intervals,
        r2_examples=_r2_examples(estimate, means, whole),
        leave_one_out_error=error,
        n_runs=len(observations),
        n_censored=len(observations) - n_reached,
        batch_sizes=tuple(float(size) for size in rows.sizes),
        warnings=_warnings(estimate, scatter, intervals, observations, whole=whole, left_out=left_out),
    )


def _whole_sizes(rows: _Rows) -> npt.NDArray[np.intp]:
    """Return the positions of the batch sizes all of whose runs reached the target."""
    censored = np.bincount(rows.size, weights=rows.counts * ~rows.reached, minlength=len(rows.sizes))
    return np.flatnonzero(censored == 0)


def _leave_one_out(estimate: _Estimate, whole: npt.NDArray[np.intp]) -> Array:
    """Return the mean updates predicted at each of some batch sizes by a fit without it; empty if too few are left."""
    rows = estimate.rows
    bounded = np.unique(rows.size[rows.reached & np.isfinite(rows.log_lower)])
    if len(whole) == 0 or min(len(np.setdiff1d(bounded, [size])) for size in whole) < 2:
        return np.empty(0)
    weights = rows.counts * (rows.size[None, :] != whole[:, None])
    model = _inverse_law_model(rows)
    start = np.tile(estimate.parameters, (len(whole), 1))
    start[:, 2] = np.maximum(start[:, 2], math.log(max(rows.floor, 0.003)))
    parameters, _ = _maximise(rows, weights, model, start)
    x = rows.unit_batch_size / rows.sizes[whole]
    return np.asarray(parameters[:, 0] + parameters[:, 1] * x, dtype=np.float64)


def _r2_examples(estimate: _Estimate, means: Array, whole: npt.NDArray[np.intp]) -> float | None:
    """Return R^2 of the mean examples about the law's straight line alpha + n_inf M."""
    if len(whole) < 3:
        return None
    sizes = estimate.rows.sizes[whole] / estimate.rows.unit_batch_size
    examples = means[whole] * sizes
    about_mean = float(np.sum((examples - examples.mean()) ** 2))
    line = estimate.parameters[1] + estimate.parameters[0] * sizes
    return 1 - float(np.sum((examples - line) ** 2)) / about_mean if about_mean > 0 else None


# ----------------------------------------------------------------------------------------------------------------------
# Scatter: of runs, of seeds, of batch sizes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scatter:
    """What the cutoffs and warnings need to know about how runs scatter."""

    runs: int  # that reached the target
    seeds: int  # seen at two or more batch sizes
    seed_effect: bool
    seed_correlation: float
    covariance: Array | None  # (3, 3), scores summed by seed; None without a seed effect
    lack_of_fit: float | None  # p-value; None where it cannot be tested
    batch_cutoff: float | None  # cutoff from the scatter of batch sizes; None without lack of fit

    def cutoff(self, gradient: Array, hessian: Array) -> float:
        """Return how far twice the log-likelihood may fall along a parameter with this gradient."""
        n = self.runs
        point = _f_point(n - 2)
        cutoff = n * math.log1p(point / (n - 2))
        if self.seed_effect and self.covariance is not None:
            plain = float(gradient @ np.linalg.pinv(-hessian, hermitian=True) @ gradient)
            clustered = float(gradient @ self.covariance @ gradient)
            if plain > 0 and math.isfinite(clustered):
                by_seed = _f_point(self.seeds - 1)
                cutoff = n * math.log1p(by_seed * clustered / plain / n)
        if self.batch_cutoff is not None:
            cutoff = max(cutoff, self.batch_cutoff)
        return cutoff


def _seed_incidence(rows: _Rows, observations: Sequence[Observation]) -> tuple[Array, Array]:
    """Return (G, R) runs of each seed seen at two or more batch sizes, and (R,) the other runs."""
    sizes_of: dict[int, set[float]] = {}
    for run in observations:
        if run.seed is not None:
            sizes_of.setdefault(run.seed, set()).add(run.batch_size)
    paired = {seed: g for g, seed in enumerate(sorted(s for s, sizes in sizes_of.items() if len(sizes) > 1))}
    incidence = np.zeros((len(paired), len(rows.x)))
    alone = np.zeros(len(rows.x))
    for run, row in zip(observations, rows.row_of, strict=True):
        if run.seed is not None and run.seed in paired:
            incidence[paired[run.seed], row] += 1
        else:
            alone[row] += 1
    return incidence, alone


def _scatter(estimate: _Estimate, observations: Sequence[Observation]) -> _Scatter:
    """Return how the runs scatter about the law: by run, by seed, by batch size."""
    rows = estimate.rows
    mean = _inverse_law_model(rows).mean(estimate.parameters[None])
    terms = _terms(rows, mean, estimate.parameters[None, 2:])
    incidence, alone = _seed_incidence(rows, observations)
    seeds = len(incidence)
    effect, correlation = _seed_effect(rows, incidence, terms.m[0] * estimate.spread)
    covariance = None
    if effect:
        variance = estimate.spread**2
        scores = np.stack(
            (terms.m[0] / mean[0], terms.m[0] * rows.x / mean[0], terms.tau[0] - variance * terms.m[0]), axis=1
        )
        summed = incidence @ scores  # (G, 3)
        middle = summed.T @ summed * (seeds / (seeds - 1)) + scores.T @ (scores * alone[:, None])
        bread = np.linalg.pinv(-estimate.hessian, hermitian=True)
        covariance = bread @ middle @ bread
    lack_of_fit, batch_cutoff = _lack_of_fit(estimate)
    return _Scatter(
        runs=rows.n_reached,
        seeds=seeds,
        seed_effect=effect,
        seed_correlation=correlation,
        covariance=covariance,
        lack_of_fit=lack_of_fit,
        batch_cutoff=batch_cutoff,
    )


def _seed_effect(rows: _Rows, incidence: Array, residual: Array) -> tuple[bool, float]:
    """Test whether runs of one seed go together across batch sizes; return that and their correlation.

    One-way analysis of variance by seed of the residuals of log N (expected ones where N is in an interval), each batch
    size about its own mean.
    """
    counts = incidence.sum(axis=0)
    seeds, runs = len(incidence), float(counts.sum())
    sizes = np.bincount(rows.size, weights=counts, minlength=len(rows.sizes))
    used = int((sizes > 0).sum())
    rest = runs - seeds - used + 1
    if seeds < 2 or rest < 1:
        return False, 0.0
    average = np.bincount(rows.size, weights=counts * residual, minlength=len(rows.sizes)) / np.maximum(sizes, 1)
    centred = residual - average[rows.size]
    per_seed = incidence.sum(axis=1)
    between = float(np.sum((incidence @ centred) ** 2 / per_seed))
    total = float(counts @ centred**2)
    if total <= 1e-12:
        return False, 0.0
    between_mean, rest_mean = between / (seeds - 1), max(total - between, 1e-9 * total) / rest
    p_value = float(fdtrc(seeds - 1, rest, between_mean / rest_mean))
    sizes_per_seed = runs / seeds
    correlation = (between_mean - rest_mean) / (between_mean + (sizes_per_seed - 1) * rest_mean)
    return p_value < 0.01, correlation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Saturated:
    """A mean of its own for each batch size that has one, and one spread."""

    rows: _Rows
    sizes: npt.NDArray[np.intp]  # (K',) positions of the batch sizes that have a mean
    parameters: Array  # (K' + 1,)
    value: float
    hessian: Array


def _saturated(rows: _Rows) -> _Saturated:
    """Return the most likely mean of each batch size at which some run bounds it from below and some from above."""
    below = np.bincount(rows.size, weights=np.isfinite(rows.log_lower), minlength=len(rows.sizes))
    above = np.bincount(rows.size, weights=rows.reached, minlength=len(rows.sizes))
    sizes = np.flatnonzero((below > 0) & (above > 0))
    weights = (rows.counts * np.isin(rows.size, sizes))[None]
    design = (rows.size[:, None] == sizes[None, :]).astype(np.float64)[None]
    # Rows without weight need a mean above 0 all the same.
    base = np.where(weights > 0, 0.0, 1.0)
    model = _Model(base=base, design=design, largest=np.full(len(sizes), np.inf))
    means, _ = _batch_means(rows, rows.counts)
    log_middle = np.log(np.maximum(_middles(rows), 1e-300))
    residual = log_middle - np.log(np.maximum(means, 1e-300))[rows.size]
    used = weights[0] * rows.reached
    spread = math.sqrt(float(used @ residual**2) / float(used.sum()))
    start = np.append(means[sizes], math.log(min(max(spread, rows.floor, 0.003), 3.0)))
    parameters, value = _maximise(rows, weights, model, start[None])
    _, _, hessian = _evaluate(rows, weights, model, parameters)
    return _Saturated(rows=rows, sizes=sizes, parameters=parameters[0], value=float(value[0]), hessian=hessian[0])


def _lack_of_fit(estimate: _Estimate) -> tuple[float | None, float | None]:
    """Return the p-value of the law against a mean for each batch size, and the cutoff to use where it is below 0.01.

    With deviance D, n runs and k batch sizes, exp(D / n) is the quotient of residual sums of squares, so that
    (exp(D / n) - 1) (n - k) / (k - 2) is F(k - 2, n - k): the pure-error test, which carries over to intervals.
    """
    rows = estimate.rows
    saturated = _saturated(rows)
    n, k = rows.n_reached, len(saturated.sizes)
    if k < 3 or n <= k:
        return None, None
    deviance = min(max(0.0, 2 * (saturated.value - estimate.value)) / n, 500.0)
    p_value = float(fdtrc(k - 2, n - k, math.expm1(deviance) * (n - k) / (k - 2)))
    if p_value >= 0.01:
        return p_value, None
    point = _f_point(k - 2)
    return p_value, n * math.log1p(-point * math.expm1(-deviance) / (k - 2))


# ----------------------------------------------------------------------------------------------------------------------
# Profile-likelihood intervals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _End:
    """One end of one interval, to be found: where the profile of log(parameter) has fallen by half the cutoff."""

    parameter: Parameter
    side: int  # -1 lower, +1 upper
    centre: float  # log of the estimate, or a stand-in well inside where the estimate is 0 or infinite
    first: float  # first guess
    cutoff: float
    x: float = 1.0  # of the batch size that "mean" is about


def _law_intervals(estimate: _Estimate, scatter: _Scatter) -> LawIntervals:
    """Return the 95 % intervals of n_inf, alpha and alpha / n_inf."""
    nothing: Interval = (None, None)
    if not estimate.spread_known:
        return LawIntervals(n_inf=nothing, alpha=nothing, critical_batch_size=nothing)
    rows = estimate.rows
    without = _falls_without(estimate)
    ends = [
        *_ends(estimate, scatter, "n_inf", without=without),
        *_ends(estimate, scatter, "alpha", without=without),
        *_ends(estimate, scatter, "ratio", without=without),
    ]
    found = {(end.parameter, end.side): log for end, log in zip(ends, _find_ends(estimate, ends), strict=True)}

    def interval(parameter: Parameter, unit: float) -> Interval:
        low, high = (_exponential(found.get((parameter, side)), unit) for side in (-1, 1))
        return low, high

    return LawIntervals(
        n_inf=interval("n_inf", rows.unit_updates),
        alpha=interval("alpha", rows.unit_updates * rows.unit_batch_size),
        critical_batch_size=interval("ratio", rows.unit_batch_size),
    )


def _exponential(log: float | None, unit: float) -> float | None:
    """Return unit exp(log), or None where that is absent or no finite number above 0."""
    if log is None:
        return None
    total = log + math.log(unit)
    return math.exp(total) if abs(total) < 690 else None


def _ends(
    estimate: _Estimate,
    scatter: _Scatter,
    parameter: Literal["n_inf", "alpha", "ratio"],
    *,
    without: Mapping[str, float],
) -> list[_End]:
    """Return the ends of one interval that are not open."""
    n_inf, alpha = float(estimate.parameters[0]), float(estimate.parameters[1])
    gradient = {
        "n_inf": np.array([1 / max(n_inf, 1e-12), 0.0, 0.0]),
        "alpha": np.array([0.0, 1 / max(alpha, 1e-12), 0.0]),
        "ratio": np.array([-1 / max(n_inf, 1e-12), 1 / max(alpha, 1e-12), 0.0]),
    }[parameter]
    cutoff = scatter.cutoff(gradient, estimate.hessian)
    open_below, open_above = {
        "n_inf": (without["n_inf"] <= cutoff, False),
        "alpha": (without["alpha"] <= cutoff, False),
        "ratio": (without["alpha"] <= cutoff, without["n_inf"] <= cutoff),
    }[parameter]
    tiny = 1e-9
    value = {"n_inf": n_inf, "alpha": alpha, "ratio": max(alpha, tiny) / max(n_inf, tiny)}[parameter]
    inside = tiny < value < 1 / tiny
    centre = math.log(min(max(value, tiny), 1 / tiny))
    variance = float(gradient @ np.linalg.pinv(-estimate.hessian, hermitian=True) @ gradient)
    reach = math.sqrt(cutoff * variance) if variance > 0 else 1.0
    ends = []
    for side, is_open in ((-1, open_below), (1, open_above)):
        if not is_open:
            first = centre + side * min(max(reach, 1e-8), 3.0) if inside else -math.copysign(2.0, centre)
            ends.append(_End(parameter=parameter, side=side, centre=centre, first=first, cutoff=cutoff))
    return ends


def _falls_without(estimate: _Estimate) -> dict[str, float]:
    """Return twice the fall of the log-likelihood where n_inf is 0, and where alpha is 0."""
    rows = estimate.rows
    shapes = np.stack((rows.x, np.ones_like(rows.x)))  # without n_inf, without alpha
    model = _Model(base=np.zeros((1, len(rows.x))), design=shapes[:, :, None], largest=np.full(1, np.inf))
    share = rows.counts / rows.counts.sum()
    ratio = np.log((estimate.parameters[0] + estimate.parameters[1] * rows.x) / shapes)  # (2, R)
    level = ratio @ share
    spread = np.sqrt(estimate.spread**2 + (ratio - level[:, None]) ** 2 @ share)
    mean = np.exp(level + np.minimum(spread**2 / 2, 4.0))
    start = np.stack((mean, np.log(np.clip(spread, rows.floor, 3.0))), axis=1)
    _, value = _maximise(rows, rows.counts[None], model, start)
    falls = 2 * (estimate.value - value)
    return {"n_inf": float(falls[0]), "alpha": float(falls[1])}


def _constrained(rows: _Rows, ends: Sequence[_End], logs: Array) -> _Model:
    """Return the model with each end's parameter held at exp(log); what is left free is one number u."""
    base = np.zeros((len(ends), len(rows.x)))
    design = np.ones((len(ends), len(rows.x), 1))
    for row, (end, log) in enumerate(zip(ends, logs, strict=True)):
        if end.parameter == "n_inf":
            base[row], design[row, :, 0] = math.exp(log), rows.x
        elif end.parameter == "alpha":
            base[row] = math.exp(log) * rows.x
        elif end.parameter == "ratio":
            share = 1 / (1 + math.exp(-log))
            design[row, :, 0] = (1 - share) + share * rows.x
        else:
            base[row] = math.exp(log)
            design[row, :, 0] = math.exp(log) * (rows.x / end.x - 1)
    # For "mean" u is the share of alpha / M in the mean at x: at most 1. Ends of one kind are solved together.
    largest = 1.0 if ends[0].parameter == "mean" else np.inf
    return _Model(base=base, design=design, largest=np.full(1, largest))


def _profile_slope(rows: _Rows, ends: Sequence[_End], logs: Array, parameters: Array, model: _Model) -> Array:
    """Return the derivative of each profile log-likelihood by the log of its parameter."""
    mean = model.mean(parameters)
    by_m = _terms(rows, mean, parameters[:, 1:]).m * rows.counts
    change = np.ones_like(mean)  # d mean / d log(parameter), over mean
    for row, (end, log) in enumerate(zip(ends, logs, strict=True)):
        if end.parameter in ("n_inf", "alpha"):
            change[row] = model.base[row] / mean[row]
        elif end.parameter == "ratio":
            share = 1 / (1 + math.exp(-log))
            change[row] = parameters[row, 0] * share * (1 - share) * (rows.x - 1) / mean[row]
    return np.asarray((by_m * change).sum(axis=1), dtype=np.float64)


def _find_ends(estimate: _Estimate, ends: Sequence[_End]) -> list[float | None]:
    """Return the log of each end, all solved at once; None where the likelihood never falls far enough.

    Newton's method on the signed root of the fall, which is nearly straight, kept inside a bracket.
    """
    if not ends:
        return []
    rows = estimate.rows
    n_inf, alpha, tau = (float(value) for value in estimate.parameters)
    free = {"n_inf": alpha, "alpha": n_inf, "ratio": n_inf + alpha}
    start = np.empty((len(ends), 2))
    for row, end in enumerate(ends):
        start[row] = free.get(end.parameter, alpha * end.x / (n_inf + alpha * end.x)), tau
    roots = np.sqrt([end.cutoff for end in ends])
    sides = np.array([end.side for end in ends])
    centres = np.array([end.centre for end in ends])
    logs = np.array([end.first for end in ends])
    inner = centres.copy()
    outer = sides * np.inf
    done = np.zeros(len(ends), dtype=bool)
    lost = np.zeros(len(ends), dtype=bool)
    for _ in range(80):
        fits = np.flatnonzero(~(done | lost))
        if not len(fits):
            break
        chosen = [ends[fit] for fit in fits.tolist()]
        model = _constrained(rows, chosen, logs[fits])
        parameters, value = _maximise(rows, rows.counts[None], model, start[fits])
        start[fits] = parameters
        fallen = np.sqrt(np.maximum(2 * (estimate.value - value), 0.0))
        off = fallen - roots[fits]
        slope = _profile_slope(rows, chosen, logs[fits], parameters, model)
        for position, fit in enumerate(fits.tolist()):
            if abs(off[position]) < 1e-7 * roots[fit]:
                done[fit] = True
                continue
            if off[position] < 0:
                inner[fit] = logs[fit]
            else:
                outer[fit] = logs[fit]
            rise = -slope[position] / fallen[position] if fallen[position] > 1e-6 else 0.0
            step = -off[position] / rise if rise * sides[fit] > 1e-12 else sides[fit] * np.inf
            guess = logs[fit] + float(np.clip(step, -4.0, 4.0))
            low, high = min(inner[fit], outer[fit]), max(inner[fit], outer[fit])
            if not low < guess < high:
                guess = (low + high) / 2 if math.isfinite(high - low) else logs[fit] + 4.0 * sides[fit]
            if high - low < 1e-12 * (1 + abs(guess)):
                done[fit] = True
            lost[fit] = abs(guess) > 300
            logs[fit] = guess
    return [None if lost[fit] else float(logs[fit]) for fit in range(len(ends))]


# ----------------------------------------------------------------------------------------------------------------------
# Warnings


def _warnings(
    estimate: _Estimate,
    scatter: _Scatter,
    intervals: LawIntervals,
    observations: Sequence[Observation],
    *,
    whole: npt.NDArray[np.intp],
    left_out: Array,
) -> tuple[str, ...]:
    """Return what a reader should know before trusting the numbers, one sentence each."""
    return (
        *_design_warnings(estimate, scatter, observations),
        *_censoring_warnings(estimate.rows),
        *_spread_warnings(estimate),
        *_interval_warnings(estimate, intervals),
        *_fit_warnings(estimate, scatter, whole=whole, left_out=left_out),
        *_outlier_warnings(estimate, observations),
    )


def _design_warnings(estimate: _Estimate, scatter: _Scatter, observations: Sequence[Observation]) -> list[str]:
    """Tell of batch sizes and seeds that cannot carry the law."""
    warnings = []
    reached = np.unique(estimate.rows.size[estimate.rows.reached])
    low, high = estimate.rows.sizes[reached[0]], estimate.rows.sizes[reached[-1]]
    if high < 4 * low:
        warnings.append(
            f"The batch sizes that reached the target, {low:g} to {high:g}, span a factor of {high / low:.3g} only: "
            "too close together to tell n_inf from alpha / M; add batch sizes at least 4 times apart."
        )
    if len(reached) == 2:
        warnings.append("Two batch sizes fit any law of two parameters: whether the law holds is not tested.")
    seeds = {run.seed for run in observations}
    if len(observations) > 1 and len(seeds) == 1 and None not in seeds:
        warnings.append(
            f"All {len(observations)} runs share seed {seeds.pop()}: the scatter between seeds is not in the "
            "intervals; add seeds."
        )
    if scatter.seed_effect:
        warnings.append(
            f"Runs of one seed go together across batch sizes (correlation {scatter.seed_correlation:.2f}): the "
            f"intervals count {scatter.seeds} seeds, not {scatter.runs} runs."
        )
    return warnings


def _censoring_warnings(rows: _Rows) -> list[str]:
    """Tell how many runs did not reach the target, and where."""
    runs = int(rows.counts.sum())
    censored = runs - rows.n_reached
    if not censored:
        return []
    at = np.bincount(rows.size, weights=rows.counts * ~rows.reached, minlength=len(rows.sizes))
    of = np.bincount(rows.size, weights=rows.counts, minlength=len(rows.sizes))
    warnings = [
        (
            f"{censored} of {runs} runs ({100 * censored / runs:.2g} %) did not reach the target (batch sizes "
            f"{_listed(rows.sizes[at > 0])}); they count as needing more updates than they were given."
        )
    ]
    never = rows.sizes[at == of]
    if len(never):
        warnings.append(
            f"No run reached the target at batch sizes {_listed(never)}: the law may not hold there; raise the budget, "
            "or leave them out to describe the others alone."
        )
    return warnings


def _spread_warnings(estimate: _Estimate) -> list[str]:
    """Tell where the scatter of runs cannot be told, or looks too small to be one."""
    rows = estimate.rows
    warnings = []
    if rows.n_reached <= 2:
        warnings.append(
            f"{rows.n_reached} runs that reached the target leave none over to tell their scatter: there are no "
            "intervals; add seeds."
        )
    elif estimate.spread >= HOPELESS_SPREAD:
        warnings.append(
            f"The runs stand off any law by a factor of {math.exp(estimate.spread):.2g} (one standard deviation): no "
            "law describes them, so there are no intervals; check batch sizes and updates."
        )
    elif not estimate.spread_known:
        warnings.append(
            f"All {rows.n_reached} runs lie on one law to rounding: their scatter cannot be told, so there are no "
            "intervals; check that the seeds differ."
        )
    elif estimate.spread <= 1.01 * rows.floor:
        widest = np.exp((rows.log_upper - rows.log_lower)[rows.reached & np.isfinite(rows.log_lower)].max()) - 1
        warnings.append(
            f"One law passes through the intervals of all {rows.n_reached} runs (evaluations up to "
            f"{100 * widest:.2g} % apart): the scatter of runs is too small to be seen; evaluate more often."
        )
    exact = rows.counts[: rows.exact]
    same = [row for row in range(rows.exact) if exact[row] > 2 and exact[row] == rows.counts[_at(rows, row)].sum()]
    if same:
        updates = np.exp(rows.log_upper[same[0]]) * rows.unit_updates
        warnings.append(
            f"Every run at batch sizes {_listed(rows.sizes[rows.size[same]])} took the same number of updates "
            f"({exact[same[0]]:.0f} times {updates:.6g} at batch size {rows.sizes[rows.size[same[0]]]:g}): check that "
            "the seeds differ."
        )
    return warnings


def _at(rows: _Rows, row: int) -> npt.NDArray[np.bool_]:
    """Return which rows have the batch size of one row."""
    return np.asarray(rows.size == rows.size[row], dtype=np.bool_)


def _interval_warnings(estimate: _Estimate, intervals: LawIntervals) -> list[str]:
    """Tell which sides of the critical batch size the runs leave open."""
    if not estimate.spread_known:
        return []
    low, high = intervals.critical_batch_size
    sizes = estimate.rows.sizes
    if low is None and high is None:
        return [
            (
                f"The runs at batch sizes {sizes[0]:g} to {sizes[-1]:g} leave alpha / n_inf open on both sides; add "
                "seeds and batch sizes further apart."
            )
        ]
    if high is None:
        return [
            (
                f"The runs fit alpha / M alone, so alpha / n_inf is open above: more than {low:.3g}; add batch sizes "
                f"above {sizes[-1]:g}."
            )
        ]
    if low is None:
        return [
            (
                f"The runs fit a constant alone, so alpha / n_inf is open below: less than {high:.3g}; add batch sizes "
                f"below {sizes[0]:g}."
            )
        ]
    return []


def _fit_warnings(estimate: _Estimate, scatter: _Scatter, *, whole: npt.NDArray[np.intp], left_out: Array) -> list[str]:
    """Tell which batch sizes stand off the law."""
    rows = estimate.rows
    warnings = []
    means, _ = _batch_means(rows, rows.counts)
    if scatter.batch_cutoff is not None:
        x = rows.unit_batch_size / rows.sizes[whole]
        off = np.abs((estimate.parameters[0] + estimate.parameters[1] * x) / means[whole] - 1)
        within = f" by up to {100 * off.max():.2g} %" if len(whole) else ""
        warnings.append(
            f"The batch sizes stand off the law{within}, more than the scatter of their runs explains (lack of fit, "
            f"p = {scatter.lack_of_fit:.1g}); the intervals allow for it."
        )
    if len(left_out):
        ratio = means[whole] / np.maximum(left_out, 1e-300)
        factor = np.maximum(ratio, 1 / ratio)
        worst = int(np.argmax(factor))
        if factor[worst] > 2:
            direction = "more" if ratio[worst] > 1 else "fewer"
            warnings.append(
                f"The runs at batch size {rows.sizes[whole[worst]]:g} took {factor[worst]:.3g} times {direction} "
                "updates than the law fitted without them predicts; check them before trusting the law."
            )
    return warnings


def _outlier_warnings(estimate: _Estimate, observations: Sequence[Observation]) -> list[str]:
    """Tell of the run furthest from the median of its batch size, if by a factor of 3 and beyond all scatter."""
    rows = estimate.rows
    log_middle = np.log(np.maximum(_middles(rows), 1e-300))[rows.row_of]
    size, reached = rows.size[rows.row_of], rows.reached[rows.row_of]
    residual = np.zeros(len(observations))
    for position in range(len(rows.sizes)):
        here = (size == position) & reached
        if here.sum() > 2:
            residual[here] = log_middle[here] - np.median(log_middle[here])
    worst = int(np.argmax(np.abs(residual)))
    # 1.48 times the median absolute deviation is the standard deviation of a normal sample, whatever its outliers.
    scatter = 1.48 * float(np.median(np.abs(residual[reached])))
    if abs(residual[worst]) < max(math.log(3), 5 * scatter):
        return []
    run = observations[worst]
    who = f"One run at batch size {run.batch_size:g}" + ("" if run.seed is None else f" (seed {run.seed})")
    direction = "more" if residual[worst] > 0 else "fewer"
    return [
        (
            f"{who} took {math.exp(abs(residual[worst])):.3g} times {direction} updates than the median of its batch "
            "size; check it, for it widens every interval."
        )
    ]


# ----------------------------------------------------------------------------------------------------------------------
# The bootstrap over seeds


def bootstrap_laws(observations: Sequence[Observation], *, replicates: int, seed: int) -> tuple[InverseLaw, ...]:
    """Return the laws of `replicates` data sets drawn from the runs by seed, never by point.

    Seeds seen at two or more batch sizes are drawn with replacement and bring all their runs along; other runs are
    drawn within their batch size. Each draw is fitted by the likelihood of `fit_inverse_law`. With G seeds the scatter
    of the laws is about sqrt((G - 1) / G) of the true one: a few seeds give too narrow a band.

    Args:
        observations: Runs at two or more batch sizes.
        replicates: Number of data sets drawn, at least 1.
        seed: Of the draws.

    Raises:
        FitError: If the runs do not determine a law, or too few seeds reach two batch sizes for draws that do.
    """
    if replicates < 1:
        raise FitError(f"replicates = {replicates}; allowed: a whole number, at least 1")
    rows = _gather(observations)
    incidence, alone = _seed_incidence(rows, observations)
    weights = _draws(rows, incidence, alone, replicates, np.random.default_rng(seed))
    start = _estimate(rows).parameters
    # A spread at its floor makes a cliff of the likelihood around the start.
    start[2] = max(start[2], math.log(max(rows.floor, 0.003)))
    model = _inverse_law_model(rows)
    laws: list[InverseLaw] = []
    for first in range(0, replicates, 250):  # few enough at once to stay in the processor's cache
        some = weights[first : first + 250]
        parameters, _ = _maximise(rows, some, model, np.tile(start, (len(some), 1)))
        laws += [rows.law(row) for row in parameters]
    return tuple(laws)


def _draws(rows: _Rows, incidence: Array, alone: Array, replicates: int, generator: np.random.Generator) -> Array:
    """Return (B, R) how often each row is drawn; draws that determine no law are drawn again."""
    weights = np.zeros((replicates, len(rows.x)))
    bounded = rows.reached & np.isfinite(rows.log_lower)
    at_size = (rows.size[:, None] == np.arange(len(rows.sizes))) & bounded[:, None]  # (R, K)
    missing = np.arange(replicates)
    for _ in range(100):
        drawn = np.zeros((len(missing), len(rows.x)))
        if len(incidence):
            seeds = len(incidence)
            drawn += generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(missing)) @ incidence
        for position in range(len(rows.sizes)):
            here = np.flatnonzero((rows.size == position) & (alone > 0))
            if len(here):
                runs = alone[here]
                drawn[:, here] += generator.multinomial(int(runs.sum()), runs / runs.sum(), size=len(missing))
        weights[missing] = drawn
        missing = missing[((drawn @ at_size) > 0).sum(axis=1) < 2]
        if not len(missing):
            return weights
    raise FitError(
        f"{len(missing)} of {replicates} draws of {len(incidence)} seeds reach fewer than two batch sizes; add seeds "
        "that reach the target at several batch sizes"
    )


def law_band(laws: Sequence[InverseLaw], batch_sizes: Sequence[float] | Array) -> tuple[Array, Array]:
    """Return the 2.5 % and 97.5 % points of the mean updates of some laws at each batch size.

    Raises:
        FitError: If there are no laws.
    """
    if len(laws) == 0:
        raise FitError("0 laws make no band; draw some with bootstrap_laws")
    n_inf = np.array([law.n_inf for law in laws])
    alpha = np.array([law.alpha for law in laws])
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    low, high = np.quantile(n_inf[:, None] + alpha[:, None] / sizes, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return low, high


# ----------------------------------------------------------------------------------------------------------------------
# Mean updates: seen at each batch size, and predicted at others


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanUpdates:
    """Mean updates to the target at one batch size, from its own runs.

    Args:
        batch_size: Examples in a batch.
        mean: Mean of N; None where the runs do not bound it from both sides (all censored, say).
        interval: 95 %; both sides None where the scatter is not known.
        n_runs: Runs, censored ones included.
        n_censored: Runs that did not reach the target.
    """

    batch_size: float
    mean: float | None
    interval: Interval
    n_runs: int
    n_censored: int


def mean_updates(observations: Sequence[Observation]) -> tuple[MeanUpdates, ...]:
    """Return the most likely mean updates of each batch size, by increasing batch size.

    Log-normal with a mean of its own for each batch size and one spread for all; intervals and censored runs count as
    in `fit_inverse_law`. The 95 % intervals are mean exp(+-t se) with as many degrees of freedom as runs that reached
    the target less batch sizes.

    Raises:
        FitError: If the runs do not determine a law.
    """
    rows = _gather(observations)
    saturated = _saturated(rows)
    n, k = rows.n_reached, len(saturated.sizes)
    spread = math.exp(saturated.parameters[-1])
    known = n > k and not (rows.exact and spread <= 1.01 * rows.floor)
    covariance = np.linalg.pinv(-saturated.hessian, hermitian=True) * (n / max(n - k, 1))
    point = math.sqrt(_f_point(max(n - k, 1)))
    result = []
    for position, size in enumerate(rows.sizes):
        here = rows.size == position
        runs = int(rows.counts[here].sum())
        mean: float | None = None
        interval: Interval = (None, None)
        if position in saturated.sizes:
            column = int(np.searchsorted(saturated.sizes, position))
            scaled = float(saturated.parameters[column])
            mean = scaled * rows.unit_updates
            reach = point * math.sqrt(max(float(covariance[column, column]), 0.0)) / scaled
            if known and reach < 300:
                interval = (mean * math.exp(-reach), mean * math.exp(reach))
        result.append(
            MeanUpdates(
                batch_size=float(size),
                mean=mean,
                interval=interval,
                n_runs=runs,
                n_censored=runs - int(rows.counts[here & rows.reached].sum()),
            )
        )
    return tuple(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Mean updates predicted at one batch size, with a 95 % interval for the mean of `runs` new runs there."""

    batch_size: float
    mean: float
    interval: Interval
    runs: int | None


def predict_updates(
    observations: Sequence[Observation], batch_sizes: Sequence[float], *, runs: int | None
) -> tuple[Prediction, ...]:
    """Predict the mean updates of `runs` new runs at each of some batch sizes, from a law fitted to the observations.

    The interval joins the profile-likelihood interval of the law at that batch size (cutoffs as in `fit_inverse_law`)
    and the scatter of the mean of new runs, t sqrt((exp(s^2) - 1) / runs) in log N, as the root of the sum of squares.
    The new runs count as independent of those fitted; with the same seeds the interval is wide rather than narrow.

    Args:
        observations: Runs at two or more batch sizes.
        batch_sizes: Where to predict.
        runs: Number of new runs whose mean is predicted; None for the law itself.

    Raises:
        FitError: If the runs do not determine a law, or a batch size or `runs` is not more than 0.
    """
    for size in batch_sizes:
        if not (math.isfinite(size) and size > 0):
            raise FitError(f"batch size {size!r} to predict at; allowed: finite and more than 0")
    if runs is not None and runs < 1:
        raise FitError(f"runs = {runs}; allowed: a whole number, at least 1, or None for the law itself")
    rows = _gather(observations)
    estimate = _estimate(rows)
    law = rows.law(estimate.parameters)
    if not estimate.spread_known:
        nothing: Interval = (None, None)
        return tuple(
            Prediction(batch_size=float(size), mean=law.updates(float(size)), interval=nothing, runs=runs)
            for size in batch_sizes
        )
    scatter = _scatter(estimate, observations)
    n = scatter.runs
    variance = estimate.spread**2 * n / (n - 2)
    point = math.sqrt(_f_point(n - 2))
    seed_scatter = 0.0 if runs is None else point * math.sqrt(math.expm1(min(variance, 500.0)) / runs)
    ends = []
    for size in batch_sizes:
        x = rows.unit_batch_size / size
        scaled = float(estimate.parameters[0] + estimate.parameters[1] * x)
        gradient = np.array([1, x, 0]) / scaled
        cutoff = scatter.cutoff(gradient, estimate.hessian)
        reach = cutoff * float(gradient @ np.linalg.pinv(-estimate.hessian, hermitian=True) @ gradient)
        reach = min(max(math.sqrt(max(reach, 0.0)), 1e-8), 3.0)
        centre = math.log(scaled)
        ends += [
            _End(parameter="mean", side=side, centre=centre, first=centre + side * reach, cutoff=cutoff, x=x)
            for side in (-1, 1)
        ]
    logs = _find_ends(estimate, ends)
    predictions = []
    for position, size in enumerate(batch_sizes):
        mean = law.updates(float(size))
        interval = []
        for side in (0, 1):
            log, end = logs[2 * position + side], ends[2 * position + side]
            reach = math.inf if log is None else end.side * math.hypot(log - end.centre, seed_scatter)
            interval.append(mean * math.exp(reach) if abs(reach) < 300 else None)
        predictions.append(
            Prediction(batch_size=float(size), mean=mean, interval=(interval[0], interval[1]), runs=runs)
        )
    return tuple(predictions)


# ----------------------------------------------------------------------------------------------------------------------
# Time per update


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTimeFit:
    """A time per update fitted to timings, with what is known of its uncertainty and quality.

    Args:
        update_time: Point estimate.
        fixed_seconds: 95 % interval; None on a side that reaches 0.
        seconds_per_example: 95 % interval; None on a side that reaches 0.
        largest_deviation: Largest |line / median - 1| over batch sizes.
        r2: R^2 of the median seconds about the line.
        wall_over_cpu: Largest median of wall / CPU over batch sizes.
        batch_sizes: Batch sizes used, increasing.
        warnings: What a reader should know before trusting the numbers, one sentence each.
    """

    update_time: UpdateTime
    fixed_seconds: Interval
    seconds_per_example: Interval
    largest_deviation: float
    r2: float
    wall_over_cpu: float
    batch_sizes: tuple[int, ...]
    warnings: tuple[str, ...] = ()


BUSY = 1.1
"""Wall over CPU seconds above which a machine was not quiet."""


def fit_update_time(timings: Sequence[UpdateTiming], *, allow_busy: bool = False) -> UpdateTimeFit:
    """Fit seconds per update t = fixed_seconds + seconds_per_example M to the median wall seconds of each batch size.

    Least squares of relative residuals, both terms at least 0. Each side of an interval is the wider of two: the
    bootstrap over repeats within each batch size (2,000 draws), which knows how durations vary, and, from three
    batch sizes on, the t interval from the scatter of the medians about the line, which knows how straight it is.

    Args:
        timings: Durations at two or more batch sizes; several entries of one batch size are put together.
        allow_busy: Whether to fit although wall over CPU seconds exceed 1.1.

    Raises:
        FitError: If there are fewer than two batch sizes, a duration is not finite and more than 0, or the machine was
            busy.
    """
    walls, busy = _durations(timings)
    if busy > BUSY and not allow_busy:
        raise FitError(
            f"wall / CPU seconds = {busy:.2f}, more than {BUSY}: the machine was busy; time again on a quiet one with "
            "one thread, or allow a busy machine"
        )
    sizes = np.array(sorted(walls), dtype=np.float64)
    unit = float(np.sqrt(sizes[0] * sizes[-1]))
    x = sizes / unit
    medians = np.array([np.median(walls[size]) for size in sorted(walls)])
    weights = np.ones_like(x)
    fixed, slope = _relative_line(x, medians, weights)
    generator = np.random.default_rng(0)
    draws = 2000
    drawn = np.stack(
        [np.median(generator.choice(walls[size], size=(draws, len(walls[size]))), axis=1) for size in sorted(walls)],
        axis=1,
    )  # (draws, K)
    lines = np.array([_relative_line(x, row, weights) for row in drawn])
    low, high = np.quantile(lines, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    line = fixed + slope * x
    freedom = len(sizes) - 2
    if freedom > 0:
        design = np.stack((1 / medians, x / medians), axis=1)
        variance = float(np.sum((line / medians - 1) ** 2)) / freedom
        error = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)
        reach = math.sqrt(_f_point(freedom)) * error
        low = np.minimum(low, np.array([fixed, slope]) - reach)
        high = np.maximum(high, np.array([fixed, slope]) + reach)
    warnings = []
    if busy > BUSY:
        warnings.append(f"The machine was busy: wall / CPU seconds = {busy:.2f}, more than {BUSY}.")
    if slope == 0:
        warnings.append(
            f"Seconds per update do not grow with the batch size up to {sizes[-1]:g}: time larger batch sizes."
        )
    if fixed == 0:
        warnings.append(
            f"Seconds per update shrink in proportion to the batch size down to {sizes[0]:g}: time smaller batch sizes."
        )
    deviation = np.abs(line / medians - 1)
    worst = int(np.argmax(deviation))
    if deviation[worst] > 0.15:
        warnings.append(
            f"The line misses the median seconds at batch size {sizes[worst]:g} by {100 * deviation[worst]:.3g} %: "
            "time per update is not straight in the batch size there."
        )
    total = float(np.sum((medians - medians.mean()) ** 2))
    return UpdateTimeFit(
        update_time=UpdateTime(fixed_seconds=fixed, seconds_per_example=slope / unit),
        fixed_seconds=(float(low[0]) if low[0] > 0 else None, float(high[0]) if high[0] > 0 else None),
        seconds_per_example=(
            float(low[1]) / unit if low[1] > 0 else None,
            float(high[1]) / unit if high[1] > 0 else None,
        ),
        largest_deviation=float(deviation[worst]),
        r2=1 - float(np.sum((medians - line) ** 2)) / total if total > 0 else 0.0,
        wall_over_cpu=busy,
        batch_sizes=tuple(sorted(walls)),
        warnings=tuple(warnings),
    )


def _durations(timings: Sequence[UpdateTiming]) -> tuple[dict[int, Array], float]:
    """Return the wall seconds of each batch size, and the largest median of wall / CPU; refuse impossible ones."""
    walls: dict[int, list[float]] = {}
    for timing in timings:
        where = f"the timing of batch size {timing.batch_size!r}"
        if not (math.isfinite(timing.batch_size) and timing.batch_size > 0):
            raise FitError(f"{where}: a batch size is finite and more than 0; correct it")
        if not timing.wall_seconds:
            raise FitError(f"{where} has no repeats; time at least one update")
        if len(timing.wall_seconds) != len(timing.cpu_seconds):
            raise FitError(
                f"{where} has {len(timing.wall_seconds)} wall and {len(timing.cpu_seconds)} CPU durations; give them "
                "in pairs"
            )
        for seconds in (*timing.wall_seconds, *timing.cpu_seconds):
            if not (math.isfinite(seconds) and seconds > 0):
                raise FitError(
                    f"{where} holds {seconds!r} seconds; a duration is finite and more than 0; time it again"
                )
        walls.setdefault(timing.batch_size, []).extend(timing.wall_seconds)
    if len(walls) < 2:
        raise FitError(
            f"a time per update needs two distinct batch sizes, not {_listed(sorted(walls))}; time another batch size"
        )
    return {size: np.array(seconds) for size, seconds in walls.items()}, max(t.wall_over_cpu for t in timings)
