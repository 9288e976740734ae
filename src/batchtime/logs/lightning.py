"""Lightning's CSVLogger, metrics.csv with a column `step` and hparams.yaml beside it; or a table of that form."""

from collections.abc import Sequence
from pathlib import Path

from batchtime.logs.history import columns
from batchtime.logs.log import Log, Wanted
from batchtime.logs.settings import hparams
from batchtime.logs.text import header, read_grid

NAME = "Lightning's CSVLogger"
_STEPS = ("step", "iteration", "iter")


def matches(path: Path, head: str) -> bool:
    """Return whether this is a table with a column that counts steps."""
    return {".csv", ".tsv"} & {*path.suffixes} != set() and _step(header(head)) is not None


def _step(names: Sequence[str]) -> str | None:
    return next((name for name in names if name in _STEPS), None)


def place(path: Path) -> Path:
    """Return the folder of Lightning's version of a run; another table stands for itself."""
    return path.parent if path.name.startswith("metrics.csv") else path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run; Lightning counts the updates of a line from 0."""
    run = place(path)
    grid = read_grid(path, may_be_cut=True)
    step = _step(grid.names) or _STEPS[0]
    found = columns(grid, run=run.as_posix(), step=step, wanted=wanted, offset=0 if run == path else 1)
    return [found.log(settings=hparams(path.parent))]
