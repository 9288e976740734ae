"""JSON lines: one object a line with `step`, the metric where it was evaluated, and whatever else is known."""

from pathlib import Path

import msgspec

from batchtime.errors import LogError
from batchtime.logs.history import CUT
from batchtime.logs.jsons import decoded
from batchtime.logs.log import Lines, Log, Wanted
from batchtime.logs.settings import NAMES, known, number
from batchtime.logs.text import read_text
from batchtime.logs.times import STAMPS, seconds

NAME = "JSON lines"
_STEPS = ("step", "global_step", "_step", "updates", "update", "iteration", "iter", "steps", "iterations")
_RUNS = ("run", "run_id", "seed", "batch_size")  # what tells the runs in one file apart


def matches(path: Path, head: str) -> bool:
    """Return whether one of the first lines is an object with a step, and no object takes several lines."""
    if head.lstrip("\ufeff \r\n").partition("\n")[0].strip() == "{":
        return False
    if not head.lstrip("\ufeff \r\n").startswith("{") or not {".jsonl", ".ndjson", ".json", ".log"} & {*path.suffixes}:
        return False
    return any(f'"{name}"' in line for line in head.split("\n")[:20] for name in _STEPS)


def place(path: Path) -> Path:
    """Return the file: it holds all of its runs."""
    return path


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the logs of the runs, told apart by `run`, `seed` and `batch_size`."""
    text, notices = read_text(path)
    decoder = msgspec.json.Decoder(dict[str, object])
    texts = text.lstrip("\ufeff").split("\n")
    shared: dict[str, object] = {}
    runs: dict[tuple[object, ...], Lines] = {}
    for at, line in enumerate(texts, start=1):
        try:
            entry = decoded(line, decoder) if line.strip() else {}
        except msgspec.DecodeError as error:
            if at == len(texts):  # no line end stands after it: it is still being written
                notices = (*notices, CUT)
                continue
            raise LogError(f"{path}, line {at} is no JSON object ({error}); mend or remove the line") from None
        for name, inner in [*entry.items()]:
            if isinstance(inner, dict):
                entry |= {f"{name}/{key}": value for key, value in inner.items()}
        step = next((name for name in _STEPS if name in entry), None)
        if step is None:  # a line of settings, as at the beginning of a run
            shared |= entry
        else:
            lines = runs.setdefault(tuple(map(entry.get, _RUNS)), Lines())
            _take(lines, entry, step, wanted.metric, f"{path}, line {at}")
    logs = []
    for run, lines in runs.items():
        lines.settings = shared | lines.settings
        lines.metrics -= {*_STEPS, *STAMPS, *_RUNS, "epoch"}
        label = "-".join(f"{name}={value}" for name, value in zip(_RUNS, run, strict=True) if value is not None)
        logs.append(lines.log(f"{path.as_posix()}/{label}" if len(runs) > 1 else path.as_posix(), notices=notices))
    return logs


def _take(lines: Lines, entry: dict[str, object], step: str, metric: str, place: str) -> None:
    """Take a line of training or of an evaluation."""
    updates, value = number(entry[step]), number(entry.get(metric))
    if updates is None:
        raise LogError(f"{place}: {step} {entry[step]!r} is no number; mend or remove the line")
    for name, told in entry.items():
        if known(name) not in NAMES:
            lines.metrics.add(name)
        elif name not in lines.settings or (number(told) or 0) > (number(lines.settings[name]) or 0):
            lines.settings[name] = told
    if value is None and metric in entry:
        value = float("nan")  # JSON has no NaN: null stands for it
    stamp = next((entry[name] for name in STAMPS if entry.get(name) is not None), None)
    lines.add(updates, value=value, time=None if stamp is None else seconds(stamp, place))
