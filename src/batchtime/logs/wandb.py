"""Exports of Weights & Biases as CSV: the history of a run, or a chart with a column for each of several runs."""

import re
from pathlib import Path

from batchtime.logs.history import columns
from batchtime.logs.log import Log, Wanted
from batchtime.logs.text import header, read_grid

NAME = "Weights & Biases' export"
_STEPS = ("trainer/global_step", "train/global_step", "global_step", "_step", "Step")
"""What counts updates, before what counts calls of the logger."""


def matches(path: Path, head: str) -> bool:
    """Return whether the header has a step of Weights & Biases."""
    return ".csv" in path.suffixes and bool({*header(head)} & {*_STEPS})


def place(path: Path) -> Path:
    """Return the file: it holds all of its runs."""
    return path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run, or that of each run of a chart: "RUN - METRIC" heads its column."""
    grid = read_grid(path, may_be_cut=True)
    step = next(name for name in _STEPS if name in grid.names)
    said = () if step.endswith("global_step") else (f"column {step!r} was read as updates",)
    runs = [name.removesuffix(f" - {wanted.metric}") for name in grid.names if name.endswith(f" - {wanted.metric}")]
    if not runs:
        if any(" - " in name for name in grid.names):  # a chart of another metric
            names = {re.sub("__(MIN|MAX)$", "", name.rpartition(" - ")[2]) for name in grid.names if " - " in name}
            table = columns(grid, run=path.as_posix(), step=step, wanted=wanted)
            return [table.log(metrics=names)]
        return [columns(grid, run=path.as_posix(), step=step, wanted=wanted).log(notices=said)]
    return [
        columns(grid, run=f"{path.as_posix()}/{run}", step=step, wanted=wanted, column=f"{run} - {wanted.metric}").log(
            notices=said, only_evaluations=True, metrics={wanted.metric}
        )
        for run in runs
    ]
