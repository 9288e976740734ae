"""MLPerf's log lines, ":::MLLOG" and one JSON object, among whatever else is printed."""

from pathlib import Path

import msgspec

from batchtime.errors import LogError
from batchtime.logs.history import CUT
from batchtime.logs.jsons import decoded
from batchtime.logs.log import Lines, Log, Unit, Wanted
from batchtime.logs.settings import NAMES, number
from batchtime.logs.text import read_text

NAME = "MLPerf's log"
_MARK = ":::MLLOG"
_COUNTS: tuple[tuple[str, Unit], ...] = (
    ("step_num", "updates"),
    ("step", "updates"),
    ("samples_count", "examples"),
    ("epoch_num", "epochs"),
)


class _Event(msgspec.Struct):
    key: str
    time_ms: float
    value: object = None
    metadata: dict[str, object] = {}


def matches(_path: Path, head: str) -> bool:
    """Return whether such a line stands in the first lines."""
    return _MARK in head


def place(path: Path) -> Path:
    """Return the file: it holds all of its runs."""
    return path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run; the start of an evaluation tells when training up to it had ended."""
    text, notices = read_text(path)
    decoder = msgspec.json.Decoder(_Event)
    lines, unit = Lines(), _unit(text, wanted.metric)
    texts = text.split("\n")
    for at, line in enumerate(texts, start=1):
        _, mark, body = line.partition(_MARK)
        if not mark:
            continue
        try:
            event = decoded(body, decoder)
        except msgspec.DecodeError as error:
            if at == len(texts):  # no line end stands after it: it is still being written
                notices = (*notices, CUT)
                continue
            raise LogError(f"{path}, line {at} is no whole line of MLPerf's log ({error}); remove it") from None
        told = event.value if isinstance(event.value, dict) else {event.key: event.value}
        if event.key in NAMES and number(event.value) is not None:
            lines.settings.setdefault(event.key, event.value)
        counts = [event.metadata[name] for name, of in _COUNTS if of == unit and name in event.metadata]
        count = 0.0 if event.key == "run_start" else number(counts[0]) if counts else None
        if count is None:
            continue
        values = {name: value for name, value in told.items() if number(value) is not None}
        if not event.key.endswith(("_start", "_stop")):
            lines.metrics |= values.keys()
        if wanted.metric in values or event.key in ("run_start", "eval_start", "eval_stop", "tracked_stats"):
            lines.add(count, value=number(values.get(wanted.metric)), time=event.time_ms / 1e3)
    return [lines.log(path.as_posix(), unit=unit, notices=notices)]


def _unit(text: str, metric: str) -> Unit:
    """Return what counts training where the metric stands, or else anywhere."""
    lines = [line for line in text.split("\n") if _MARK in line]
    for some in ([line for line in lines if f'"{metric}"' in line], lines):
        for name, unit in _COUNTS:
            if any(f'"{name}"' in line for line in some):
                return unit
    return "updates"
