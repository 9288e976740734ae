"""Tables that a class and the calculator take: commas only, every cell checked, what a student measured in a file."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from batchtime.errors import StoreError
from batchtime.fit.measurements import Observation
from batchtime.runs.records import (
    LARGEST_STUDENT,
    StudentResult,
)
from batchtime.runs.spec import PROTOCOL_VERSION

_R = TypeVar("_R")


def read_observations(path: Path) -> list[Observation]:
    """Read anybody's measurements from a CSV file with a header.

    Columns: `batch_size` and `updates`; optionally `seed`, `updates_lower` (the target was reached after more than
    `updates_lower` and at most `updates` updates; exact where the column is absent or the cell empty) and `censored`
    (true where `updates` were spent without reaching the target; `updates_lower` is of no use there).

    Raises:
        StoreError: If the file or a cell cannot be used; the message names the line, the column and the value.
    """
    return [_observation(row, place) for row, place in _rows(path, _RUN_COLUMNS)]


def write_student(path: Path, result: StudentResult) -> None:
    """Write what a student measured as a CSV file, which `read_student` reads; a file of that name is replaced.

    Raises:
        StoreError: If it cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_STUDENT_COLUMNS)
    for run in result.observations:
        size = int(run.batch_size)
        updates = run.lower if run.upper is None else run.upper
        lower = "" if updates == run.lower else f"{run.lower:g}"
        censored = str(run.censored).lower()
        table.writerow([PROTOCOL_VERSION, result.student, size, f"{updates:g}", lower, censored, result.seconds[size]])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; name another folder") from error


def read_student(path: Path) -> StudentResult:
    """Read what a student measured.

    Raises:
        StoreError: If the file is of another version or a cell cannot be used; the message names the line, the column
            and the value.
    """
    observations: dict[float, Observation] = {}
    seconds: dict[int, float] = {}
    students: set[int] = set()
    for row, place in _rows(path, _STUDENT_COLUMNS):
        cells = _Cells(row, place, _STUDENT_COLUMNS)
        if (version := cells.required("protocol", int)) != PROTOCOL_VERSION:
            raise StoreError(
                f"{place} is of protocol version {version}, and this program's is {PROTOCOL_VERSION}; let everybody "
                "use one version and make the file again"
            )
        student, size = cells.required("student", int), cells.required("batch_size", int)
        students.add(student)
        if student > LARGEST_STUDENT or len(students) > 1:
            raise cells.bad("student")
        if size in seconds:
            raise cells.bad("batch_size")
        observations[size] = _observation({name: row[name] for name in _RUN_COLUMNS if name in row}, place, student)
        seconds[size] = cells.required("seconds", float)
    return StudentResult(student=students.pop(), observations=tuple(observations.values()), seconds=seconds)


def _rows(path: Path, columns: Mapping[str, str]) -> list[tuple[dict[str, str], str]]:
    """Return the rows of a table that are not empty, each with the words for where it stands."""
    needed = [name for name, allowed in columns.items() if "empty" not in allowed]
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        names = [name.strip() for name in rows.fieldnames or []]
        _check_header(path, names, columns, needed)
        rows.fieldnames = names
        table = [(row, f"{path}, line {rows.line_num}") for row in rows if any(row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"cannot read {path}: {error}; give a CSV file with columns {','.join(needed)}") from error
    if not table:
        raise StoreError(f"{path} has no rows below its header; give one row a run")
    return table


def _check_header(path: Path, names: list[str], columns: Mapping[str, str], needed: list[str]) -> None:
    missing = [name for name in needed if name not in names]
    unknown = [name for name in names if name not in columns]
    if missing or unknown or len(set(names)) < len(names):
        header = ",".join(names)
        remedy = "separate cells with commas" if ";" in header or "\t" in header else f"allowed: {', '.join(columns)}"
        problem = f"lacks column {missing[0]}" if missing else f"has unknown or repeated columns {unknown or names}"
        raise StoreError(f"{path} {problem} in its header {header!r}; {remedy} (needed: {', '.join(needed)})")


_RUN_COLUMNS = {
    "batch_size": "a number more than 0 and at most 1e15",
    "updates": "a number more than 0 and at most 1e15",
    "seed": "a whole number, or empty",
    "updates_lower": "a number at least 0 and less than updates, or empty",
    "censored": "true, false or empty",
}
_STUDENT_COLUMNS = {
    "protocol": "a whole number more than 0",
    "student": f"a whole number from 1 to {LARGEST_STUDENT}, the same in every line",
    "batch_size": "a whole number more than 0, each once",
    "updates": _RUN_COLUMNS["updates"],
    "updates_lower": _RUN_COLUMNS["updates_lower"],
    "censored": _RUN_COLUMNS["censored"],
    "seconds": "a number more than 0",
}


class _Cells:
    """The cells of one row, with their place and what is allowed in them."""

    def __init__(self, cells: dict[Any, Any], place: str, columns: Mapping[str, str]) -> None:
        if None in cells or None in cells.values():
            raise StoreError(f"{place} has more or fewer cells than the header; give one cell a column")
        self._texts = {name: text.strip() for name, text in cells.items()}
        self._place, self._columns = place, columns

    def read(self, column: str, kind: type[_R]) -> _R | None:
        """Return a value; None for an empty cell or a column that is not there."""
        text = re.sub(r"^(?=\.\d)", "0", self._texts.get(column, "").lower())  # .5 is a number as well
        try:
            value = msgspec.convert(text, kind, strict=False) if text else None
        except msgspec.ValidationError:
            raise self.bad(column) from None
        if kind is float and value is not None and not 0 <= value <= 1e15:  # type: ignore[operator]
            raise self.bad(column)
        return value

    def required(self, column: str, kind: type[_R]) -> _R:
        """Return a value more than 0."""
        value = self.read(column, kind)
        if value is None or value <= 0:  # type: ignore[operator]
            raise self.bad(column)
        return value

    def bad(self, column: str) -> StoreError:
        """Return the complaint about a cell."""
        return StoreError(
            f"{self._place}, column {column}, value {self._texts[column]!r}: allowed is {self._columns[column]}"
        )


def _observation(row: dict[str, str], place: str, student: int | None = None) -> Observation:
    cells = _Cells(row, place, _RUN_COLUMNS)
    batch_size, updates = cells.required("batch_size", float), cells.required("updates", float)
    lower, censored = cells.read("updates_lower", float), cells.read("censored", bool)
    seed = cells.read("seed", int) if student is None else student
    if censored:
        return Observation(batch_size=batch_size, lower=updates, upper=None, seed=seed)
    if lower is not None and lower >= updates:
        raise cells.bad("updates_lower")
    return Observation(batch_size=batch_size, lower=updates if lower is None else lower, upper=updates, seed=seed)
