"""From durations to the time per update: t(M) = fixed_seconds + seconds_per_example M, with its uncertainty."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from batchtime.errors import FitError
from batchtime.fit.likelihood import least_squares_line, listed
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.scatter import LEVEL, f_point
from batchtime.laws.quantity import Array, Interval
from batchtime.laws.time import UpdateTime

BUSY = 1.1
"""Wall over CPU seconds above which other programs took part of the processor."""

DRAWS = 2000
"""Of the bootstrap over repeats."""


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
    walls = _durations(timings)
    busy = max(timing.wall_over_cpu for timing in timings)
    if busy > BUSY and not allow_busy:
        raise FitError(
            f"wall / CPU seconds = {busy:.2f}, more than {BUSY}: the machine was busy; time again on a quiet one with "
            "one thread, or allow a busy machine"
        )
    sizes = np.array(list(walls), dtype=np.float64)
    medians = np.array([np.median(seconds) for seconds in walls.values()])
    best, low, high = _line(sizes, medians, walls)
    line = UpdateTime(fixed_seconds=float(best[0]), seconds_per_example=float(best[1]))
    deviation = np.abs(line.seconds(sizes) / medians - 1)
    about_mean = float(np.sum((medians - medians.mean()) ** 2))
    return UpdateTimeFit(
        update_time=line,
        fixed_seconds=(_positive(low[0]), _positive(high[0])),
        seconds_per_example=(_positive(low[1]), _positive(high[1])),
        largest_deviation=float(deviation.max()),
        r2=1 - float(np.sum((medians - line.seconds(sizes)) ** 2)) / about_mean if about_mean > 0 else 0.0,
        wall_over_cpu=busy,
        batch_sizes=tuple(walls),
        warnings=tuple(_warnings(line, sizes, deviation, busy)),
    )


def median_seconds(timings: Sequence[UpdateTiming]) -> dict[int, float]:
    """Return the median wall seconds of an update at each batch size, by increasing batch size.

    Raises:
        FitError: If there are fewer than two batch sizes, or a duration is not finite and more than 0.
    """
    return {size: float(np.median(walls)) for size, walls in _durations(timings).items()}


def _positive(value: float) -> float | None:
    return float(value) if value > 0 else None


def _line(sizes: Array, medians: Array, walls: Mapping[int, Array]) -> tuple[Array, Array, Array]:
    """Return the fixed seconds and the seconds per example (2,), and the lower and upper ends of their intervals."""
    best = least_squares_line(sizes, medians, np.ones_like(sizes))
    lines = _resampled_lines(sizes, walls)
    low, high = np.quantile(lines, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    freedom = len(sizes) - 2
    if freedom > 0:
        design = np.stack((1 / medians, sizes / medians), axis=1)
        variance = float(np.sum((design @ best - 1) ** 2)) / freedom
        reach = np.sqrt(f_point(freedom) * variance * np.diag(np.linalg.inv(design.T @ design)))
        low, high = np.minimum(low, best - reach), np.maximum(high, best + reach)
    return best, low, high


def _resampled_lines(sizes: Array, walls: Mapping[int, Array]) -> Array:
    """Return the fixed seconds and the seconds per example (DRAWS, 2) with repeats drawn anew within batch sizes."""
    generator = np.random.default_rng(0)
    medians = np.stack([_resampled_medians(wall, generator) for wall in walls.values()], axis=1)  # (DRAWS, sizes)
    fixed, each = 1 / medians, sizes / medians  # the line's relative residuals are fixed a + each b - 1
    squares, mixed, each_squares = (fixed**2).sum(axis=1), (fixed * each).sum(axis=1), (each**2).sum(axis=1)
    a = each_squares * fixed.sum(axis=1) - mixed * each.sum(axis=1)
    b = squares * each.sum(axis=1) - mixed * fixed.sum(axis=1)
    determinant = squares * each_squares - mixed**2
    lines = np.stack((a, b), axis=1) / determinant[:, None]
    # Where one of them would be less than 0 it is 0, and the other the best alone.
    lines[a < 0] = np.stack((0 * a, each.sum(axis=1) / each_squares), axis=1)[a < 0]
    lines[b < 0] = np.stack((fixed.sum(axis=1) / squares, 0 * b), axis=1)[b < 0]
    return np.asarray(lines)


def _resampled_medians(wall: Array, generator: np.random.Generator) -> Array:
    """Return the medians of DRAWS bootstrap samples of some durations, without drawing the samples.

    Of n uniform numbers the m-th smallest is Beta(m, n + 1 - m), and the next one the least of n - m numbers above it;
    the same ranks of a bootstrap sample are the durations at these quantiles.
    """
    ordered, n = np.sort(wall), len(wall)
    middle = (n + 1) // 2
    low = generator.beta(middle, n + 1 - middle, DRAWS)
    high = 1 - (1 - low) * generator.random(DRAWS) ** (1 / (n - middle)) if n % 2 == 0 else low
    ranks = np.minimum(np.stack((low, high)) * n, n - 1).astype(np.intp)
    return np.asarray(ordered[ranks].mean(axis=0))


# Other forms than the line


@dataclass(frozen=True, slots=True, kw_only=True)
class BentTime:
    """Seconds per update of two lines that meet, for instance where a batch no longer fits into a cache.

    Args:
        fixed_seconds: Of the first line, at M = 0.
        seconds_per_example: Up to the bend.
        later_seconds_per_example: Beyond it.
        bend: Batch size.
    """

    fixed_seconds: float
    seconds_per_example: float
    later_seconds_per_example: float
    bend: float

    def seconds(self, batch_size: Array) -> Array:
        """Return the seconds of one update at some batch sizes."""
        before, beyond = np.minimum(batch_size, self.bend), np.maximum(batch_size - self.bend, 0)
        return self.fixed_seconds + self.seconds_per_example * before + self.later_seconds_per_example * beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeForm:
    """A form of the time per update fitted to medians.

    Args:
        name: What the book calls it.
        time: With the most likely parameters.
        aicc: 2 k + n log(squares / n) with the correction for few sizes, k counting the scatter; less is better. None
            where there are too few sizes.
        largest_deviation: Largest |form / median - 1| over batch sizes.
        covariance: Of the logs of the parameters, (k, k), for one degree of freedom more than is left.
        freedom: Batch sizes less parameters.
    """

    name: str
    time: UpdateTime | BentTime
    aicc: float | None
    largest_deviation: float
    covariance: tuple[tuple[float, ...], ...]
    freedom: int


KNEES = ("line", "larger of the two", "power mean")
"""Forms for which the optimum of the training time is known in closed form."""
FORMS = (*KNEES, "two lines")
_PARAMETERS = {"line": 2, "larger of the two": 2, "power mean": 3, "two lines": 4}


def fit_forms(
    timings: Sequence[UpdateTiming], *, among: Sequence[str] = FORMS, allow_busy: bool = False
) -> tuple[TimeForm, ...]:
    """Fit some forms that the batch sizes suffice for to the median seconds, by least squares of log residuals.

    The line is always there; a form of k parameters needs k + 3 batch sizes.

    Args:
        timings: Durations at two or more batch sizes.
        among: Names, of `FORMS`.
        allow_busy: Whether to fit although wall over CPU seconds exceed 1.1.

    Raises:
        FitError: As `fit_update_time` does.
    """
    line = fit_update_time(timings, allow_busy=allow_busy)  # refuses what is impossible
    walls = _durations(timings)
    sizes, medians = np.array(list(walls), dtype=np.float64), np.array([np.median(wall) for wall in walls.values()])
    names = [name for name in among if name == "line" or len(sizes) >= _PARAMETERS[name] + 3]
    if min(line.update_time.fixed_seconds, line.update_time.seconds_per_example) <= 0:
        names = []  # no bend was seen, so that forms of a bend have nothing to go by
    repeats = np.cov(np.log(np.maximum(_resampled_lines(sizes, walls), 1e-300)).T)
    return tuple(_form(name, sizes, medians, repeats) for name in names)


def choose_form(timings: Sequence[UpdateTiming], *, allow_busy: bool = False) -> TimeForm:
    """Return the form of `KNEES` with the least AICc; the line where there are too few batch sizes to tell.

    Raises:
        FitError: As `fit_update_time` does, or if the seconds do not show both costs.
    """
    forms = fit_forms(timings, among=KNEES, allow_busy=allow_busy)
    if not forms:
        warnings = fit_update_time(timings, allow_busy=allow_busy).warnings
        raise FitError(f"the timings do not show both costs of an update. {' '.join(warnings)}")
    return best_form(forms)


def best_form(forms: Sequence[TimeForm]) -> TimeForm:
    """Return the form with the least AICc; the first where there are too few batch sizes to tell."""
    return min(forms, key=lambda form: math.inf if form.aicc is None else form.aicc)


def _form(name: str, sizes: Array, medians: Array, repeats: Array) -> TimeForm:
    time, jacobian = _fit_form(name, sizes, medians)
    residuals = np.log(time.seconds(sizes) / medians)
    n, parameters = len(sizes), _PARAMETERS[name]
    k, freedom = parameters + 1, n - parameters
    covariance = np.zeros((parameters, parameters))
    if freedom > 0:
        covariance += np.linalg.pinv(jacobian.T @ jacobian) * float(residuals @ residuals) / freedom
    covariance[:2, :2] += repeats
    squares = max(float(np.mean(residuals**2)), 1e-30)
    return TimeForm(
        name=name,
        time=time,
        aicc=2 * k + n * math.log(squares) + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else None,
        largest_deviation=float(np.abs(np.expm1(residuals)).max()),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        freedom=freedom,
    )


def left_out_error(timings: Sequence[UpdateTiming], name: str) -> float | None:
    """Return the root mean square relative error of a form at each inner batch size of a fit without it.

    None where fewer than three batch sizes more than the form has parameters are there.
    """
    walls = _durations(timings)
    sizes, medians = np.array(list(walls), dtype=np.float64), np.array([np.median(wall) for wall in walls.values()])
    if len(sizes) < _PARAMETERS[name] + 3:
        return None
    errors = [
        _fit_form(name, sizes[rest], medians[rest])[0].seconds(sizes[~rest])[0] / medians[~rest][0] - 1
        for rest in ~np.eye(len(sizes), dtype=bool)[1:-1]
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


def _fit_form(name: str, sizes: Array, medians: Array) -> tuple[UpdateTime | BentTime, Array]:
    """Return a form with its most likely parameters, and the slopes of log seconds in their logs (n, k)."""
    start = np.maximum(least_squares_line(sizes, medians, np.ones_like(sizes)), 1e-3 * medians[0] / sizes.max())
    logs = list(np.log(start))

    def knee(place: Array) -> UpdateTime:
        fixed, each, *sharpness = map(float, np.exp(place))
        p = sharpness[0] if sharpness else 1.0 if name == "line" else math.inf
        return UpdateTime(fixed_seconds=fixed, seconds_per_example=each, sharpness=p)

    if name != "two lines":
        starts = [[*logs, math.log(p)] for p in (0.5, 1.0, 2.0, 6.0)] if name == "power mean" else [logs]
        solved = [_solve(knee, first, sizes, medians) for first in starts]
        place, jacobian, _ = min(solved, key=lambda found: found[2])
        return knee(place), jacobian

    def two_lines(place: Array, bend: float) -> BentTime:
        fixed, each, later = map(float, np.exp(place))
        return BentTime(fixed_seconds=fixed, seconds_per_example=each, later_seconds_per_example=later, bend=bend)

    # The bend lies at one of the timed sizes: between two of them the errors have many minima.
    bends = [float(size) for size in sizes[1:-1]]
    found = {bend: _solve(partial(two_lines, bend=bend), [*logs, logs[1]], sizes, medians) for bend in bends}
    bend = min(found, key=lambda one: found[one][2])
    place, jacobian, _ = found[bend]
    return two_lines(place, bend), np.column_stack((jacobian, np.zeros(len(sizes))))


def _solve(
    make: Callable[[Array], UpdateTime | BentTime], first: Sequence[float], sizes: Array, medians: Array
) -> tuple[Array, Array, float]:
    """Return the logs of parameters of least squares, the slopes of the residuals in them, and the squares."""

    def errors(place: Array) -> Array:
        return np.log(make(place).seconds(sizes) / medians)

    from scipy.optimize import least_squares

    bounds = (np.array(first) - _FAR, np.array(first) + _FAR)
    found = least_squares(errors, first, bounds=bounds, x_scale="jac")
    return found.x, np.asarray(found.jac), float(found.cost)


_FAR = math.log(1e4)
"""Of a parameter from its start."""


def _warnings(time: UpdateTime, sizes: Array, deviation: Array, busy: float) -> Iterator[str]:
    """Tell of a busy machine, and of a line with one term or a bend."""
    if busy > BUSY:
        yield f"The machine was busy: wall / CPU seconds = {busy:.2f}, more than {BUSY}."
    if time.seconds_per_example == 0:
        yield f"Seconds per update do not grow with the batch size up to {sizes[-1]:g}: time larger ones."
    if time.fixed_seconds == 0:
        yield f"Seconds per update are in proportion to the batch size down to {sizes[0]:g}: time smaller ones."
    if deviation.max() > 0.15:
        yield (
            f"The line misses the median seconds at batch size {sizes[np.argmax(deviation)]:g} by "
            f"{100 * deviation.max():.3g} %: time per update is not straight in the batch size there."
        )


def _durations(timings: Sequence[UpdateTiming]) -> dict[int, Array]:
    """Return the wall seconds of each batch size, by increasing batch size; refuse impossible ones."""
    walls: dict[int, list[float]] = {}
    for timing in timings:
        where = f"the timing of batch size {timing.batch_size!r}"
        if not 0 < timing.batch_size < math.inf:
            raise FitError(f"{where}: a batch size is finite and more than 0; correct it")
        if not timing.wall_seconds:
            raise FitError(f"{where} has no repeats; time at least one update")
        if len(timing.wall_seconds) != len(timing.cpu_seconds):
            raise FitError(
                f"{where} has {len(timing.wall_seconds)} wall and {len(timing.cpu_seconds)} CPU durations; give them "
                "in pairs"
            )
        for seconds in (*timing.wall_seconds, *timing.cpu_seconds):
            if not 0 < seconds < math.inf:
                raise FitError(
                    f"{where} holds {seconds!r} seconds; a duration is finite and more than 0; time it again"
                )
        walls.setdefault(timing.batch_size, []).extend(timing.wall_seconds)
    if len(walls) < 2:
        raise FitError(f"a time per update needs two distinct batch sizes, not {listed(list(walls))}; time another one")
    return {size: np.array(walls[size]) for size in sorted(walls)}
