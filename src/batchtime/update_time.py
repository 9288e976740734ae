"""From durations to the time per update: t(M) = fixed_seconds + seconds_per_example M, with its uncertainty."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from batchtime.likelihood import least_squares_line, listed
from batchtime.records import Array, FitError, Interval, UpdateTime, UpdateTiming
from batchtime.scatter import LEVEL, f_point

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
        break_even_batch_size: 95 % interval of fixed_seconds / seconds_per_example; None on a side that is open.
        largest_deviation: Largest |line / median - 1| over batch sizes.
        r2: R^2 of the median seconds about the line.
        wall_over_cpu: Largest median of wall / CPU over batch sizes.
        batch_sizes: Batch sizes used, increasing.
        warnings: What a reader should know before trusting the numbers, one sentence each.
    """

    update_time: UpdateTime
    fixed_seconds: Interval
    seconds_per_example: Interval
    break_even_batch_size: Interval
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
    best, low, high, break_even = _line(sizes, medians, walls)
    line = UpdateTime(fixed_seconds=float(best[0]), seconds_per_example=float(best[1]))
    deviation = np.abs(line.seconds(sizes) / medians - 1)
    about_mean = float(np.sum((medians - medians.mean()) ** 2))
    return UpdateTimeFit(
        update_time=line,
        fixed_seconds=(_positive(low[0]), _positive(high[0])),
        seconds_per_example=(_positive(low[1]), _positive(high[1])),
        break_even_batch_size=break_even,
        largest_deviation=float(deviation.max()),
        r2=1 - float(np.sum((medians - line.seconds(sizes)) ** 2)) / about_mean if about_mean > 0 else 0.0,
        wall_over_cpu=busy,
        batch_sizes=tuple(walls),
        warnings=tuple(_warnings(line, sizes, deviation, busy)),
    )


def _positive(value: float) -> float | None:
    return float(value) if value > 0 else None


def _line(sizes: Array, medians: Array, walls: Mapping[int, Array]) -> tuple[Array, Array, Array, Interval]:
    """Return the fixed seconds and the seconds per example (2,), the ends of their intervals, and of their ratio's."""
    ones = np.ones_like(sizes)
    best = least_squares_line(sizes, medians, ones)
    generator = np.random.default_rng(0)
    drawn = [np.median(generator.choice(wall, size=(DRAWS, len(wall))), axis=1) for wall in walls.values()]
    lines = np.array([least_squares_line(sizes, draw, ones) for draw in np.stack(drawn, axis=1)])
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = np.quantile(lines, ends, axis=0)
    if min(best) <= 0 or lines.min() <= 0:
        return best, low, high, (None, None)
    log_ratio = math.log(best[0] / best[1])
    log_low, log_high = np.quantile(np.log(lines[:, 0] / lines[:, 1]), ends)
    freedom = len(sizes) - 2
    if freedom > 0:
        design = np.stack((1 / medians, sizes / medians), axis=1)
        variance = float(np.sum((design @ best - 1) ** 2)) / freedom
        covariance = f_point(freedom) * variance * np.linalg.inv(design.T @ design)
        reach = np.sqrt(np.diag(covariance))
        low, high = np.minimum(low, best - reach), np.maximum(high, best + reach)
        slope = np.array([1, -1]) / best  # of the log of the ratio
        reach_of_log = math.sqrt(slope @ covariance @ slope)
        log_low, log_high = min(log_low, log_ratio - reach_of_log), max(log_high, log_ratio + reach_of_log)
    return best, low, high, (math.exp(log_low), math.exp(log_high))


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
        aicc: 2 k + n log(squares / n) with the correction for few sizes, k counting the scatter; less is better.
        largest_deviation: Largest |form / median - 1| over batch sizes.
        leave_one_out_error: Root mean square relative error at batch sizes left out of the fit, the ends kept in.
    """

    name: str
    time: UpdateTime | BentTime
    aicc: float
    largest_deviation: float
    leave_one_out_error: float


FORMS = ("line", "larger of the two", "power mean", "two lines")


def fit_forms(timings: Sequence[UpdateTiming]) -> tuple[TimeForm, ...]:
    """Fit each of `FORMS` to the median seconds, by least squares of log residuals, and compare them by AICc.

    Raises:
        FitError: If there are fewer than 8 batch sizes, as many as the form of most parameters can be judged by.
    """
    walls = _durations(timings)
    sizes, medians = np.array(list(walls), dtype=np.float64), np.array([np.median(wall) for wall in walls.values()])
    if len(sizes) < 8:
        raise FitError(f"{len(sizes)} batch sizes do not tell forms of the time per update apart; time 8 or more")
    return tuple(_form(name, sizes, medians) for name in FORMS)


def _form(name: str, sizes: Array, medians: Array) -> TimeForm:
    time, parameters = _fit_form(name, sizes, medians)
    residuals = np.log(time.seconds(sizes) / medians)
    n, k = len(sizes), parameters + 1
    keep = ~np.eye(n, dtype=bool)[1:-1]
    errors = [
        float(_fit_form(name, sizes[rest], medians[rest])[0].seconds(sizes[~rest])[0] / medians[~rest][0] - 1)
        for rest in keep
    ]
    return TimeForm(
        name=name,
        time=time,
        aicc=2 * k + n * math.log(float(np.mean(residuals**2))) + 2 * k * (k + 1) / (n - k - 1),
        largest_deviation=float(np.abs(np.expm1(residuals)).max()),
        leave_one_out_error=float(np.sqrt(np.mean(np.square(errors)))),
    )


def _fit_form(name: str, sizes: Array, medians: Array) -> tuple[UpdateTime | BentTime, int]:
    """Return a form with its most likely parameters, and how many these are."""
    start = np.maximum(least_squares_line(sizes, medians, np.ones_like(sizes)), 1e-3 * medians[0] / sizes.max())
    logs = np.log(start)

    def solve(make: Callable[[Array], UpdateTime | BentTime], first: Sequence[float]) -> tuple[Array, float]:
        def errors(place: Array) -> Array:
            return np.log(make(place).seconds(sizes) / medians)

        bounds = (np.array(first) - _FAR, np.array(first) + _FAR)
        found = least_squares(errors, first, bounds=bounds, x_scale="jac")
        return found.x, float(found.cost)

    def of_sharpness(place: Array) -> UpdateTime:
        fixed, each, *sharpness = np.exp(place)
        return UpdateTime(
            fixed_seconds=float(fixed),
            seconds_per_example=float(each),
            sharpness=float(sharpness[0]) if sharpness else 1.0 if name == "line" else math.inf,
        )

    if name in ("line", "larger of the two"):
        return of_sharpness(solve(of_sharpness, logs)[0]), 2
    if name == "power mean":
        tries = [solve(of_sharpness, [*logs, math.log(p)]) for p in (0.5, 1.0, 2.0, 6.0)]
        return of_sharpness(min(tries, key=lambda found: found[1])[0]), 3

    def bent_at(bend: float) -> Callable[[Array], BentTime]:
        def bent(place: Array) -> BentTime:
            fixed, each, later = np.exp(place)
            return BentTime(
                fixed_seconds=float(fixed),
                seconds_per_example=float(each),
                later_seconds_per_example=float(later),
                bend=bend,
            )

        return bent

    # The bend lies at one of the timed sizes: between two of them the errors have many minima.
    bends = [float(size) for size in sizes[2:-2]]
    solved = {bend: solve(bent_at(bend), [*logs, logs[1]]) for bend in bends}
    bend = min(solved, key=lambda one: solved[one][1])
    return bent_at(bend)(solved[bend][0]), 4


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
