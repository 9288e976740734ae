"""Lightning's CSVLogger, metrics.csv with a column `step` and hparams.yaml beside it; or a table of that form."""

from pathlib import Path

from batchtime.logs.history import columns
from batchtime.logs.log import Log, Wanted
from batchtime.logs.settings import hparams

NAME = "Lightning's CSVLogger"


def matches(path: Path, head: str) -> bool:
    """Return whether this is a table whose header has the columns `step` and, of Lightning's own, `epoch`."""
    names = head.partition("\n")[0].strip().split(",")
    return ".csv" in path.suffixes and "step" in names


def place(path: Path) -> Path:
    """Return the folder of Lightning's version of a run; another table stands for itself."""
    return path.parent if path.name.startswith("metrics.csv") else path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run; Lightning counts the updates of a line from 0."""
    run = place(path)
    found = columns(path, run=run.as_posix(), step="step", wanted=wanted, offset=0 if run == path else 1)
    return [found.log(settings=hparams(path.parent))]
