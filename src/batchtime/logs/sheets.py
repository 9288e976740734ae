"""Tables of runs and of timings as people save them: any separator, decimal mark, encoding and usual header."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from batchtime.errors import LogError, check
from batchtime.logs.headers import RUNS, TIMINGS, meanings, plain
from batchtime.logs.jsons import decoded
from batchtime.logs.numbers import Cell, Decimal, decimal_mark, number
from batchtime.logs.text import head, header, parse_grid, read_text

Paths = str | Path | Sequence[str | Path]
LARGEST = 1e15
_COUNTS = {"batch_size", "updates", "updates_lower", "seed", "learners"}
_TRUE, _FALSE = {"true", "1", "yes", "1.0"}, {"false", "0", "no", "0.0"}
_ALLOWED = {
    "batch_size": "a number more than 0 and at most 1e15",
    "updates": "a number more than 0 and at most 1e15",
    "seed": "a whole number, or empty",
    "updates_lower": "a number at least 0 and less than updates, or empty",
    "censored": "true, false or empty",
    "reached": "true, false or empty",
    "target": "a number",
    "learning_rate": "a number more than 0, or empty",
    "cpu_seconds": "a number of at least 0, or empty",
    "joules": "a number of at least 0, or empty",
    "learners": "a whole number more than 0, or empty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table whose columns are known."""

    path: str
    names: Sequence[str]
    columns: Mapping[str, int]
    cells: pd.DataFrame
    lines: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    decimal: Decimal
    notices: list[str] = field(default_factory=list)

    def texts(self, column: str) -> "pd.Series[str]":
        """Return the cells of a column; empty ones where it is not there."""
        if column not in self.columns:
            return pd.Series([""] * len(self.cells), dtype=object)
        return self.cells.iloc[:, self.columns[column]]

    def numbers(self, column: str, allowed: Callable[[pd.Series], "pd.Series[bool]"], *, empty: bool) -> pd.Series:
        """Return a column as numbers, NaN where it is empty.

        Raises:
            LogError: If a cell is no number or not allowed.
        """
        texts = self.texts(column)
        known = {text: number(text, self.decimal) for text in texts.unique()}
        found = texts.map(known).astype(np.float64)
        good = allowed(found) & (found.abs() <= LARGEST)
        if empty:
            good |= texts == ""
        if not good.all():
            raise self.bad(column, int(np.flatnonzero(~good)[0]))
        return found

    def truths(self, column: str) -> "pd.Series[bool]":
        """Return a column of true and false, false where it is empty."""
        texts = self.texts(column).str.lower()
        good = texts.isin(_TRUE | _FALSE | {""})
        if not good.all():
            raise self.bad(column, int(np.flatnonzero(~good)[0]))
        return texts.isin(_TRUE)

    def bad(self, column: str, row: int, allowed: str | None = None) -> LogError:
        """Return the complaint about a cell."""
        allowed = allowed or _ALLOWED.get(column, "a number more than 0")
        return LogError(
            f"{self.path}, line {self.lines[row]}, column {self.names[self.columns[column]]}, value "
            f"{self.texts(column).iloc[row]!r}: allowed is {allowed}"
        )


def read_runs(paths: Paths, *, examples: int | None = None, decimal: str | None = None) -> pd.DataFrame:
    """Read tables of runs, one row a run.

    Columns, under these or other usual names: `batch_size` and `updates`, or `epochs` of so many `examples`;
    optionally `learning_rate`, `seed`, `updates_lower` (the target was reached after more than `updates_lower` and at
    most `updates` updates; exact where the column is absent or the cell empty), `censored` (true where `updates` were
    spent without reaching the target) or its opposite `reached`, and `target`. Others are left out.

    Args:
        paths: Files of comma-, semicolon- or tab-separated values, or of JSON lines; "-" is standard input.
        examples: Training examples of an epoch.
        decimal: Decimal mark, "." or ","; found out where the cells tell it.

    Returns:
        A frame with the columns batch_size, updates, learning_rate, seed, updates_lower and censored, and target
        where a table has it; `attrs["notices"]` says how the tables were read.

    Raises:
        LogError: If a file or a cell cannot be used; the message names the line, the column and the value.

    Example:
        >>> read_runs("runs.csv").groupby("batch_size")["updates"].mean().loc[16.0].item()
        400.0
    """
    tables = [_table(Path(path), RUNS, ("batch_size", "updates"), decimal, epochs=True) for path in _several(paths)]
    return _together([_runs(table, examples) for table in tables], tables)


