"""Keras' CSVLogger: a table with a row an epoch, counted from 0; or another one, counted from 1."""

from pathlib import Path

from batchtime.logs.history import columns
from batchtime.logs.log import Log, Wanted
from batchtime.logs.text import header, read_grid

NAME = "Keras' CSVLogger"


def matches(path: Path, head: str) -> bool:
    """Return whether this is a table whose first column is `epoch`, and none counts updates."""
    names = header(head)
    return names[0] == "epoch" and len(names) > 1 and not {"step", "iteration", "iter"} & {*names} and bool(path.suffix)


def place(path: Path) -> Path:
    """Return the file: it holds all of its runs."""
    return path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run, counted in epochs."""
    grid = read_grid(path, may_be_cut=True)
    first = grid.cells.iloc[:, grid.names.index("epoch")].head(1).to_list()
    offset = 0 if first == ["1"] else 1
    return [columns(grid, run=path.as_posix(), step="epoch", wanted=wanted, offset=offset).log(unit="epochs")]
