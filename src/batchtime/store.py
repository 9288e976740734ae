"""The only reader and writer of the data folder: append-only JSON lines, one record a line.

A line ends with the CRC-32 of what stands before it, so that a flipped bit is seen. A line is written at once, flushed
and synced. A torn last line (a writer killed in the middle) is put aside when the file is next opened for writing.
"""

import contextlib
import csv
import fcntl
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from batchtime.provenance import ROOT
from batchtime.records import BatchtimeError, Observation, RunRecord, TimingRecord

_R = TypeVar("_R")
_MARK = b',"crc32":"'


class StoreError(BatchtimeError):
    """The data folder cannot be read or written; the message names the file, the line and the remedy."""


def data_folder() -> Path:
    """Return the data folder: $BATCHTIME_DATA, or data/ of the checkout."""
    return Path(os.environ.get("BATCHTIME_DATA", ROOT / "data"))


def datasets_folder() -> Path:
    """Return the folder of the data sets: $BATCHTIME_DATASETS, or cache/datasets in the data folder."""
    return Path(os.environ.get("BATCHTIME_DATASETS", data_folder() / "cache" / "datasets"))


@dataclass(frozen=True, slots=True)
class Store:
    """Recorded runs and timings by sweep name.

    `runs/NAME.jsonl` and `timings/NAME.jsonl` are published results; the same names under `cache/` are this machine's
    own. Both are read; `recording` says which of them is written.
    """

    folder: Path
    recording: bool = False

    def runs_file(self, name: str) -> Path:
        """Return the file that runs of this sweep are written to."""
        return self._target() / "runs" / f"{name}.jsonl"

    def timings_file(self, name: str) -> Path:
        """Return the file that timings of this workload are written to."""
        return self._target() / "timings" / f"{name}.jsonl"

    def runs(self, name: str) -> list[RunRecord]:
        """Return the recorded runs of a sweep, published ones first.

        Raises:
            StoreError: If a line is damaged.
        """
        return [r for top in self._sources() for r in _read(top / "runs" / f"{name}.jsonl", RunRecord)]

    def latest_timing(self, name: str, *, own: bool = False) -> TimingRecord:
        """Return the timings of a workload that were measured last.

        Args:
            name: Workload.
            own: Whether this machine's own timings are meant, instead of the published ones.

        Raises:
            StoreError: If none are recorded, or a line is damaged.
        """
        published, cached = self._sources()
        path = (cached if own else published) / "timings" / f"{name}.jsonl"
        found = _read(path, TimingRecord)
        if not found:
            raise StoreError(f"{path} holds no timings of {name}; measure them first: batchtime time {name}")
        return found[-1]

    def _sources(self) -> tuple[Path, Path]:
        if not self.folder.is_dir():
            remedy = "create it, or name another one (--data FOLDER, or $BATCHTIME_DATA)"
            raise StoreError(f"there is no data folder {self.folder}; {remedy}")
        return self.folder, self.folder / "cache"

    def _target(self) -> Path:
        return self.folder if self.recording else self.folder / "cache"


class Writer:
    """Append records to one file, which nobody else writes meanwhile."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over a locked descriptor; use `writing` instead."""
        self.path = path
        self._descriptor = descriptor

    def append(self, record: RunRecord | TimingRecord) -> None:
        """Write one record and wait until it is on the disk.

        Raises:
            StoreError: If it cannot be written; then the file is as it was before.
        """
        body = msgspec.json.encode(record)
        line = body[:-1] + _MARK + f'{zlib.crc32(body):08x}"}}\n'.encode()
        before = os.fstat(self._descriptor).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, before)
            message = f"cannot write to {self.path}: {error.strerror}; what it held is whole: make room and run again"
            raise StoreError(message) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Open a file of records for appending, alone; put a torn last line aside first.

    Raises:
        StoreError: If the file cannot be opened, or another process is writing to it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise StoreError(f"cannot open {path} for writing: {error.strerror}; name another data folder") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"another process is writing to {path}; wait for it to end, or stop it") from error
        _put_torn_line_aside(path, descriptor)
        yield Writer(path, descriptor)
    finally:
        os.close(descriptor)


