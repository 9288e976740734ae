"""Other laws of mean updates against batch size, fitted as the inverse law is, to batch means."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import leastsq
from scipy.special import expit, fdtrc, logit

from batchtime.errors import FitError
from batchtime.fit.likelihood import listed
from batchtime.fit.means import MeanUpdates, mean_updates
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import f_point
from batchtime.laws.quantity import Array
from batchtime.laws.updates import InverseLaw

SPARE = 4
"""Batch sizes that a law needs beyond its parameters to be testable.

The corrected AIC is defined from 3 on, but there a law with a third parameter would have to leave less than 1/150 of
the squares that the inverse law leaves to win (6 batch sizes); with 4 it is 1/7 (7 batch sizes), which a true law does.
"""
AS_GOOD = 2.0
"""Laws closer than this in AICc are as good as each other (Burnham and Anderson 2002)."""
LEAST_SQUARES_FLOOR = 1e-20
"""Squares that rounding leaves: a law that fits exactly has no smaller ones."""


# The laws: mean updates at batch sizes (K,)


def inverse_law(m: Array, n_inf: float, alpha: float) -> Array:
    """Return n_inf + alpha / M."""
    return InverseLaw(n_inf=n_inf, alpha=alpha).updates(m)


def perfect_scaling(m: Array, alpha: float) -> Array:
    """Return alpha / M: every example counts the same, whatever the batch."""
    return alpha / m


def power_law(m: Array, scale: float, beta: float) -> Array:
    """Return scale / M^beta: doubling the batch always saves the same share."""
    return np.asarray(scale * m**-beta)


def hard_knee(m: Array, n_inf: float, alpha: float) -> Array:
    """Return max(n_inf, alpha / M): perfect scaling up to alpha / n_inf, none beyond."""
    return np.maximum(n_inf, alpha / m)


def smooth_knee(m: Array, n_inf: float, alpha: float, q: float) -> Array:
    """Return (n_inf^q + (alpha / M)^q)^(1/q): a knee of any sharpness; q = 1 is the inverse law."""
    return np.exp(np.logaddexp(q * math.log(n_inf), q * np.log(alpha / m)) / q)


def free_exponent(m: Array, n_inf: float, scale: float, beta: float) -> Array:
    """Return n_inf + scale / M^beta; beta = 1 is the inverse law."""
    return np.asarray(n_inf + scale * m**-beta)


def pole(m: Array, n_inf: float, alpha: float, m_0: float) -> Array:
    """Return n_inf + alpha / (M - m_0): the target is out of reach at M = m_0; m_0 = 0 is the inverse law."""
    return n_inf + alpha / (m - m_0)


def noise_floor(m: Array, n_inf: float, a: float, m_0: float) -> Array:
    """Return n_inf - a log(1 - m_0 / M): an exponential approach to a floor that noise sets; m_0 -> 0 is the law."""
    return np.asarray(n_inf - a * np.log1p(-m_0 / m))


Starts = Callable[[Array, Array], Iterable[tuple[float, ...]]]
"""Parameters to start a search from, given batch sizes (K,) and mean updates (K,), both by increasing batch size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A law for mean updates against the batch size.

    Args:
        name: What a reader calls it.
        formula: N as a formula of M.
        updates: The formula: batch sizes (K,), then the parameters.
        parameters: Their names. All are more than 0; `m_0` is less than every batch size, `beta` and `q` are exponents
            from 1/100 to 100.
        meaning: What the parameters mean.
        limits: Where the law becomes another one.
        starts: Where the search for the parameters begins.
    """

    name: str
    formula: str
    updates: Callable[..., Array]
    parameters: tuple[str, ...]
    meaning: str
    limits: str
    starts: Starts

    @property
    def needs(self) -> int:
        """Least number of batch sizes at which the law can be tested."""
        return len(self.parameters) + SPARE


def _arms(sizes: Array, means: Array) -> list[tuple[float, float]]:
    """Return starts for (n_inf, alpha): shares of the updates of the largest and the examples of the smallest batch."""
    return list(product(means.min() * np.array([0.1, 0.5, 0.9]), means[0] * sizes[0] * np.array([0.4, 0.9])))


def _bent(sizes: Array, means: Array, third: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the starts of the inverse law, with a third parameter."""
    return [(*both, one) for both in _arms(sizes, means) for one in third]