def read_timings(paths: Paths, *, decimal: str | None = None) -> pd.DataFrame:
    """Read tables of durations of updates, one row an update or the mean of some.

    Columns, under these or other usual names: `batch_size`, and `seconds` (wall time of one update) or `milliseconds`,
    `updates_per_second` or `examples_per_second`; optionally `cpu_seconds` (CPU time of the thread), by which a busy
    machine is told (without it the machine is taken to have been quiet), `joules`, `learners` and `device`.

    Args:
        paths: See `read_runs`.
        decimal: See `read_runs`.

    Returns:
        A frame with the columns batch_size and seconds, and of the optional ones those that are there;
        `attrs["notices"]` says how the tables were read.

    Raises:
        LogError: If a file or a cell cannot be used; the message names the line, the column and the value.

    Example:
        >>> read_timings("timing.csv").groupby("batch_size")["seconds"].median().loc[256].item()
        0.00612
    """
    tables = [_table(Path(path), TIMINGS, ("batch_size", "seconds"), decimal) for path in _several(paths)]
    return _together([_timings(table) for table in tables], tables)


def holds_seconds(path: str | Path) -> bool:
    """Return whether the header of a table names seconds of updates, in any unit, and neither updates nor epochs."""
    names = {plain(name) for name in header(head(Path(path)))}

    def named(column: str, known: Mapping[str, str]) -> bool:
        return not names.isdisjoint([column, *known.get(column, "").split()])

    return any(named(column, TIMINGS) for column in _SPEEDS) and not any(named(c, RUNS) for c in ("updates", "epochs"))


