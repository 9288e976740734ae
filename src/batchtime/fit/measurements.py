"""What was measured and is fitted: updates to the target, and durations of updates."""

from dataclasses import dataclass

import numpy as np


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
    """Durations of single updates at one batch size, every repeat kept: wall and thread-CPU seconds, paired."""

    batch_size: int
    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median wall seconds per update."""
        return float(np.median(self.wall_seconds))

    @property
    def wall_over_cpu(self) -> float:
        """Median of wall / CPU: 1 on a quiet machine."""
        return float(np.median(np.divide(self.wall_seconds, self.cpu_seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceTiming:
    """Seconds of single all-reduces of so many bytes, the slowest learner's, every repeat kept."""

    payload_bytes: int
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """Median over repeats."""
        return float(np.median(self.seconds))