def _knees(sizes: Array, means: Array) -> Iterable[tuple[float, float]]:
    """Return for each place of the knee the best two arms."""
    for knee in range(1, len(sizes)):
        yield (
            float(np.exp(np.log(means[knee:]).mean())),
            float(np.exp(np.log(means[:knee] * sizes[:knee]).mean())),
        )


INVERSE = Law(
    name="inverse law",
    formula="n_inf + alpha / M",
    updates=inverse_law,
    parameters=("n_inf", "alpha"),
    meaning="n_inf updates remain however large the batch; alpha examples are needed however small",
    limits="alpha / M where n_inf is 0, a constant where alpha is 0",
    starts=_arms,
)

RIVALS = (
    Law(
        name="perfect scaling",
        formula="alpha / M",
        updates=perfect_scaling,
        parameters=("alpha",),
        meaning="alpha examples are needed, whatever the batch",
        limits="none",
        starts=lambda sizes, means: [(float(np.exp(np.log(sizes * means).mean())),)],
    ),
    Law(
        name="power law",
        formula="scale / M^beta",
        updates=power_law,
        parameters=("scale", "beta"),
        meaning="scale updates at M = 1; doubling the batch saves the share 1 - 2^-beta, at every batch size",
        limits="alpha / M where beta is 1, a constant where beta is 0",
        starts=lambda sizes, means: [(float(means[0] * sizes[0] ** beta), beta) for beta in (0.1, 0.3, 0.6, 1.0)],
    ),
    Law(
        name="hard knee",
        formula="max(n_inf, alpha / M)",
        updates=hard_knee,
        parameters=("n_inf", "alpha"),
        meaning="perfect scaling up to M = alpha / n_inf, and from there on none",
        limits="alpha / M where n_inf is 0, a constant where alpha is 0",
        starts=_knees,
    ),
    Law(
        name="smooth knee",
        formula="(n_inf^q + (alpha / M)^q)^(1/q)",
        updates=smooth_knee,
        parameters=("n_inf", "alpha", "q"),
        meaning="the two arms of the inverse law, joined by a bend of sharpness q",
        limits="the inverse law where q is 1, the hard knee where q is infinite",
        starts=lambda sizes, means: _bent(sizes, means, (0.6, 1.0, 2.0, 8.0)),
    ),
    Law(
        name="free exponent",
        formula="n_inf + scale / M^beta",
        updates=free_exponent,
        parameters=("n_inf", "scale", "beta"),
        meaning="n_inf updates remain; the rest falls as the power beta of the batch size",
        limits="the inverse law where beta is 1, the power law where n_inf is 0",
        starts=lambda sizes, means: [
            (share * float(means.min()), (1 - share / 2) * float(means[0] * sizes[0] ** beta), beta)
            for share in (0.01, 0.5, 0.9)
            for beta in (0.5, 1.0, 2.0)
        ],
    ),
    Law(
        name="pole",
        formula="n_inf + alpha / (M - m_0)",
        updates=pole,
        parameters=("n_inf", "alpha", "m_0"),
        meaning="as the inverse law, but the target is out of reach at and below the batch size m_0",
        limits="the inverse law where m_0 is 0",
        starts=lambda sizes, means: _bent(sizes, means, [share * sizes[0] for share in (1e-4, 0.3, 0.8)]),
    ),
    Law(
        name="noise floor",
        formula="n_inf - a log(1 - m_0 / M)",
        updates=noise_floor,
        parameters=("n_inf", "a", "m_0"),
        meaning="exact for a quadratic with constant noise: n_inf updates without noise, one e-folding takes a updates",
        limits="the inverse law with alpha = a m_0 where m_0 is small against M",
        starts=lambda sizes, means: [
            (n_inf, alpha / (share * sizes[0]), share * sizes[0])
            for n_inf, alpha in _arms(sizes, means)
            for share in (1e-4, 0.3, 0.8)
        ],
    ),
)

