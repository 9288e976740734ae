"""The three files of runs, timings and evaluations: `read --out FOLDER` and whoever watches a run write the same."""

from pathlib import Path
from typing import TYPE_CHECKING

from batchtime.errors import LogError

if TYPE_CHECKING:  # `batchtime read --help` answers without waiting for pandas
    from batchtime.logs.read import Logs

FILES = ("runs.csv", "timing.csv", "evaluations.csv")
"""What `read --out FOLDER` writes, and `fit FOLDER` and `recommend FOLDER` read."""
_COUNTS = ("batch_size", "updates", "updates_lower")


def write(logs: "Logs", folder: Path) -> list[str]:
    """Write the tables of logs into a folder, each at once, and return their paths.

    Raises:
        LogError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in zip(FILES, (logs.runs, logs.timings, logs.evaluations), strict=True):
            counts = [column for column in _COUNTS if column in table and (table[column] % 1 == 0).all()]
            part = folder / f".{name}.part"  # nobody reads half of a table
            table.astype(dict.fromkeys(counts, "int64")).to_csv(part, index=False, lineterminator="\n")
            part.replace(folder / name)
    except OSError as error:
        raise LogError(f"cannot write to {folder}: {error.strerror}; name another folder") from error
    return [str(folder / name) for name in FILES]
