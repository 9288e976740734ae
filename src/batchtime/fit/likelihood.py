"""The likelihood of runs: gathered, evaluated with its derivatives, maximised, and followed to the ends of intervals.

The updates N of a run are log-normal: log N is Normal(log(mean) - s^2 / 2, s^2), so that `mean` is the mean of N. A run
seen between two evaluations contributes the probability of that interval, a run that never reached the target the
probability of needing longer, an exact one its density.

The spread s may fall with the batch size: each row has one relative to the spread of them all (`batchtime.spreads`).

Updates and batch sizes are in units of their own middles in here, so that no result depends on a unit; x is 1 / M.
Shapes: R rows (distinct batch size and interval), K batch sizes, B fits done at once, P parameters of the mean; the
log spread log(s) follows the parameters of the mean, so that a fit has P + 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from batchtime.errors import FitError
from batchtime.fit.measurements import LARGEST, POSSIBLE, Observation, possible
from batchtime.fit.roots import roots
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw

LOG_SQRT_2PI = math.log(math.sqrt(2 * math.pi))
SMALLEST_SPREAD = 1e-7
SMALLEST_START = 0.003
"""Where the search for the spread begins at least: nearer to 0 the likelihood is a cliff around the start."""
LARGEST_SPREAD = 3.0
HOPELESS_SPREAD = 2.0
"""From this spread on (runs a factor of 7 apart, the mean 7 times the median) no law is said to describe the runs."""
NARROW = 1e-4
"""Below this width in standard deviations an interval counts as a density at its middle (relative error 1e-9)."""

Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Line = tuple[tuple[float, float], tuple[float, float], float]
"""Laws (n_inf, alpha) = point + u direction, 0 <= u <= largest."""


# Runs, checked and gathered


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Runs in units of their own middles, equal ones counted once."""

    sizes: Array  # (K,) distinct batch sizes, increasing
    size: Indices  # (R,) position in `sizes`
    x: Array  # (R,) unit_batch_size / M
    log_lower: Array  # (R,) -inf where only an upper bound is known
    log_upper: Array  # (R,) +inf where censored
    middle: Array  # (R,) middle of the interval in updates; the lower bound where censored
    counts: Array  # (R,) runs
    row_of: Indices  # (runs,) row of each run, in the order given
    unit_batch_size: float
    unit_updates: float
    relative: Array  # (R,) log of the spread of each row over that of them all

    @property
    def reached(self) -> Flags:
        """Whether each row reached the target."""
        return np.asarray(np.isfinite(self.log_upper), dtype=np.bool_)

    @property
    def bounded(self) -> Flags:
        """Whether each row is bounded from both sides."""
        return np.asarray(self.reached & np.isfinite(self.log_lower), dtype=np.bool_)

    @property
    def n_reached(self) -> int:
        """Runs that reached the target."""
        return int(self.counts[self.reached].sum())

    @property
    def exact(self) -> Flags:
        """Whether each row is a number of updates, not an interval."""
        return np.asarray(self.log_lower == self.log_upper, dtype=np.bool_)

    @property
    def floor(self) -> float:
        """The least spread that these runs can tell from 0: an interval of width d says little below d / 10."""
        widths = (self.log_upper - self.log_lower)[self.bounded]
        return max(SMALLEST_SPREAD, 0.02 * float(widths.min()))

    def by_size(self, values: Array | Flags) -> Array:
        """Return (K,) the sum over the runs of each batch size of a value for each row."""
        return np.bincount(self.size, weights=self.counts * values, minlength=len(self.sizes)).astype(np.float64)

    @property
    def means(self) -> Array:
        """Mean updates (K,) of the runs that reached the target, intervals by their middles; 0 where none did."""
        return self.by_size(self.reached * self.middle) / np.maximum(self.by_size(self.reached), 1)

    def law(self, parameters: Array) -> InverseLaw:
        """Return the law of parameters (n_inf, alpha, ...) in the units of the runs as given."""
        n_inf = float(parameters[0]) * self.unit_updates
        return InverseLaw(n_inf=n_inf, alpha=float(parameters[1]) * self.unit_updates * self.unit_batch_size)