LAWS = (INVERSE, *RIVALS)
POLE = next(law for law in RIVALS if law.name == "pole")


# The fit of one law


def fit_law(
    law: Law,
    sizes: Array,
    means: Array,
    *,
    below: float | None = None,
    near: tuple[float, ...] | None = None,
) -> tuple[float, ...]:
    """Return the parameters of least squared log errors, the best of many starts.

    Args:
        law: What to fit.
        sizes: Batch sizes (K,), increasing.
        means: Mean updates (K,) there.
        below: What `m_0` stays below; None for the least batch size.
        near: Parameters that fitted nearly the same means: then every fourth start is tried beside them.

    Raises:
        FitError: If there are fewer batch sizes than parameters.
    """
    if len(sizes) < len(law.parameters):
        raise FitError(
            f"{len(sizes)} batch sizes for the {len(law.parameters)} parameters of the {law.name}; add batch sizes"
        )
    bound = float(sizes[0]) if below is None else below
    target = np.log(means)

    def errors(place: Array) -> Array:
        return np.log(law.updates(sizes, *_values(law, place, bound))) - target

    starts = list(law.starts(sizes, means))
    if near is not None:
        starts = [near, *starts[::4]]
    with np.errstate(all="ignore"):  # a trial step may leave the floating-point numbers
        # full output says how a search ended instead of warning of it: a start that leads nowhere is no news
        places = [
            leastsq(errors, _place(law, start, bound), full_output=True, xtol=1e-10, ftol=1e-12, maxfev=300)[0]
            for start in starts
        ]
        squares = [float(np.sum(errors(place) ** 2)) for place in places]
    best = places[int(np.nanargmin(squares))]
    return tuple(float(value) for value in _values(law, best, bound))


def _values(law: Law, place: Array, bound: float) -> list[float]:
    """Return the parameters at a place of the search, which knows no bounds."""
    values = []
    for name, coordinate in zip(law.parameters, place, strict=True):
        if name == "m_0":
            values.append(bound * float(expit(np.clip(coordinate, -30, 30))))
        else:
            reach = math.log(100) if name in ("beta", "q") else 300.0
            values.append(math.exp(float(np.clip(coordinate, -reach, reach))))
    return values


def _place(law: Law, values: Sequence[float], bound: float) -> Array:
    """Return the place of parameters in the search: the inverse of `_values`, `m_0` at most 0.9 of its bound."""
    pairs = zip(law.parameters, values, strict=True)
    return np.array([logit(min(value / bound, 0.9)) if name == "m_0" else math.log(value) for name, value in pairs])


