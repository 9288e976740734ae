"""The only reader and writer of the data folder: append-only JSON lines, one record a line.

A line ends with the CRC-32 of what stands before it, so that a flipped bit is seen. A line is written at once, flushed
and synced. A torn last line (a writer killed in the middle) is put aside when the file is next opened for writing.
"""

import contextlib
import hashlib
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from batchtime.errors import BatchtimeError, StoreError
from batchtime.runs.locking import lock
from batchtime.runs.provenance import CHECKOUT
from batchtime.runs.records import (
    AdviceRecord,
    ConstantsRecord,
    LearnersRecord,
    NoiseRecord,
    RunRecord,
    StudyRecord,
    TimedRun,
    TimingRecord,
)
from batchtime.runs.spec import Device, Optimizer, Setting

Record = (
    RunRecord | TimingRecord | StudyRecord | ConstantsRecord | TimedRun | LearnersRecord | NoiseRecord | AdviceRecord
)
_K = TypeVar("_K", bound=Record)
Flag = str | int | float | list[str | float]
"""What a flag of the command line is given."""
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
        """Return the file that runs of this sweep are written to; of "module:function" it is module.function.jsonl."""
        return self._target() / "runs" / _file(name)

    def timings_file(self, name: str) -> Path:
        """Return the file that timings of this workload are written to."""
        return self._target() / "timings" / _file(name)

    def studies_file(self, name: str) -> Path:
        """Return the file that a simulation study is written to."""
        return self._target() / "studies" / _file(name)

    def constants_file(self, name: str) -> Path:
        """Return the file that the constants of this workload are written to."""
        return self._target() / "constants" / _file(name)

    def timed_runs_file(self, name: str) -> Path:
        """Return the file that timed runs of this sweep's setting are written to."""
        return self._target() / "timed_runs" / _file(name)

    def learners_file(self, name: str) -> Path:
        """Return the file that timings of several learners are written to."""
        return self._target() / "learners" / _file(name)

    def noise_file(self, name: str) -> Path:
        """Return the file that the gradient noise of this workload is written to."""
        return self._target() / "noise" / _file(name)

    def commands_folder(self, name: str) -> Path:
        """Return the folder in which each run of a training command has a folder of its own."""
        return self._sources()[1].absolute() / "commands" / name

    def advice_file(self, name: str) -> Path:
        """Return the file that advice for published series is written to."""
        return self._target() / "advice" / f"{name}.jsonl"

    def advice(self, name: str) -> list[AdviceRecord]:
        """Return the advice for published series, in the order in which it was recorded; while `recording`, that alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "advice" / f"{name}.jsonl", AdviceRecord)]

    def timed_runs(
        self, name: str, *, own: bool = False, threads: int = 1, device: Device = "cpu", learners: int = 1
    ) -> list[TimedRun]:
        """Return the timed runs of a sweep's setting: the published ones, or this machine's `own`.

        Args:
            name: Of the sweep.
            own: Whether this machine's own runs are meant, instead of the published ones.
            threads: That did the updates.
            device: That did them.
            learners: That shared each batch.

        Raises:
            StoreError: If a line is damaged.
        """
        found = self._measured("timed_runs", name, TimedRun, own=own)
        here = [run for run in found if run.provenance.made_by(threads=threads, device=device)]
        return [run for run in here if run.learners == learners]

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
        return [r for top in tops for r in _read(top / "noise" / _file(name), NoiseRecord)]

    def _measured(self, kind: str, name: str, record: type[_K], *, own: bool) -> list[_K]:
        """Return records of durations; those of two machines are never put together."""
        published, cached = self._sources()
        return _read((cached if own else published) / kind / _file(name), record)

    def studies(self, name: str) -> list[StudyRecord]:
        """Return what is recorded of a simulation study, published first; while `recording`, that alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "studies" / _file(name), StudyRecord)]

    def runs(self, name: str) -> list[RunRecord]:
        """Return the recorded runs of a sweep, published ones first; while `recording`, these alone.

        Raises:
            StoreError: If a line is damaged.
        """
        tops = self._sources()[:1] if self.recording else self._sources()
        return [r for top in tops for r in _read(top / "runs" / _file(name), RunRecord)]

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
            for path in [top / kind / _file(name)]
            if path.exists()
        )

    def remember(self, name: str, flags: Mapping[str, object]) -> None:
        """Keep with what flags a sweep of one's own was started last, beside this machine's own runs.

        Raises:
            StoreError: If they cannot be written.
        """
        path = self._sources()[1] / "flags" / _file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(flags))
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; name another data folder") from error

    def remembered(self, name: str) -> dict[str, Flag]:
        """Return the flags that were kept; none where there are none, or where the file is no longer whole."""
        path = self._sources()[1] / "flags" / _file(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Flag])
        except (OSError, msgspec.DecodeError):
            return {}

    def published(self) -> list[str]:
        """Return the names of the sweeps with published runs."""
        return sorted(path.stem for path in (self._sources()[0] / "runs").glob("*.jsonl"))

    def latest_timing(self, name: str, *, own: bool = False) -> TimingRecord:
        """Return the timings of a workload that were measured last, of plain SGD and one thread of the processor.

        Args:
            name: Workload.
            own: Whether this machine's own timings are meant, instead of the published ones.

        Raises:
            StoreError: If none are recorded, or a line is damaged.
        """
        found = self._measured("timings", name, TimingRecord, own=own)
        made = [one for one in found if one.provenance.made_by(threads=1, device="cpu")]
        plain = [one for one in made if one.optimizer == Optimizer()]
        if not plain:
            path = self._sources()[own] / "timings" / _file(name)
            raise StoreError(f"{path} holds no timings of {name}; measure them first with `batchtime time`")
        return plain[-1]

    def timing(self, setting: Setting, *, own: bool = False, threads: int = 1, device: Device = "cpu") -> TimingRecord:
        """Return the timings that were measured last of just what a setting trains, with its optimizer.

        Args:
            setting: Of a sweep; its target and step size do not matter.
            own: Whether this machine's own timings are meant, instead of the published ones.
            threads: That did an update.
            device: That did it.

        Raises:
            StoreError: If none are recorded (the message says in what the nearest differ), or a line is damaged.
        """
        name = setting.workload.name
        found = self._measured("timings", name, TimingRecord, own=own)
        mismatches = [one.mismatch(setting, threads=threads, device=device) for one in found]
        fitting = [one for one, mismatch in zip(found, mismatches, strict=True) if mismatch is None]
        if not fitting:
            path = self._sources()[own] / "timings" / _file(name)
            other = f" (the latest there are of {mismatches[-1]})" if mismatches else ""
            typed = name if setting.workload.source is None else setting.workload.source.function
            raise StoreError(f"{path} holds no timings of {typed} as it is{other}; measure them with `batchtime time`")
        return fitting[-1]

    def latest_constants(self, name: str) -> ConstantsRecord:
        """Return the constants of a workload that were computed last; published ones before this machine's own.

        Raises:
            StoreError: If none are recorded, or a line is damaged.
        """
        for top in self._sources():
            if found := _read(top / "constants" / _file(name), ConstantsRecord):
                return found[-1]
        path = self._sources()[0] / "constants" / _file(name)
        raise StoreError(f"{path} holds no constants of {name}; compute them first: batchtime constants {name}")

    def _sources(self) -> tuple[Path, Path]:
        if not self.folder.is_dir():
            remedy = "create it, or name another one (--data FOLDER, or $BATCHTIME_DATA)"
            raise StoreError(f"there is no data folder {self.folder}; {remedy}")
        return self.folder, self.folder / "cache"

    def _target(self) -> Path:
        return self._sources()[0 if self.recording else 1]


def _file(name: str) -> str:
    """Return what the file of a sweep or a workload is called: not every system takes a colon."""
    return f"{name.replace(':', '.')}.jsonl"


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