def listed(values: Sequence[float] | Array) -> str:
    """Return batch sizes as a reader writes them, at most eight."""
    shown = [f"{value:g}" for value in values]
    return "[" + ", ".join(shown if len(shown) <= 8 else [*shown[:7], "...", shown[-1]]) + "]"


def gather(observations: Sequence[Observation], *, for_law: bool = True) -> Rows:
    """Check one or more runs and count equal ones once.

    Raises:
        FitError: If a value is impossible, or, where they are `for_law`, if they do not determine one.
    """
    bounds = np.array(
        [(r.batch_size, r.lower, math.inf if r.upper is None else r.upper) for r in observations], dtype=np.float64
    ).reshape(-1, 3)
    for run in observations if _suspicious(bounds) else ():
        _check_run(run)
    if for_law:
        _check_law(observations)
    distinct, row_of = np.unique(bounds, axis=0, return_inverse=True)  # (R, 3)
    batch_size, lower, upper = distinct.T
    reached = np.isfinite(upper)
    sizes, size = np.unique(batch_size, return_inverse=True)
    with np.errstate(divide="ignore"):
        log_lower, log_upper = np.log(lower), np.log(upper)
    unit_updates = float(np.exp(np.median(log_upper[reached] if reached.any() else log_lower)))
    unit_batch_size = float(np.sqrt(sizes[0]) * np.sqrt(sizes[-1]))
    return Rows(
        sizes=sizes,
        size=size,
        x=unit_batch_size / batch_size,
        log_lower=log_lower - math.log(unit_updates),
        log_upper=log_upper - math.log(unit_updates),
        middle=np.where(reached, lower / 2 + np.where(reached, upper, 0) / 2, lower) / unit_updates,
        counts=np.bincount(row_of.ravel()).astype(np.float64),
        row_of=row_of.ravel(),
        unit_batch_size=unit_batch_size,
        unit_updates=unit_updates,
        relative=np.zeros(len(distinct)),
    )


def _check_law(observations: Sequence[Observation]) -> None:
    """Refuse runs that determine no law."""
    if len(observations) == 0:
        raise FitError("0 runs to fit; give at least one run that reached the target at each of two batch sizes")
    reached = sorted({run.batch_size for run in observations if run.upper is not None})
    bounded = sorted({run.batch_size for run in observations if run.upper is not None and run.lower > 0})
    if not reached:
        raise FitError(
            f"all {len(observations)} runs are censored (the longest at {max(run.lower for run in observations):g} "
            "updates): none reached the target; raise the budget or choose an easier target"
        )
    if len(reached) < 2:
        raise FitError(f"runs reached the target only at batch size {listed(reached)}; add runs at another batch size")
    if len(bounded) < 2:
        raise FitError(
            f"only at batch sizes {listed(bounded)} is the target known to be reached after some update, elsewhere "
            "before the first evaluation; evaluate earlier or choose a harder target"
        )


def _suspicious(bounds: Array) -> bool:
    """Return whether a run of some, (runs, 3) batch sizes and bounds, may be impossible: each is then looked at."""
    size, lower, upper = bounds.T
    usual = (size >= 1 / LARGEST) & (size <= LARGEST) & (lower >= 1 / LARGEST) & (lower <= upper) & (lower <= LARGEST)
    return not bool(np.all(usual & ((upper <= LARGEST) | np.isinf(upper))))


def _check_run(run: Observation) -> None:
    """Refuse values that no run can have."""
    upper = 1.0 if run.upper is None else run.upper
    problems = {
        f"a batch size is {POSSIBLE}": not possible(run.batch_size),
        f"lower = {run.lower!r} updates; allowed: {POSSIBLE}, or 0": not (run.lower == 0 or possible(run.lower)),
        f"upper = {run.upper!r} updates; allowed: {POSSIBLE}, or None": not possible(upper),
        f"lower = {run.lower!r} is more than upper = {run.upper!r} updates": run.upper is not None
        and run.lower > upper,
    }
    for problem, present in problems.items():
        if present:
            seed = "" if run.seed is None else f", seed {run.seed}"
            raise FitError(f"the run at batch size {run.batch_size!r}{seed}: {problem}; correct this row")


# The likelihood of a run and its derivatives


