"""What a log holds of one run, whatever wrote it: the value that every format is read into."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Unit = Literal["updates", "epochs", "examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for in logs.

    Args:
        metric: Name of the metric, as the log has it.
        line: Regular expressions for lines of plain text, with the named groups `step`, `value` and `time`.
    """

    metric: str
    line: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The lines of one run's log that tell of training or of an evaluation, in the order in which they were written.

    Args:
        run: Its path and, where a file holds several runs, its name there.
        steps: (lines,) Training done, in `unit`.
        values: (lines,) The metric where `evaluated`; not finite where the log says so.
        evaluated: (lines,) Whether the metric stands on the line.
        times: (lines,) Seconds on any clock, at the end of what the line tells of; NaN without a time stamp.
        settings: What the log holds beside its lines, by name: batch size, seed, learning rate, and others.
        metrics: Names that could have been asked for.
        unit: What `steps` counts.
        seconds_per_update: Where the log tells it, evaluations left out.
        notices: What there is to be said of it, in sentences without the run's name.
    """

    run: str
    steps: Array
    values: Array
    evaluated: npt.NDArray[np.bool_]
    times: Array
    settings: Mapping[str, object]
    metrics: frozenset[str]
    unit: Unit = "updates"
    seconds_per_update: float | None = None
    notices: tuple[str, ...] = ()


class Lines:
    """Lines of one run as they are read, one after the other."""

    def __init__(self) -> None:
        """Start without a line."""
        self.settings: dict[str, object] = {}
        self.metrics: set[str] = set()
        self._steps: list[float] = []
        self._values: list[float] = []
        self._evaluated: list[bool] = []
        self._times: list[float] = []

    def add(self, step: float, *, value: float | None = None, time: float | None = None) -> None:
        """Take a line; `value` is None where the metric does not stand on it."""
        self._steps.append(step)
        self._values.append(math.nan if value is None else value)
        self._evaluated.append(value is not None)
        self._times.append(math.nan if time is None else time)

    def log(
        self,
        run: str,
        *,
        unit: Unit = "updates",
        seconds_per_update: float | None = None,
        notices: tuple[str, ...] = (),
    ) -> Log:
        """Return what was taken as the log of a run."""
        return Log(
            run=run,
            steps=np.array(self._steps, dtype=np.float64),
            values=np.array(self._values, dtype=np.float64),
            evaluated=np.array(self._evaluated, dtype=np.bool_),
            times=np.array(self._times, dtype=np.float64),
            settings=self.settings,
            metrics=frozenset(self.metrics),
            unit=unit,
            seconds_per_update=seconds_per_update,
            notices=notices,
        )


class Format(Protocol):
    """A module that reads one format of logs."""

    NAME: str
    """What a person calls the format."""

    def matches(self, path: Path, head: str) -> bool:
        """Return whether a file is of this format, by its path and its first 64 KiB as text (empty if binary)."""
        ...

    def place(self, path: Path) -> Path:
        """Return what holds a run's log, of which this file is a part: the file itself, or a folder."""
        ...

    def read(self, path: Path, wanted: Wanted) -> list[Log]:
        """Return the logs that a file, or the place that it is part of, holds; one a run.

        Raises:
            LogError: If it cannot be read.
        """
        ...
