"""Seconds per update as they were measured: medians at the timed sizes, and what lies between and beyond them.

At the timed sizes the seconds are their medians, known to 2 % each or to what their repeats tell. Between them they are
a form's, raised or lowered to pass through the medians, or straight lines in logarithms: how the curve bends between
two sizes is not known, so each draw takes another form. Forms are (fixed^p + (per example M)^p)^(1/p) with p = 1 (the
sum), 1.5, 2, 4, 8 and infinite (the larger of the two), each with any break-even batch size fixed / per example, in
proportion to how near they come to the medians. Beyond the timed sizes there are the forms alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from batchtime.errors import FitError
from batchtime.fit.bound_by import BoundBy, bound_by
from batchtime.fit.measurements import POSSIBLE, UpdateTiming, possible
from batchtime.laws.quantity import Array, Interval, interval_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_ERROR = 0.02
"""Of a median, in log seconds: what those of MNIST on two machines differ by, but for a smooth curve (rounded)."""
BEND = 0.05
"""How far, in log seconds, medians may stand off a form that still counts."""
POWERS = (1.0, 1.5, 2.0, 4.0, 8.0, math.inf)
NAMES = {1.0: "sum", math.inf: "larger of the two"}
BREAK_EVENS = 120
"""How many break-even sizes are looked at, evenly in logarithms."""
WIDEST = 100.0
"""How far below the least and above the largest timed size they begin and end, as a factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Medians of timed updates and how well each form describes them.

    Args:
        sizes: (K,) batch sizes of one learner, increasing.
        medians: (K,) seconds.
        errors: (K,) standard errors of their logarithms.
        break_evens: (G,) batch sizes at which both costs of a form are equal.
        offsets: (F, G, K) log(median / form), each form and break-even size at its best level.
        weights: (F + 1,) of the forms, and of straight lines in logarithms.
        along: (F, G) weights of the break-even sizes of each form, which sum to 1.
    """

    sizes: Array
    medians: Array
    errors: Array
    break_evens: Array
    offsets: Array
    weights: Array
    along: Array

    def at(self, batch_size: float) -> float:
        """Return the seconds at a batch size, straight in logarithms between the medians, level beyond them."""
        return math.exp(float(np.interp(math.log(batch_size), np.log(self.sizes), np.log(self.medians))))

    @property
    def dimensions(self) -> int:
        """How many uniform numbers a draw takes: an error for each median, a form, and a place along it."""
        return len(self.sizes) + 2

    def draws(self, uniforms: Array, batch_sizes: Array) -> Array:
        """Return (D, C) log seconds at batch sizes (C,), from uniform numbers (D, dimensions)."""
        count = len(self.sizes)
        off = ndtri(uniforms[:, :count]) * self.errors  # (D, K)
        form = np.searchsorted(np.cumsum(self.weights)[:-1], uniforms[:, count])  # F is a straight line
        found = np.empty((len(uniforms), len(batch_sizes)))
        x, at = np.log(self.sizes), np.log(batch_sizes)
        hats = interpolation(x, at)  # (C, K)
        for f, power in enumerate(POWERS):
            here = np.flatnonzero(form == f)
            place = np.searchsorted(np.cumsum(self.along[f])[:-1], uniforms[here, count + 1])
            shapes = _shape(self.break_evens[:, None], batch_sizes, power)  # (G, C)
            at_sizes = _shape(self.break_evens[:, None], self.sizes, power)  # (G, K)
            found[here] = shapes[place] + (np.log(self.medians) - at_sizes[place] + off[here]) @ hats.T
        here = np.flatnonzero(form == len(POWERS))
        logs = np.log(self.medians) + off[here]
        found[here] = logs @ hats.T + _beyond(x, logs, at, uniforms[here, count + 1])
        return found


def interpolation(knots: Array, at: Array) -> Array:
    """Return (C, K) by what share each knot counts at each place: straight lines between them, level beyond."""
    return np.stack([np.interp(at, knots, unit) for unit in np.eye(len(knots))], axis=1)


def _shape(break_even: Array, batch_sizes: Array, power: float) -> Array:
    """Return the log seconds of a form whose fixed cost is 1."""
    ratio = np.log(batch_sizes) - np.log(break_even)
    if math.isinf(power):
        return np.asarray(np.maximum(ratio, 0.0))
    return np.asarray(np.logaddexp(0.0, power * ratio) / power)


def _beyond(x: Array, logs: Array, at: Array, uniform: Array) -> Array:
    """Return (D, C) what straight lines add beyond the timed sizes.

    Below, seconds fall with a slope from none to that of the first stretch; above, they rise with one from that of the
    last stretch to proportion.
    """
    if len(x) > 1:
        first = np.clip((logs[:, 1] - logs[:, 0]) / (x[1] - x[0]), 0, 2)
        last = np.clip((logs[:, -1] - logs[:, -2]) / (x[-1] - x[-2]), 0, 2)
    else:
        first, last = np.ones(len(logs)), np.zeros(len(logs))
    below, above = np.minimum(at - x[0], 0), np.maximum(at - x[-1], 0)
    rise = last + uniform * (np.maximum(last, 1.0) - last)
    return np.asarray((uniform * first)[:, None] * below + rise[:, None] * above)


def measured_seconds(timings: Sequence[UpdateTiming]) -> Seconds:
    """Return what timings say of the seconds per update.

    Raises:
        FitError: If there are none, or a batch size or a duration is not finite and more than 0.
    """
    walls: dict[float, list[float]] = {}
    for timing in timings:
        if not possible(timing.batch_size):
            raise FitError(f"the timing of batch size {timing.batch_size!r}: allowed is {POSSIBLE}")
        for seconds in timing.wall_seconds:
            if not possible(seconds):
                stood = ": the clock stood still; time more updates at once" if seconds == 0 else "; time it again"
                raise FitError(
                    f"the timing of batch size {timing.batch_size!r} holds {seconds!r} seconds; a duration is "
                    f"{POSSIBLE}{stood}"
                )
        walls.setdefault(float(timing.batch_size), []).extend(timing.wall_seconds)
    if not walls or not all(walls.values()):
        raise FitError("0 timed updates at a batch size; time at least one at each")
    _check_machine(walls)
    sizes = np.array(sorted(walls))
    medians = np.array([np.median(walls[size]) for size in sizes])
    errors = np.array([_error(np.array(walls[size])) for size in sizes])
    break_evens = np.geomspace(sizes[0] / WIDEST, sizes[-1] * WIDEST, BREAK_EVENS)
    shapes = np.stack([_shape(break_evens[:, None], sizes, power) for power in POWERS])  # (F, G, K)
    off = np.log(medians) - shapes
    offsets = off - off.mean(axis=2, keepdims=True)
    told = np.exp(-0.5 * np.sum(offsets**2, axis=2) / BEND**2)  # (F, G)
    forms = told.max(axis=1) / len(POWERS)
    # Lines pass through all medians, as many numbers as there are sizes: each beyond the first costs a factor of e.
    lines = math.exp(1 - len(sizes))
    weights = np.append(forms, lines) / (forms.sum() + lines)
    along = told / np.maximum(told.sum(axis=1, keepdims=True), 1e-300)
    return Seconds(
        sizes=sizes,
        medians=medians,
        errors=errors,
        break_evens=break_evens,
        offsets=offsets,
        weights=weights,
        along=along,
    )


DECADES = 4.0
"""Over which no machine's seconds stay the same: that many times the work is seen."""


