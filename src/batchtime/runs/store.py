"""The only reader and writer of the data folder: append-only JSON lines, one record a line.

A line ends with the CRC-32 of what stands before it, so that a flipped bit is seen. A line is written at once, flushed
and synced. A torn last line (a writer killed in the middle) is put aside when the file is next opened for writing.
"""

import contextlib
import csv
import hashlib
import io
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from batchtime.errors import BatchtimeError, StoreError
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.runs.locking import lock
from batchtime.runs.provenance import CHECKOUT
from batchtime.runs.records import (
    LARGEST_STUDENT,
    ConstantsRecord,
    LearnersRecord,
    NoiseRecord,
    RunRecord,
    StudentResult,
    StudyRecord,
    TimedRun,
    TimingRecord,
)
from batchtime.runs.spec import PROTOCOL_VERSION

Record = RunRecord | TimingRecord | StudyRecord | ConstantsRecord | TimedRun | LearnersRecord | NoiseRecord
_R = TypeVar("_R")
_K = TypeVar("_K", bound=Record)
_MARK = b',"crc32":"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that records were read from: its path in the data folder, what it held then, and who had recorded it.

    `commits` are those of the code that made the records; `live` are records of this machine, not published ones.
    """

    file: str
    sha256: str
    records: int
    commits: tuple[str, ...]
    live: bool


def data_folder() -> Path:
    """Return the data folder: $BATCHTIME_DATA, data/ of the checkout, or, where there is none, the current user's.

    The user's is where the platform keeps such data: %LOCALAPPDATA% on Windows, ~/Library/Application Support on macOS,
    and $XDG_DATA_HOME or ~/.local/share elsewhere. It is made on first use.
    """
    if named := os.environ.get("BATCHTIME_DATA"):
        return Path(named)
    if CHECKOUT is not None:
        return CHECKOUT / "data"
    home = Path.home()
    usual = {"win32": ("LOCALAPPDATA", home / "AppData/Local"), "darwin": ("", home / "Library/Application Support")}
    variable, otherwise = usual.get(sys.platform, ("XDG_DATA_HOME", home / ".local/share"))
    folder = Path(os.environ.get(variable) or otherwise) / "batchtime"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def datasets_folder() -> Path:
    """Return the folder of the data sets: $BATCHTIME_DATASETS, or cache/datasets in the data folder."""
    return Path(os.environ.get("BATCHTIME_DATASETS", data_folder() / "cache" / "datasets"))


@dataclass(frozen=True, slots=True)
class Store:
    """Recorded runs, timings and studies by name.

    `runs/NAME.jsonl`, `timings/`, `studies/` and `constants/` hold published results; the same names under
    `cache/` are this machine's own. Both are read; `recording` says which of them is written.
    """

    folder: Path
    recording: bool = False

    def runs_file(self, name: str) -> Path:
        """Return the file that runs of this sweep are written to."""
        return self._target() / "runs" / f"{name}.jsonl"

    def timings_file(self, name: str) -> Path:
        """Return the file that timings of this workload are written to."""
        return self._target() / "timings" / f"{name}.jsonl"

    def studies_file(self, name: str) -> Path:
        """Return the file that a simulation study is written to."""
        return self._target() / "studies" / f"{name}.jsonl"

    def constants_file(self, name: str) -> Path:
        """Return the file that the constants of this workload are written to."""
        return self._target() / "constants" / f"{name}.jsonl"

    def timed_runs_file(self, name: str) -> Path:
        """Return the file that timed runs of this sweep's setting are written to."""
        return self._target() / "timed_runs" / f"{name}.jsonl"

    def learners_file(self, name: str) -> Path:
        """Return the file that timings of several learners are written to."""
        return self._target() / "learners" / f"{name}.jsonl"

    def noise_file(self, name: str) -> Path:
        """Return the file that the gradient noise of this workload is written to."""
        return self._target() / "noise" / f"{name}.jsonl"

    def timed_runs(self, name: str, *, own: bool = False) -> list[TimedRun]:
        """Return the timed runs of a sweep's setting: the published ones, or this machine's `own`.

        Raises:
            StoreError: If a line is damaged.
        """
        return self._measured("timed_runs", name, TimedRun, own=own)

    def learners(self, name: str, *, own: bool = False) -> list[LearnersRecord]:
        """Return the timings of several learners: the published ones, or this machine's `own`.

        Raises:
            StoreError: If a line is damaged.
        """
        return self._measured("learners", name, LearnersRecord, own=own)

    def noise(self, name: str) -> list[NoiseRecord]:
        """Return the gradient noise along runs, published first; while `recording`, that alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "noise" / f"{name}.jsonl", NoiseRecord)]

    def _measured(self, kind: str, name: str, record: type[_K], *, own: bool) -> list[_K]:
        """Return records of durations; those of two machines are never put together."""
        published, cached = self._sources()
        return _read((cached if own else published) / kind / f"{name}.jsonl", record)

    def studies(self, name: str) -> list[StudyRecord]:
        """Return what is recorded of a simulation study, published first; while `recording`, that alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "studies" / f"{name}.jsonl", StudyRecord)]

    def runs(self, name: str) -> list[RunRecord]:
        """Return the recorded runs of a sweep, published ones first; while `recording`, these alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "runs" / f"{name}.jsonl", RunRecord)]

    def sources(self, kind: str, *names: str, own: bool | None = None) -> tuple[Source, ...]:
        """Return the files that hold records of a kind under these names, as they are now, published ones first.

        Args:
            kind: The folder of the records: "runs", "timings", "timed_runs", "learners", "noise", "constants" or so.
            names: Of the sweeps or workloads.
            own: Whether this machine's own records are meant, or the published ones; None for both.

        Raises:
            StoreError: If a line is damaged.

        Example:
            >>> Store(data_folder()).sources("runs", "mnist-lenet")[0].file
            'data/runs/mnist-lenet.jsonl'
        """
        published, cached = self._sources()
        tops = [(published, False)] if self.recording else [(published, False), (cached, True)]
        return tuple(
            _source(path, file="/".join(("data", *path.relative_to(self.folder).parts)), live=live)
            for name in dict.fromkeys(names)
            for top, live in tops
            if own in (None, live)
            for path in [top / kind / f"{name}.jsonl"]
            if path.exists()
        )

    def published(self) -> list[str]:
        """Return the names of the sweeps with published runs."""
        return sorted(path.stem for path in (self._sources()[0] / "runs").glob("*.jsonl"))

    def latest_timing(self, name: str, *, own: bool = False) -> TimingRecord:
        """Return the timings of a workload that were measured last.

        Args:
            name: Workload.
            own: Whether this machine's own timings are meant, instead of the published ones.

        Raises:
            StoreError: If none are recorded, or a line is damaged.
        """
        found = self._measured("timings", name, TimingRecord, own=own)
        if not found:
            path = self._sources()[own] / "timings" / f"{name}.jsonl"
            raise StoreError(f"{path} holds no timings of {name}; measure them first with `batchtime time`")
        return found[-1]

    def latest_constants(self, name: str) -> ConstantsRecord:
        """Return the constants of a workload that were computed last; published ones before this machine's own.

        Raises:
            StoreError: If none are recorded, or a line is damaged.
        """
        for top in self._sources():
            if found := _read(top / "constants" / f"{name}.jsonl", ConstantsRecord):
                return found[-1]
        path = self._sources()[0] / "constants" / f"{name}.jsonl"
        raise StoreError(f"{path} holds no constants of {name}; compute them first: batchtime constants {name}")

    def _sources(self) -> tuple[Path, Path]:
        if not self.folder.is_dir():
            remedy = "create it, or name another one (--data FOLDER, or $BATCHTIME_DATA)"
            raise StoreError(f"there is no data folder {self.folder}; {remedy}")
        return self.folder, self.folder / "cache"

    def _target(self) -> Path:
        return self._sources()[0 if self.recording else 1]


class Writer:
    """Append records to one file, which nobody else writes meanwhile."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over a locked descriptor; use `writing` instead."""
        self.path = path
        self._descriptor = descriptor

    def append(self, record: Record) -> None:
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
        busy = f"another process is writing to {path}; wait for it to end, or stop it"
        try:
            lock(descriptor, wait=False)
        except BlockingIOError as error:
            raise StoreError(busy) from error
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(descriptor)):
            raise StoreError(busy)  # it has just recorded nothing, and removed the file
        _put_torn_line_aside(path, descriptor)
        try:
            yield Writer(path, descriptor)
        finally:
            if os.fstat(descriptor).st_size == 0:
                path.unlink()  # nothing was recorded
    finally:
        os.close(descriptor)