class Terms(NamedTuple):
    """Log-likelihood of each row and its derivatives by m = log(mean) and t = log(spread), all (B, R)."""

    value: Array
    m: Array
    t: Array
    m_m: Array
    m_t: Array
    t_t: Array


def _density(z: Array, spread: Array) -> Terms:
    """Return the terms of exact rows; z = (log N - m) / s + s / 2 has the derivatives -1 / s by m and s - z by t."""
    return Terms(
        value=-0.5 * z * z - LOG_SQRT_2PI - np.log(spread),
        m=z / spread,
        t=z * (z - spread) - 1,
        m_m=np.broadcast_to(-1 / spread**2, z.shape),
        m_t=1 - 2 * z / spread,
        t_t=-((spread - z) ** 2) - z * z,
    )


def _probability(low: Array, high: Array, spread: Array) -> Terms:
    """Return the terms of rows between two bounds, given as z, either of which may be infinite."""
    # log(Phi(high) - Phi(low)) in logs and in the left tail, where no digits are lost
    right = low > 0
    near, far = np.where(right, -low, high), np.where(right, -high, low)
    value = log_ndtr(near) + np.log(-np.expm1(log_ndtr(far) - log_ndtr(near)))
    m = t = m_m = m_t = t_t = np.zeros_like(value)
    for sign, bound in ((1, high), (-1, low)):
        ratio = sign * np.exp(-0.5 * bound * bound - LOG_SQRT_2PI - value)  # 0 at an infinite bound
        z = np.where(np.isfinite(bound), bound, 0.0)
        slope = spread - z  # dz / dt
        m = m - ratio / spread
        t = t + ratio * slope
        m_m = m_m - ratio * z / spread**2
        m_t = m_t + ratio * (1 + z * slope) / spread
        t_t = t_t + ratio * z * (1 - slope * slope)
    return Terms(value=value, m=m, t=t, m_m=m_m - m * m, m_t=m_t - m * t, t_t=t_t - t * t)


@np.errstate(all="ignore")  # a trial step may leave the floating-point numbers: its value is then no number
def row_terms(rows: Rows, mean: Array, log_spread: Array) -> Terms:
    """Return the terms of every row at given mean updates (B, R) and log spread of them all (B, 1)."""
    spread = np.exp(log_spread + rows.relative)
    m = np.log(mean)
    low = (rows.log_lower - m) / spread + spread / 2
    high = (rows.log_upper - m) / spread + spread / 2
    width = rows.log_upper - rows.log_lower
    narrow = width < NARROW * spread  # (B, R)
    if not narrow.any():
        return _probability(low, high, spread)
    density = _density(np.where(narrow, (low + high) / 2, 0.0), spread)
    if rows.exact.all():
        return density
    density = density._replace(value=density.value + np.log(np.where(rows.exact, 1.0, width)))
    wide = _probability(low, high, spread)
    return Terms(*(np.where(narrow, *both) for both in zip(density, wide, strict=True)))


# The maximum of the likelihood, for many data sets or constraints at once


class Model(NamedTuple):
    """Mean updates base + design . u with 0 <= u <= largest, for B fits or, with a leading 1, for any number."""

    base: Array  # (B, R)
    design: Array  # (B, R, P)
    largest: Array  # (B, P)

    def mean(self, parameters: Array) -> Array:
        """Return the mean updates (B, R)."""
        return np.asarray(self.base + np.matmul(self.design, parameters[:, :-1, None])[:, :, 0], dtype=np.float64)


def law_model(rows: Rows) -> Model:
    """Return the mean n_inf + alpha x."""
    design = np.stack((np.ones_like(rows.x), rows.x), axis=1)[None]
    return Model(base=np.zeros((1, len(rows.x))), design=design, largest=np.full((1, 2), np.inf))