# All of them, compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A law fitted to batch means.

    Args:
        law: Which.
        parameters: Its parameters, in the law's order.
        aicc: Corrected AIC of the log means; only differences mean something.
        leave_one_out_error: Root mean square of the relative error at a batch size that the fit did not see.
        errors: The law over the mean less 1, at each batch size.
        lack_of_fit: p-value of the test that the means stand off the law by no more than their runs scatter; None
            where the scatter is not known.
    """

    law: Law
    parameters: tuple[float, ...]
    aicc: float
    leave_one_out_error: float
    errors: tuple[float, ...]
    lack_of_fit: float | None

    @property
    def worst(self) -> float:
        """Greatest error at a batch size, as a fraction."""
        return max(abs(error) for error in self.errors)

    def updates(self, batch_sizes: Array) -> Array:
        """Return the mean updates at batch sizes (any shape)."""
        return self.law.updates(batch_sizes, *self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All laws on the same batch means.

    Args:
        batch_sizes: Where the means are, increasing.
        fitted: The laws that can be tested on so many batch sizes.
        untested: The others.
    """

    batch_sizes: tuple[float, ...]
    fitted: tuple[Fitted, ...]
    untested: tuple[Law, ...]

    @property
    def ours(self) -> Fitted | None:
        """The inverse law; None where it cannot be tested itself."""
        return next((one for one in self.fitted if one.law is INVERSE), None)

    @property
    def winner(self) -> Fitted | None:
        """The law of the least AICc; None where the inverse law cannot be tested."""
        return min(self.fitted, key=lambda one: one.aicc) if self.ours else None

    @property
    def best_left_out(self) -> Fitted | None:
        """The law of the least leave-one-out error; None where the inverse law cannot be tested."""
        return min(self.fitted, key=lambda one: one.leave_one_out_error) if self.ours else None

    def behind(self, one: Fitted) -> float:
        """Return by how much a law's AICc is above the least."""
        return one.aicc - min(other.aicc for other in self.fitted)


def compare(observations: Sequence[Observation]) -> Comparison:
    """Fit every law to the mean updates of each batch size at which at least half of the runs reached the target.

    Raises:
        FitError: If fewer than two batch sizes have such a mean, or a value is impossible.
    """
    seen = [one for one in mean_updates(observations) if one.mean is not None and 2 * one.n_censored <= one.n_runs]
    if len(seen) < 2:
        where = listed([one.batch_size for one in seen])
        raise FitError(f"at least half of the runs reached the target only at batch sizes {where}; add runs at others")
    sizes = np.array([one.batch_size for one in seen])
    means = np.array([one.mean for one in seen], dtype=np.float64)
    testable = [law for law in LAWS if len(sizes) >= law.needs]
    freedom = sum(one.n_runs - one.n_censored for one in seen) - len(seen)
    return Comparison(
        batch_sizes=tuple(float(size) for size in sizes),
        fitted=tuple(_fitted(law, sizes, means, _standard_errors(seen, freedom), freedom) for law in testable),
        untested=tuple(law for law in LAWS if law not in testable),
    )


def _fitted(law: Law, sizes: Array, means: Array, errors: Array | None, freedom: int) -> Fitted:
    parameters = fit_law(law, sizes, means)
    off = np.log(law.updates(sizes, *parameters) / means)  # (K,)
    count, free = len(sizes), len(law.parameters) + 1  # the variance is one more
    squares = max(float(off @ off), LEAST_SQUARES_FLOOR)
    left_out = []
    for k in range(count):
        others = np.arange(count) != k
        found = fit_law(law, sizes[others], means[others], below=float(sizes[0]), near=parameters)
        left_out.append(float(law.updates(sizes[k : k + 1], *found)[0]) / means[k] - 1)
    p_value = None
    if errors is not None:
        spare = count - len(law.parameters)
        p_value = float(fdtrc(spare, freedom, float(np.sum((off / errors) ** 2)) / spare))
    return Fitted(
        law=law,
        parameters=parameters,
        aicc=count * math.log(squares / count) + 2 * free * count / (count - free - 1),
        leave_one_out_error=float(np.sqrt(np.mean(np.square(left_out)))),
        errors=tuple(float(error) for error in np.expm1(off)),
        lack_of_fit=p_value,
    )


def _standard_errors(seen: Sequence[MeanUpdates], freedom: int) -> Array | None:
    """Return (K,) the standard errors of the log means, from their 95 % intervals; None where these are open."""
    reaches = [math.log(one.interval[1] / one.mean) for one in seen if one.mean and one.interval[1] is not None]
    if len(reaches) < len(seen) or freedom < 1:
        return None
    return np.array(reaches) / math.sqrt(f_point(freedom))