def _put_torn_line_aside(path: Path, descriptor: int) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.with_suffix(".torn").open("ab") as aside:
            aside.write(content[whole:] + b"\n")
        os.ftruncate(descriptor, whole)


def _read(path: Path, kind: type[_K]) -> list[_K]:
    """Return the records of one file, without a torn last line; nothing if there is no file."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(kind)
    content = path.read_bytes()
    lines = content.split(b"\n")[:-1]
    return [_decode(line, decoder, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


class _Made(msgspec.Struct):
    commit: str | None


class _Any(msgspec.Struct):
    provenance: _Made


def _source(path: Path, *, file: str, live: bool) -> Source:
    """Return what there is to say of a file of records, of whatever kind they are."""
    content = path.read_bytes()
    decoder = msgspec.json.Decoder(_Any)
    lines = content.split(b"\n")[:-1]
    made = [_decode(line, decoder, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    commits = {record.provenance.commit for record in made}
    return Source(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        records=len(lines),
        commits=tuple(sorted(commit for commit in commits if commit)),
        live=live,
    )


_D = TypeVar("_D")


def _decode(line: bytes, decoder: "msgspec.json.Decoder[_D]", place: str) -> _D:
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
    (true where `updates` were spent without reaching the target; `updates_lower` is of no use there).

    Raises:
        StoreError: If the file or a cell cannot be used; the message names the line, the column and the value.
    """
    return [_observation(row, place) for row, place in _rows(path, _RUN_COLUMNS)]


def read_timings(path: Path) -> list[UpdateTiming]:
    """Read anybody's durations of updates from a CSV file with a header, one row a duration.

    Columns: `batch_size` and `seconds` (wall time of one update); optionally `cpu_seconds` (CPU time of the thread),
    by which a busy machine is told; without it the machine is taken to have been quiet.

    Raises:
        StoreError: If the file or a cell cannot be used; the message names the line, the column and the value.
    """
    durations: dict[int, list[tuple[float, float]]] = {}
    for row, place in _rows(path, _TIMING_COLUMNS):
        cells = _Cells(row, place, _TIMING_COLUMNS)
        size, seconds = cells.required("batch_size", int), cells.required("seconds", float)
        cpu = cells.read("cpu_seconds", float)
        durations.setdefault(size, []).append((seconds, cpu or seconds))
    return [
        UpdateTiming(
            batch_size=size,
            wall_seconds=tuple(wall for wall, _ in pairs),
            cpu_seconds=tuple(cpu for _, cpu in pairs),
        )
        for size, pairs in sorted(durations.items())
    ]


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
_TIMING_COLUMNS = {
    "batch_size": "a whole number more than 0",
    "seconds": "a number more than 0",
    "cpu_seconds": "a number more than 0, or empty",
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
