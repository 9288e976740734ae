"""Keras' CSVLogger: a table with a row an epoch, counted from 0."""

from pathlib import Path

from batchtime.logs.history import columns
from batchtime.logs.log import Log, Wanted
from batchtime.logs.text import header

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
    return [columns(path, run=path.as_posix(), step="epoch", wanted=wanted, offset=1).log(unit="epochs")]