@np.errstate(all="ignore")  # as above
def evaluate(rows: Rows, weights: Array, model: Model, parameters: Array) -> tuple[Array, Array, Array]:
    """Return log-likelihood (B,), gradient (B, P + 1) and Hessian (B, P + 1, P + 1) of weighted rows."""
    mean = model.mean(parameters)
    terms = row_terms(rows, mean, parameters[:, -1:])
    slope = model.design / mean[:, :, None]  # dm / du, (B, R, P); d2m / du2 = -slope slope
    across = slope.transpose(0, 2, 1)
    value = (weights * terms.value).sum(axis=1)
    gradient = np.empty_like(parameters)
    gradient[:, :-1] = np.matmul(across, (weights * terms.m)[:, :, None])[:, :, 0]
    gradient[:, -1] = (weights * terms.t).sum(axis=1)
    hessian = np.empty((*parameters.shape, parameters.shape[1]))
    hessian[:, :-1, :-1] = np.matmul(across * (weights * (terms.m_m - terms.m))[:, None, :], slope)
    hessian[:, :-1, -1] = hessian[:, -1, :-1] = np.matmul(across, (weights * terms.m_t)[:, :, None])[:, :, 0]
    hessian[:, -1, -1] = (weights * terms.t_t).sum(axis=1)
    good = np.isfinite(value) & np.isfinite(gradient).all(axis=1) & np.isfinite(hessian).all(axis=(1, 2))
    gradient[~good], hessian[~good] = 0.0, 0.0
    return np.where(good, value, -np.inf), gradient, hessian


def maximise(rows: Rows, weights: Array, model: Model, start: Array) -> tuple[Array, Array]:
    """Return the parameters (B, P + 1) of greatest likelihood, and that log-likelihood (B,).

    Projected Newton steps, each shortened until it gains: no solver of scipy does thousands of small fits at once.
    """
    bounds = np.zeros((2, *start.shape))
    bounds[1, :, :-1] = model.largest
    bounds[:, :, -1] = [[math.log(rows.floor)], [math.log(LARGEST_SPREAD)]]
    weights = np.broadcast_to(weights, (len(start), len(rows.x)))
    model = Model(*(np.broadcast_to(part, (len(start), *part.shape[1:])) for part in model))
    best = np.clip(start, *bounds)
    value, gradient, hessian = evaluate(rows, weights, model, best)
    length = np.ones(len(best))
    fits = np.arange(len(best))
    for _ in range(200):
        here, slope, (least, largest) = best[fits], gradient[fits], bounds[:, fits]
        free = ~(((here <= least) & (slope <= 0)) | ((here >= largest) & (slope >= 0)))
        step, promised = _newton_step(np.where(free, slope, 0.0), hessian[fits], free)
        going = (promised > 1e-12) & (length[fits] > 1e-12)
        fits, step, promised = fits[going], step[going], promised[going]
        if not len(fits):
            break
        trial = np.clip(best[fits] + length[fits, None] * step, *bounds[:, fits])
        found = evaluate(rows, weights[fits], Model(*(part[fits] for part in model)), trial)
        # Near the top the promised gain drowns in rounding: a step that loses nothing is taken.
        gain = np.where(promised < 1e-6, -1e-11 * (1 + np.abs(value[fits])), 1e-4 * length[fits] * promised)
        better = found[0] >= value[fits] + gain
        taken = fits[better]
        best[taken], value[taken] = trial[better], found[0][better]
        gradient[taken], hessian[taken] = found[1][better], found[2][better]
        length[fits] = np.where(better, 1.0, length[fits] / 3)
    return best, value