def _check_machine(walls: dict[float, list[float]]) -> None:
    """Refuse seconds that no machine has, or that two have.

    Raises:
        FitError: If seconds do not grow over four decades of the batch size, or if the durations of every batch size
            fall into two groups far apart.
    """
    sizes = sorted(walls)
    medians = {size: float(np.median(walls[size])) for size in sizes}
    if math.log10(sizes[-1] / sizes[0]) >= DECADES and medians[sizes[-1]] < 1.5 * medians[sizes[0]]:
        raise FitError(
            f"seconds do not grow from batch size {sizes[0]:g} ({medians[sizes[0]]:.3g} s) to {sizes[-1]:g} "
            f"({medians[sizes[-1]]:.3g} s): a GPU that is not waited for takes orders only; synchronise before each "
            "look at the clock (torch.cuda.synchronize()), and time again"
        )
    gaps = [_gap(walls[size]) for size in sizes]
    if len(sizes) > 1 and min(gaps) > math.log(TWO_MACHINES):
        raise FitError(
            f"the durations of every batch size fall into two groups, {math.exp(float(np.median(gaps))):.2g} times "
            "apart: two machines in one table; fit each by itself"
        )


TWO_MACHINES = 1.5
"""How far apart, as a ratio, the durations of two machines are taken to be seen in one table."""


