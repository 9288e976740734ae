"""The Hugging Face Trainer's trainer_state.json, at the top of its output or in its checkpoints."""

import re
from pathlib import Path

import msgspec

from batchtime.errors import LogError
from batchtime.logs.jsons import decoded
from batchtime.logs.log import Lines, Log, Wanted
from batchtime.logs.text import read_text

NAME = "the Hugging Face Trainer"


def matches(path: Path, _head: str) -> bool:
    """Return whether the file has the Trainer's name."""
    return path.name.removesuffix(".gz") == "trainer_state.json"


def place(path: Path) -> Path:
    """Return the folder of the Trainer's output."""
    return path.parent.parent if path.parent.name.startswith("checkpoint-") else path.parent


def _furthest(run: Path, otherwise: Path) -> Path:
    """Return the file that holds most: that at the top of the output, or of the last checkpoint."""
    checkpoints = [path for path in run.glob("checkpoint-*/trainer_state.json") if path.parent.name[11:].isdigit()]
    top = run / "trainer_state.json"
    return top if top.exists() else max(checkpoints, key=lambda path: int(path.parent.name[11:]), default=otherwise)


class _State(msgspec.Struct):
    log_history: list[dict[str, object]]
    train_batch_size: int | None = None


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run.

    The file holds the batch size of a device. How many of these make an update follows from the examples and the
    updates a second that the Trainer writes at its end; so do the seconds, without those of the evaluations.
    """
    run = place(path)
    text, notices = read_text(_furthest(run, path))
    try:
        state = decoded(text, msgspec.json.Decoder(_State))
    except msgspec.DecodeError as error:
        raise LogError(f"{path} is no whole trainer_state.json ({error}); take that of an earlier checkpoint") from None
    lines = Lines()
    paused, total, last = 0.0, None, 0.0
    for entry in state.log_history:
        step = _number(entry, "step")
        value = _number(entry, wanted.metric)
        lines.metrics |= entry.keys() - {"step", "epoch"}
        lines.add(step, value=value if wanted.metric in entry else None)
        last = max(last, step)
        paused += sum(_number(entry, name, 0.0) for name in entry if re.fullmatch(r"eval_(.*_)?runtime", name))
        lines.settings["learning_rate"] = max(
            _number(entry, "learning_rate", 0.0), _number(lines.settings, "learning_rate", 0.0)
        )
        if "train_runtime" in entry:
            total = _number(entry, "train_runtime")
    if not lines.settings.get("learning_rate"):
        lines.settings.pop("learning_rate", None)
    ends = [entry for entry in state.log_history if "train_steps_per_second" in entry]
    if state.train_batch_size is not None:
        if ends and (rate := _number(ends[-1], "train_steps_per_second")) > 0:
            several = _number(ends[-1], "train_samples_per_second") / rate / state.train_batch_size
            lines.settings["total_train_batch_size"] = state.train_batch_size * max(1, round(several))
        else:
            lines.settings["per_device_train_batch_size"] = state.train_batch_size
    spent = None if total is None or not last or total <= paused else (total - paused) / last
    return [lines.log(run.as_posix(), seconds_per_update=spent, notices=notices)]


def _number(entry: dict[str, object], name: str, otherwise: float = float("nan")) -> float:
    value = entry.get(name, otherwise)
    return float(value) if isinstance(value, int | float) else float("nan")