def _newton_step(gradient: Array, hessian: Array, free: Flags) -> tuple[Array, Array]:
    """Return an uphill step (B, P + 1) and the gain that it promises: Newton's, with |curvature| where convex."""
    curvature = np.where(free[:, :, None] & free[:, None, :], -hessian, 0.0)
    scale = np.sqrt(np.maximum(np.abs(np.einsum("bpp->bp", curvature)), 1e-12))
    values, vectors = np.linalg.eigh(curvature / (scale[:, :, None] * scale[:, None, :]))
    rotated = np.matmul(vectors.transpose(0, 2, 1), (gradient / scale)[:, :, None])
    rotated /= np.maximum(np.abs(values), 1e-9)[:, :, None]
    step = np.where(free, np.matmul(vectors, rotated)[:, :, 0] / scale, 0.0)
    step *= np.minimum(1.0, 2.0 / np.maximum(np.abs(step[:, -1:]), 1e-300))  # log spread by 2 at most
    return step, (gradient * step).sum(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maximum:
    """The most likely parameters of a model."""

    rows: Rows
    parameters: Array  # (P + 1,); n_inf, alpha and the log spread for a law
    value: float
    hessian: Array  # (P + 1, P + 1)

    def updates(self, sizes: Indices) -> Array:
        """Return the mean updates of a law at some positions of `rows.sizes`."""
        return np.asarray(self.parameters[0] + self.parameters[1] * self.rows.unit_batch_size / self.rows.sizes[sizes])

    @property
    def spread(self) -> float:
        """Most likely standard deviation of log N."""
        return float(np.exp(self.parameters[-1]))

    @property
    def covariance(self) -> Array:
        """Covariance of the parameters in the normal approximation."""
        return np.asarray(np.linalg.pinv(-self.hessian, hermitian=True), dtype=np.float64)

    @property
    def spread_known(self) -> bool:
        """Whether runs are left over to tell the spread, and it is neither 0 to rounding nor beyond all reason."""
        at_floor = self.rows.exact.any() and self.spread <= 1.01 * self.rows.floor
        free = self.rows.n_reached - len(self.parameters) + 1
        return free > 0 and not at_floor and self.spread < HOPELESS_SPREAD


def _search(rows: Rows, weights: Array, model: Model, means: Array) -> Maximum:
    """Return the highest of the maxima found from some parameters of the mean (B, P)."""
    start = np.append(means, np.zeros((len(means), 1)), axis=1)
    off = np.log(np.maximum(rows.middle, 1e-300)) - np.log(np.maximum(model.mean(start), 1e-300))
    used = weights * rows.reached
    spread = np.sqrt((off * off * used).sum(axis=1) / used.sum())  # how far the runs are off
    start[:, -1] = np.log(np.clip(spread, max(rows.floor, SMALLEST_START), LARGEST_SPREAD))
    parameters, value = maximise(rows, weights, model, start)
    best = int(np.argmax(value))
    _, _, hessian = evaluate(rows, weights, model, parameters[best : best + 1])
    return Maximum(rows=rows, parameters=parameters[best], value=float(value[best]), hessian=hessian[0])


def least_squares_line(x: Array, y: Array, weights: Array) -> Array:
    """Return (a, b) of the line a + b x, both at least 0, of least squared relative residuals (a + b x) / y - 1."""
    root = np.sqrt(weights)
    design = np.stack((root / y, root * x / y), axis=1)
    scale = np.linalg.norm(design, axis=0)
    unit = design / scale
    found = np.linalg.lstsq(unit, root)[0]
    return np.asarray((np.where(found < 0, 0.0, unit.T @ root) if found.min() < 0 else found) / scale)


def least_squares(rows: Rows) -> Array:
    """Return (n_inf, alpha) of least squared relative residuals of the mean updates of each batch size."""
    runs = rows.by_size(rows.reached)
    used = runs > 0
    return least_squares_line(rows.unit_batch_size / rows.sizes[used], rows.means[used], runs[used])


def most_likely_law(rows: Rows) -> Maximum:
    """Return the law of greatest likelihood, from least squares and three other starts."""
    level = float(np.median(rows.middle[rows.reached]))
    means = np.array([least_squares(rows), *(level * np.array([1 - share, share]) for share in (0.1, 0.5, 0.9))])
    return _search(rows, rows.counts[None], law_model(rows), means)


def most_likely_means(rows: Rows) -> tuple[Indices, Maximum]:
    """Return the batch sizes that runs bound from both sides, and a mean for each with one spread for all."""
    sizes = np.flatnonzero((rows.by_size(np.isfinite(rows.log_lower)) > 0) & (rows.by_size(rows.reached) > 0))
    weights = (rows.counts * np.isin(rows.size, sizes))[None]
    model = Model(
        base=np.where(weights > 0, 0.0, 1.0),  # rows without weight need a mean above 0 all the same
        design=(rows.size[:, None] == sizes).astype(np.float64)[None],
        largest=np.full((1, len(sizes)), np.inf),
    )
    return sizes, _search(rows, weights, model, rows.means[None, sizes])


# The ends of profile-likelihood intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What an interval is about: the mean at x (n_inf is that at x = 0), alpha, or the ratio alpha / n_inf."""

    kind: Literal["mean", "alpha", "ratio"]
    x: float = 0.0

    def fraction(self, n_inf: float, alpha: float) -> tuple[float, float]:
        """Return the quantity as numerator and denominator, for a ratio may be infinite."""
        if self.kind == "ratio":
            return alpha, n_inf
        return (alpha if self.kind == "alpha" else n_inf + alpha * self.x), 1.0

    def gradient(self, n_inf: float, alpha: float) -> Array:
        """Return the derivatives of the quantity's logarithm by n_inf, alpha and the log spread."""
        by_n_inf, by_alpha = 1 / max(n_inf, 1e-12), 1 / max(alpha, 1e-12)
        mean = max(n_inf + alpha * self.x, 1e-12)
        rows = {"mean": [1 / mean, self.x / mean, 0], "alpha": [0, by_alpha, 0], "ratio": [-by_n_inf, by_alpha, 0]}
        return np.array(rows[self.kind], dtype=np.float64)

    def line(self, numerator: float, denominator: float) -> Line:
        """Return the laws at which the quantity has this value."""
        if self.kind == "ratio":
            return (0.0, 0.0), (denominator, numerator), math.inf
        value = numerator / denominator
        if self.kind == "alpha":
            return (0.0, value), (1.0, 0.0), math.inf
        return (value, 0.0), (-self.x, 1.0), value / self.x if self.x > 0 else math.inf


def profile_intervals(
    top: Maximum, quantities: Sequence[Quantity], cutoffs: Sequence[float]
) -> list[tuple[float, float]]:
    """Return between which values twice the profile log-likelihood of each quantity falls by less than its cutoff.

    A side is NaN where it stays below the cutoff up to 0 or infinity. All sides are solved at once, in the coordinate
    p = quantity / (quantity + scale), which runs from 0 to 1. What is solved is the fall turned into the t statistic
    that it is in the normal linear model, sqrt(expm1(fall / n)), for that is nearly straight.
    """
    if not quantities:
        return []
    n_inf, alpha = float(top.parameters[0]), float(top.parameters[1])
    fractions = [quantity.fraction(n_inf, alpha) for quantity in quantities]
    scales = np.array([np.clip(a / max(b, 1e-300), 1e-3, 1e3) for a, b in fractions])
    estimates = np.array([a / (a + b * scale) for (a, b), scale in zip(fractions, scales, strict=True)])
    edges = np.array([1.0 if quantity.kind == "ratio" else 1 - 1e-9 for quantity in quantities])

    def off(p: Array) -> Array:
        lines = [quantities[k // 2].line(scales[k // 2] * here, 1 - here) for k, here in enumerate(p)]
        fall = 2 * (top.value - _highest_on_lines(top, lines))
        return np.asarray(np.sqrt(np.expm1(np.clip(fall / n, 0, 500))) - wanted, dtype=np.float64)

    n = top.rows.n_reached
    wanted = np.repeat(np.sqrt(np.expm1(np.array(cutoffs) / n)), 2)
    outer = np.stack((np.zeros_like(edges), edges), axis=1).ravel()
    p = roots(off, np.repeat(estimates, 2), outer).reshape(-1, 2)
    return [(scale * low / (1 - low), scale * high / (1 - high)) for scale, (low, high) in zip(scales, p, strict=True)]


def _highest_on_lines(top: Maximum, lines: Sequence[Line]) -> Array:
    """Return the greatest log-likelihood (B,) of laws on each line, begun where it is nearest to the best law."""
    rows = top.rows
    at_x = np.stack((np.ones_like(rows.x), rows.x))
    best = (top.parameters[:2] @ at_x)[None]
    points, directions, largest = (np.array(part) for part in zip(*lines, strict=True))
    base, design = points @ at_x, directions @ at_x
    share, slope = rows.counts * design / best, design / best
    near = (share * (1 - base / best)).sum(axis=1) / (share * slope).sum(axis=1)
    model = Model(base=base, design=design[:, :, None], largest=largest[:, None])
    start = np.stack((np.clip(near, 0, largest), np.zeros(len(lines))), axis=1)
    off = np.log(np.maximum(model.mean(start), 1e-300) / best)
    start[:, 1] = np.log(np.minimum(np.sqrt(top.spread**2 + off**2 @ rows.counts / rows.counts.sum()), LARGEST_SPREAD))
    return maximise(rows, rows.counts[None], model, start)[1]