def _put_torn_line_aside(path: Path, descriptor: int) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.with_suffix(".torn").open("ab") as aside:
            aside.write(content[whole:] + b"\n")
        os.ftruncate(descriptor, whole)


def _read(path: Path, kind: type[_R]) -> list[_R]:
    """Return the records of one file, without a torn last line; nothing if there is no file."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(kind)
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_decode(line, decoder, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _decode(line: bytes, decoder: "msgspec.json.Decoder[_R]", place: str) -> _R:
    head, _, tail = line.rpartition(_MARK)
    body = head + b"}"
    remedy = "restore the file from version control, or delete that line and run the sweep again"
    if tail != f'{zlib.crc32(body):08x}"}}'.encode():
        raise StoreError(f"{place} is damaged (its checksum does not fit); {remedy}")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, BatchtimeError) as error:
        raise StoreError(f"{place} is no record of this version ({error}); {remedy}") from error


def read_observations(path: Path) -> list[Observation]:
    """Read anybody's measurements from a CSV file with a header.

    Columns: `batch_size` and `updates`; optionally `seed`, `updates_lower` (the target was reached after more than
    `updates_lower` and at most `updates` updates; exact where the column is absent or the cell empty) and `censored`
    (true where `updates` were spent without reaching the target).

    Raises:
        StoreError: If the file or a cell cannot be used; the message names the line, the column and the value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}; give a CSV file with columns batch_size,updates") from error
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = [name.strip() for name in rows.fieldnames or []]
    known = [column.name for column in fields(_Row)]
    missing = [name for name in ("batch_size", "updates") if name not in names]
    unknown = [name for name in names if name not in known]
    if missing or unknown or len(set(names)) < len(names):
        problem = f"lacks column {missing[0]}" if missing else f"has unknown or repeated columns {unknown or names}"
        raise StoreError(f"{path} {problem}; allowed: {', '.join(known)} (the first two are needed)")
    rows.fieldnames = names
    table = [_observation(row, f"{path}, line {rows.line_num}") for row in rows if any(row.values())]
    if not table:
        raise StoreError(f"{path} has no rows below its header; give one row a run")
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The columns of a table of measurements."""

    batch_size: float
    updates: float
    seed: int | None = None
    updates_lower: float | None = None
    censored: bool = False


def _observation(cells: dict[Any, Any], place: str) -> Observation:
    if None in cells or None in cells.values():
        raise StoreError(f"{place} has more or fewer cells than the header; give one cell a column")
    given = {name: text.strip() for name, text in cells.items() if text.strip()}
    given |= {"censored": given["censored"].lower()} if "censored" in given else {}
    try:
        row = msgspec.convert(given, _Row, strict=False)
    except msgspec.ValidationError as error:
        column = str(error).rpartition("`$.")[2].rstrip("`")
        value = f", column {column}, value {given[column]!r}" if column in given else ""
        raise StoreError(f"{place}{value}: {str(error).partition(' - ')[0]}; correct or remove that row") from error
    lower = 0.0 if row.updates_lower is None else row.updates_lower
    for name, number in (("batch_size", row.batch_size), ("updates", row.updates)):
        if not 0 < number < math.inf:
            raise StoreError(f"{place}, column {name}, value {number:g}: not a finite number more than 0")
    if not 0 <= lower < row.updates or (row.censored and row.updates_lower is not None):
        text = "must be at least 0 and less than updates, and empty where censored is true"
        raise StoreError(f"{place}, column updates_lower, value {lower:g}: {text}")
    if row.censored:
        return Observation(batch_size=row.batch_size, lower=row.updates, upper=None, seed=row.seed)
    lower = row.updates if row.updates_lower is None else lower
    return Observation(batch_size=row.batch_size, lower=lower, upper=row.updates, seed=row.seed)


def write_observations(path: Path, observations: Sequence[Observation]) -> None:
    """Write measurements as the CSV file that `read_observations` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["batch_size", "updates", "seed", "updates_lower", "censored"])
        for seen in observations:
            exact = seen.upper is None or seen.lower == seen.upper
            updates = seen.lower if seen.upper is None else seen.upper
            lower = "" if exact else seen.lower
            table.writerow([seen.batch_size, updates, "" if seen.seed is None else seen.seed, lower, seen.censored])
