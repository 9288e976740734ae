"""What was measured and is fitted: updates to the target, and durations of updates."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

LARGEST = 1e50
"""Of batch sizes, updates and seconds, and one over the least: beyond it squares of products are no numbers."""
POSSIBLE = f"finite and more than 0 (from {1 / LARGEST:g} to {LARGEST:g})"


def possible(value: float) -> bool:
    """Return whether a batch size, a number of updates or a duration can be reckoned with."""
    return 1 / LARGEST <= value <= LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Updates to the target seen at one batch size.

    lower < N <= upper; exact where lower == upper; not reached within `lower` updates where `upper` is None.
    """

    batch_size: float
    lower: float
    upper: float | None
    seed: int | None = None

    @property
    def censored(self) -> bool:
        """Whether the target was not reached."""
        return self.upper is None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTiming:
    """Durations of updates at one batch size, every repeat kept.

    Args:
        batch_size: In examples.
        wall_seconds: Of an update, the mean of `updates` in a row.
        cpu_seconds: Of the thread in each of them; on a GPU what passed between two of its own events.
        updates: In a row, of each duration.
        loading_seconds: Wall seconds of an update's batch alone: drawn, gathered and augmented; none if not measured.
        joules: Of an update; none if not measured.
    """

    batch_size: int
    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    updates: int = 1
    loading_seconds: tuple[float, ...] = ()
    joules: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """Median wall seconds per update."""
        return float(np.median(self.wall_seconds))

    @property
    def wall_over_cpu(self) -> float:
        """Median of wall / CPU: 1 on a quiet machine."""
        return float(np.median(np.divide(self.wall_seconds, self.cpu_seconds)))

    @property
    def by_cpu(self) -> "UpdateTiming":
        """The same with CPU seconds in place of wall seconds: of a machine that does other work beside."""
        return replace(self, wall_seconds=self.cpu_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceTiming:
    """Seconds of single all-reduces of so many bytes, the slowest learner's, every repeat kept."""

    payload_bytes: int
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """Median over repeats."""
        return float(np.median(self.seconds))


def observations_of(runs: pd.DataFrame) -> list[Observation]:
    """Return the runs of a frame with columns batch_size and updates [, updates_lower, censored, seed] as values."""
    columns = [runs.get(name, pd.Series(pd.NA, index=runs.index)) for name in ("updates_lower", "censored", "seed")]
    return [
        Observation(
            batch_size=float(size),
            lower=float(updates if is_censored or pd.isna(lower) else lower),
            upper=None if is_censored else float(updates),
            seed=None if pd.isna(seed) else int(seed),
        )
        for size, updates, lower, is_censored, seed in zip(
            runs["batch_size"],
            runs["updates"],
            columns[0],
            columns[1].fillna(value=False).astype(bool),
            columns[2],
            strict=True,
        )
    ]


def timings_of(timings: pd.DataFrame) -> list[UpdateTiming]:
    """Return the durations of a frame with columns batch_size and seconds [, cpu_seconds] by batch size."""
    cpu = timings["cpu_seconds"] if "cpu_seconds" in timings else timings["seconds"]
    cpu = cpu.where(cpu > 0, timings["seconds"])
    return [
        UpdateTiming(
            batch_size=int(str(size)),
            wall_seconds=tuple(map(float, some["seconds"])),
            cpu_seconds=tuple(map(float, cpu[some.index])),
            joules=tuple(map(float, some["joules"].dropna())) if "joules" in some else (),
        )
        for size, some in timings.groupby(timings["batch_size"].astype(np.int64))
    ]