def _gap(seconds: list[float]) -> float:
    """Return the logarithm of the widest gap between durations, if it is wider than both groups together; or 0."""
    logs = np.sort(np.log(seconds))
    if len(logs) < 2:
        return 0.0
    gaps = np.diff(logs)
    at = int(np.argmax(gaps))
    within = logs[at] - logs[0] + logs[-1] - logs[at + 1]
    several = min(at + 1, len(logs) - at - 1) * 4 >= len(logs)  # one slow update in twenty is no second machine
    return float(gaps[at]) if several and gaps[at] > within else 0.0


def _error(seconds: Array) -> float:
    """Return the standard error of the logarithm of a median: 1.25 standard deviations over the root of the number."""
    if len(seconds) < 3:
        return LEAST_ERROR
    low, high = np.quantile(np.log(seconds), (0.25, 0.75))
    return math.hypot(LEAST_ERROR, 1.25 * (high - low) / 1.35 / math.sqrt(len(seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFit:
    """The closed form that comes nearest to the medians, t(M) = (delta^p + (gamma M)^p)^(1/p).

    Args:
        delta: Seconds of an update however small the batch.
        gamma: Seconds of each further example in a large batch.
        form: Name of p: "sum" for 1.
        power: p.
        intervals: 95 % of "delta" and "gamma", over forms and break-even sizes; None on a side that is open.
        misfit: Root mean square of log(median / form).
        misses: Batch sizes whose median is off the form by more than 15 %, with log(median / form).
        batch_sizes: Timed, increasing.
        bound_by: What the time goes to, where the timings say so: loader, launches, memory.
    """

    delta: float
    gamma: float
    form: str
    power: float
    intervals: dict[str, Interval]
    misfit: float
    misses: tuple[tuple[float, float], ...]
    batch_sizes: tuple[float, ...]
    bound_by: tuple[BoundBy, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return what `fit --json` says of timings."""
        return {
            "delta": self.delta,
            "gamma": self.gamma,
            "form": self.form,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "misfit": self.misfit,
            "batch_sizes": list(self.batch_sizes),
            "bound_by": {one.kind: list(one.batch_sizes) for one in self.bound_by},
        }

    def summary(self) -> pd.DataFrame:
        """Return delta and gamma as a frame: index quantity; estimate, low, high, unit.

        Example:
            >>> fit_timings(timings).summary().loc["delta", "unit"]
            's'
        """
        rows = [(name, getattr(self, name), *self.intervals[name], unit) for name, unit in _UNITS.items()]
        columns = ["quantity", "estimate", "low", "high", "unit"]
        return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float}).set_index("quantity")

    def predict(self, batch_sizes: Sequence[float]) -> pd.DataFrame:
        """Return the form's seconds of an update as a frame: batch_size, seconds.

        Example:
            >>> fit_timings(timings).predict([64])["batch_size"].iloc[0]
            np.float64(64.0)
        """
        sizes = np.array(batch_sizes, dtype=np.float64)
        return pd.DataFrame(
            {"batch_size": sizes, "seconds": self.delta * np.exp(_shape(self._break_even, sizes, self.power))}
        )

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the form against the batch size over what was timed; needs the extra `plot`.

        Example:
            >>> fit_timings(timings).plot().get_ylabel()
            'seconds of an update'
        """
        from batchtime.fit.plot import plot_times

        return plot_times(self, axes)

    @property
    def _break_even(self) -> Array:
        return np.array(self.delta / self.gamma)

    def __str__(self) -> str:
        """Return what `batchtime fit` prints of timings."""
        lines = [f"timings at {len(self.batch_sizes)} batch sizes, {self.batch_sizes[0]:g} to {self.batch_sizes[-1]:g}"]
        for name, unit in _UNITS.items():
            interval = interval_text(self.intervals[name])
            lines.append(f"  {name:20}{getattr(self, name):10.4g} {unit:9} 95 % interval {interval}")
        lines.append(f"  {'form':20}{self.form}: the medians stand {100 * self.misfit:.2g} % off it (rms)")
        if self.misses:
            sizes_off = ", ".join(f"{size:g} ({100 * math.expm1(off):+.0f} %)" for size, off in self.misses)
            lines.append(f"  warning: the form misses the median at batch size {sizes_off}")
        lines += [f"  {one.kind}: {one.text}" for one in self.bound_by]
        return "\n".join(lines)


_UNITS = {"delta": "s", "gamma": "s/example"}

LARGE_MISS = math.log(1.15)


def fit_seconds(timings: Sequence[UpdateTiming]) -> TimeFit:
    """Return the closed form nearest to the medians of some timings.

    Raises:
        FitError: If fewer than two batch sizes are timed, or a duration is impossible.
    """
    found = measured_seconds(timings)
    if len(found.sizes) < 2:
        raise FitError(f"a form of t(M) needs two timed batch sizes, not [{found.sizes[0]:g}]; time another one")
    squares = np.sum(found.offsets**2, axis=2)
    f, g = np.unravel_index(int(np.argmin(squares)), squares.shape)
    level = np.log(found.medians) - np.stack(
        [_shape(found.break_evens[:, None], found.sizes, power) for power in POWERS]
    )  # (F, G, K)
    delta = np.exp(level.mean(axis=2))  # (F, G)
    gamma = delta / found.break_evens
    weight = found.along * found.weights[:-1, None]
    intervals: dict[str, Interval] = {}
    for name, values in (("delta", delta), ("gamma", gamma)):
        order = np.argsort(values, axis=None)
        share = np.cumsum(weight.ravel()[order]) / weight.sum() if weight.sum() > 0 else np.linspace(0, 1, values.size)
        reach = math.exp(1.96 * float(np.mean(found.errors)) / math.sqrt(len(found.sizes)))
        low, high = (float(values.ravel()[order][np.searchsorted(share, at)]) for at in (0.025, 0.975))
        low, high = low / reach, high * reach
        # Forms at the ends of the search lack one of the two costs.
        lacking = float(weight[:, -6:].sum() if name == "gamma" else weight[:, :6].sum())
        intervals[name] = (None if lacking > 0.005 * weight.sum() else low, high)
    off = found.offsets[f, g]
    return TimeFit(
        delta=float(delta[f, g]),
        gamma=float(gamma[f, g]),
        form=NAMES.get(POWERS[f], f"power mean {POWERS[f]:g}"),
        power=POWERS[f],
        intervals=intervals,
        misfit=float(np.sqrt(np.mean(off**2))),
        misses=tuple(
            (float(size), float(one)) for size, one in zip(found.sizes, off, strict=True) if abs(one) > LARGE_MISS
        ),
        batch_sizes=tuple(float(size) for size in found.sizes),
        bound_by=tuple(bound_by(timings)),
    )