def _several(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _together(frames: list[pd.DataFrame], tables: Sequence[_Table]) -> pd.DataFrame:
    """Return frames as one, with what there is to say of the tables that they come from."""
    whole = pd.concat(frames, ignore_index=True)
    notices = dict.fromkeys(notice for table in tables for notice in table.notices)
    whole.attrs["notices"] = tuple(notices)
    return whole


def _table(
    path: Path, known: Mapping[str, str], needed: Sequence[str], decimal: str | None, *, epochs: bool = False
) -> _Table:
    """Return a table with its columns found and its decimal mark known."""
    check(decimal in (None, ".", ","), name="--decimal", value=decimal, allowed="a point or a comma")
    text, said = read_text(path)
    if text.lstrip("\ufeff \r\n\t").startswith(("{", "[")):
        names, cells, lines, separated = *_json(text, path), False
    else:
        grid = parse_grid(text, said, path=path)
        names, cells, lines, separated = grid.names, grid.cells, grid.lines, grid.delimiter == ","
    at = meanings(names, known, path=str(path))
    header = ",".join(names)
    for column in needed:
        others = {"seconds": _SPEEDS, "updates": ("epochs",) if epochs else ()}.get(column, ())
        if column not in at and not any(other in at for other in others):
            raise LogError(
                f"{path} lacks column {column} in its header {header!r}; name one of its columns so (needed: "
                f"{', '.join(needed)}; known besides: {', '.join(name for name in known if name not in needed)})"
            )
    if not len(cells):
        raise LogError(f"{path} has no rows below its header; give one row a run")
    table = _Table(path=str(path), names=names, columns=at, cells=cells, lines=lines, decimal=".")
    mark, thousands = (decimal, None) if decimal else _mark(table, commas_separate=separated)
    notices = [f"{path}: {sentence}" for sentence in said]
    notices += [f"read column {names[p]!r} as {name}" for name, p in at.items() if names[p] != name]
    if thousands is not None:
        notices.append(f"read {thousands.text!r} as {thousands.text.replace(',', '')}")
    if mark == ",":
        notices.append("read commas as decimal marks")
    if left := [name for position, name in enumerate(names) if position not in at.values() and name]:
        notices.append(f"left out column{'s' * (len(left) > 1)} {', '.join(left)}")
    return _Table(
        path=str(path),
        names=names,
        columns=at,
        cells=cells,
        lines=lines,
        decimal="," if mark == "," else ".",
        notices=notices,
    )


def _mark(table: _Table, *, commas_separate: bool) -> tuple[Decimal, Cell | None]:
    """Return the decimal mark that the cells of a table tell; see `decimal_mark`."""
    cells = [
        Cell(place=f"{table.path}, line {table.lines[row]}, column {table.names[position]}", text=text, counts=counts)
        for column, position in table.columns.items()
        for counts in (column in _COUNTS,)
        for texts in (table.cells.iloc[:, position],)
        for text, row in zip(*_first(texts[texts.str.contains("[.,]", regex=True)]), strict=True)
    ]
    return decimal_mark(cells, commas_separate=commas_separate)


def _first(texts: "pd.Series[str]") -> tuple[list[str], list[int]]:
    """Return different texts and the row at which each stands first."""
    once = texts.drop_duplicates()
    return list(once), [int(row) for row in once.index]


def _json(
    text: str, path: Path
) -> tuple[tuple[str, ...], pd.DataFrame, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the objects of JSON lines, or of one JSON list, as cells."""
    text = text.lstrip("\ufeff")
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    at = 1
    try:
        if text.lstrip().startswith("["):
            rows = decoded(text, msgspec.json.Decoder(list[dict[str, object]]))
            lines = [*range(1, len(rows) + 1)]
        else:
            decoder = msgspec.json.Decoder(dict[str, object])
            for at, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    rows.append(decoded(line, decoder))
                    lines.append(at)
    except msgspec.DecodeError as error:
        raise LogError(f"cannot read {path}: line {at} is no JSON object ({error}); mend or remove it") from None
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    cells = pd.DataFrame(
        {position: [_as_text(row.get(name)) for row in rows] for position, name in enumerate(names)}, dtype=str
    )
    return names, cells, np.array(lines)


def _as_text(value: object) -> str:
    """Return a JSON value as a cell; a number so that its point is no mark of thousands."""
    if isinstance(value, float):
        return f"{value!r}0" if re.fullmatch(r".*\.\d{3}", repr(value)) else repr(value)
    return "" if value is None else str(value).strip()


_SPEEDS: dict[str, Callable[[pd.Series, pd.Series], pd.Series]] = {
    "seconds": lambda _, value: value,
    "milliseconds": lambda _, value: value / 1e3,
    "microseconds": lambda _, value: value / 1e6,
    "updates_per_second": lambda _, value: 1 / value,
    "examples_per_second": lambda size, value: size / value,
}
"""Seconds of an update from a batch size and what a column holds; the first that is there counts."""


def _positive(values: pd.Series) -> "pd.Series[bool]":
    return values > 0


def _at_least_0(values: pd.Series) -> "pd.Series[bool]":
    return values >= 0


def _whole(values: pd.Series) -> "pd.Series[bool]":
    return values == values.round()


def _runs(table: _Table, examples: int | None) -> pd.DataFrame:
    sizes = table.numbers("batch_size", _positive, empty=False)
    lower = table.numbers("updates_lower", _at_least_0, empty=True)
    if "updates" in table.columns:
        updates = table.numbers("updates", _positive, empty=False)
    else:
        epochs = table.numbers("epochs", _positive, empty=False)
        if examples is None:
            raise LogError(
                f"{table.path} counts epochs in column {table.names[table.columns['epochs']]}; give --examples N, the "
                "training examples of an epoch"
            )
        check(examples >= 1, name="--examples", value=examples, allowed="a whole number, at least 1")
        updates = epochs * np.ceil(examples / sizes)
        table.notices.append(f"an epoch of {examples} examples is {examples} / batch_size updates, rounded up")
    censored = table.truths("censored")
    if "reached" in table.columns and "censored" not in table.columns:
        censored = ~(table.truths("reached") | (table.texts("reached") == ""))
    wrong = ~censored & (lower >= updates)
    if wrong.any():
        raise table.bad("updates_lower", int(np.flatnonzero(wrong)[0]))
    found = pd.DataFrame(
        {
            "batch_size": sizes,
            "updates": updates,
            "learning_rate": table.numbers("learning_rate", _positive, empty=True),
            "seed": table.numbers("seed", _whole, empty=True).astype("Int64"),
            "updates_lower": lower,
            "censored": censored,
        }
    )
    if "target" in table.columns:
        found["target"] = table.numbers("target", lambda values: values.notna(), empty=False)
    return found


def _timings(table: _Table) -> pd.DataFrame:
    sizes = table.texts("batch_size")
    allowed = "a whole number more than 0"
    found = sizes.map({text: number(text, table.decimal) for text in sizes.unique()}).astype(np.float64)
    good = (found > 0) & _whole(found) & (found <= LARGEST)
    if not good.all():
        raise table.bad("batch_size", int(np.flatnonzero(~good)[0]), allowed)
    column = next(name for name in _SPEEDS if name in table.columns)
    seconds = _SPEEDS[column](found, table.numbers(column, _positive, empty=False))
    frame = pd.DataFrame({"batch_size": found.astype(np.int64), "seconds": seconds})
    for name in ("cpu_seconds", "joules", "learners"):
        if name in table.columns:
            frame[name] = table.numbers(name, _at_least_0, empty=True)
    if "device" in table.columns:
        frame["device"] = table.texts("device")
    for name in ("device", "learners"):
        named = sorted(frame[name].dropna().unique()) if name in frame else []
        if len(named) > 1:
            several = ", ".join(map(str, named))
            raise LogError(f"{table.path}: two machines in one table ({name} {several}); keep the rows of one of them")
    return frame
