"""Histories in columns: what several programs write as a table with a row a step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchtime.errors import LogError
from batchtime.logs.log import Array, Log, Unit, Wanted
from batchtime.logs.settings import NAMES, known
from batchtime.logs.text import Grid, read_grid
from batchtime.logs.times import STAMPS, seconds

CUT = "its last line is cut off and was left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a run's history that are of use; see `Log`."""

    run: str
    steps: Array
    values: Array
    evaluated: npt.NDArray[np.bool_]
    times: Array
    settings: Mapping[str, object]
    metrics: frozenset[str]
    notices: tuple[str, ...]

    def log(
        self,
        *,
        unit: Unit = "updates",
        settings: Mapping[str, object] | None = None,
        metrics: Iterable[str] | None = None,
        notices: tuple[str, ...] = (),
        only_evaluations: bool = False,
    ) -> Log:
        """Return the log, with what else is known of the run."""
        kept = self.evaluated if only_evaluations else np.ones(len(self.steps), dtype=np.bool_)
        return Log(
            run=self.run,
            steps=self.steps[kept],
            values=self.values[kept],
            evaluated=self.evaluated[kept],
            times=self.times[kept],
            settings={**self.settings, **(settings or {})},
            metrics=self.metrics if metrics is None else frozenset(metrics),
            unit=unit,
            notices=(*self.notices, *notices),
        )


def columns(
    source: Path | Grid, *, run: str, step: str, wanted: Wanted, offset: int = 0, column: str | None = None
) -> Columns:
    """Return the history in a table with a header.

    Args:
        source: The file, or its cells.
        run: Name of the run.
        step: Column that counts training.
        wanted: What is looked for.
        offset: What is added to `step`, where it counts from 0.
        column: Column of the metric, where it does not have its name.

    Raises:
        LogError: If the file cannot be read, or a cell is no number.
    """
    grid = source if isinstance(source, Grid) else read_grid(source, may_be_cut=True)
    metric = wanted.metric if column is None else column
    steps = _numbers(grid, step)
    lines = ~np.isnan(steps)
    evaluated = _cells(grid, metric) != "" if metric in grid.names else np.zeros(len(steps), dtype=np.bool_)
    values = _numbers(grid, metric) if metric in grid.names else np.full(len(steps), np.nan)
    stamps = next((name for name in grid.names if known(name) in STAMPS), None)
    times = np.full(len(steps), np.nan)
    if stamps is not None:
        times = np.array([np.nan if cell == "" else seconds(cell, grid.path) for cell in _cells(grid, stamps)])
    return Columns(
        run=run,
        steps=steps[lines] + offset,
        values=values[lines],
        evaluated=evaluated[lines],
        times=times[lines],
        settings={name: _setting(grid, name) for name in grid.names if known(name) in NAMES},
        metrics=frozenset({*grid.names} - {step, stamps, "epoch", ""}),
        notices=(*grid.notices, *((CUT,) if grid.cut else ())),
    )


def _cells(grid: Grid, name: str) -> npt.NDArray[np.object_]:
    return grid.cells.iloc[:, grid.names.index(name)].to_numpy(dtype=object)


def _numbers(grid: Grid, name: str) -> Array:
    """Return a column as numbers; NaN for an empty cell."""
    cells = _cells(grid, name)
    numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(numbers) & (cells != "") & ~np.isin(np.char.lower(cells.astype(str)), ("nan", "-nan", "null"))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise LogError(
            f"{grid.path}, line {grid.lines[row]}, column {name}, value {cells[row]!r}: allowed is a number; mend or "
            "remove the line"
        )
    return numbers


def _setting(grid: Grid, name: str) -> object:
    """Return the largest number in a column of settings: a learning rate may be warmed up and decay."""
    numbers = pd.to_numeric(pd.Series(_cells(grid, name), dtype=object), errors="coerce")
    return None if numbers.isna().all() else float(numbers.max())
