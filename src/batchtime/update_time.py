"""From durations to the time per update: t(M) = fixed_seconds + seconds_per_example M, with its uncertainty."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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


def _positive(value: float) -> float | None:
    return float(value) if value > 0 else None


def _line(sizes: Array, medians: Array, walls: Mapping[int, Array]) -> tuple[Array, Array, Array]:
    """Return the fixed seconds and the seconds per example (2,), and the lower and upper ends of their intervals."""
    ones = np.ones_like(sizes)
    best = least_squares_line(sizes, medians, ones)
    generator = np.random.default_rng(0)
    drawn = [np.median(generator.choice(wall, size=(DRAWS, len(wall))), axis=1) for wall in walls.values()]
    lines = [least_squares_line(sizes, draw, ones) for draw in np.stack(drawn, axis=1)]
    low, high = np.quantile(lines, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    freedom = len(sizes) - 2
    if freedom > 0:
        design = np.stack((1 / medians, sizes / medians), axis=1)
        variance = float(np.sum((design @ best - 1) ** 2)) / freedom
        reach = np.sqrt(f_point(freedom) * variance * np.diag(np.linalg.inv(design.T @ design)))
        low, high = np.minimum(low, best - reach), np.maximum(high, best + reach)
    return best, low, high


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
