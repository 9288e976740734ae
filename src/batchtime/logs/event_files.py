"""TensorBoard's event files, by TensorBoard's own reader: all files of a folder are one run."""

from pathlib import Path

from batchtime.logs.events import events, settings_in, value_of
from batchtime.logs.log import Lines, Log, Unit, Wanted
from batchtime.logs.settings import hparams

NAME = "TensorBoard"
_PER_EPOCH = "epoch_"
"""How the names begin that Keras counts by epochs, from 0, and not by updates."""
_HPARAMS = ("_hparams_", "hp_metric")
"""How the names of settings begin, and a number that Lightning writes beside them at update 0."""


def matches(path: Path, _head: str) -> bool:
    """Return whether the file has TensorBoard's name."""
    return "tfevents" in path.name


def place(path: Path) -> Path:
    """Return the folder of the run; Keras writes two folders a run, train and validation."""
    keras = path.parent.name in ("train", "validation") and (path.parent.parent / "validation").is_dir()
    return path.parent.parent if keras else path.parent


def read(path: Path, wanted: Wanted) -> list[Log]:
    """Return the log of the run."""
    run = place(path)
    folder = path.parent if run == path.parent else run / "validation"
    lines, notices = Lines(), set[str]()
    lines.settings.update(hparams(folder))
    unit: Unit = "epochs" if wanted.metric.startswith(_PER_EPOCH) else "updates"
    for file in sorted(folder.glob("*tfevents*")):
        read_bytes = 0
        for record, event in events(file):
            read_bytes += len(record) + 16  # its length and two checksums
            for entry in event.summary.value:
                if entry.metadata.plugin_data.plugin_name == "hparams":
                    lines.settings.update(settings_in(entry.metadata.plugin_data.content))
                value = value_of(entry)
                if isinstance(value, dict):
                    lines.settings.update(value)
                if isinstance(value, dict) or entry.tag.startswith(_HPARAMS):
                    continue
                lines.metrics.add(entry.tag)
                if entry.tag == wanted.metric and value is not None:
                    lines.add(event.step + (unit == "epochs"), value=value, time=event.wall_time)
                elif entry.tag.startswith(_PER_EPOCH) == (unit == "epochs"):
                    lines.add(event.step + (unit == "epochs"), time=event.wall_time)
        if read_bytes < file.stat().st_size:
            notices.add("its last record is cut off or damaged and was left out")
    return [lines.log(run.as_posix(), unit=unit, notices=tuple(notices))]
