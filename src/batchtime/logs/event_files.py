"""TensorBoard's event files, by TensorBoard's own reader: all files of a folder are one run."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from batchtime.logs.log import Lines, Log, LogError, Unit, Wanted
from batchtime.logs.settings import hparams

NAME = "TensorBoard"
_PACKAGE = "tensorboard.backend.event_processing.event_file_loader"
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
        for record, event in _events(file):
            read_bytes += len(record) + 16  # its length and two checksums
            for entry in event.summary.value:
                if entry.metadata.plugin_data.plugin_name == "hparams":
                    lines.settings.update(_hparams(entry.metadata.plugin_data.content))
                value = _scalar(entry)
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


def _events(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yield the records of a file, as bytes and decoded."""
    try:
        loader = importlib.import_module(_PACKAGE).RawEventFileLoader(str(path))
        event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    except ImportError as error:
        raise LogError(f"{path}: event files are read by TensorBoard; pip install 'batchtime[logs]'") from error
    for record in loader.Load():
        yield record, event.FromString(record)


def _hparams(content: bytes) -> dict[str, object]:
    """Return the settings that are told to TensorBoard's own table of them."""
    told = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData.FromString(content)
    return {name: value.number_value for name, value in told.session_start_info.hparams.items()}


def _scalar(entry: Any) -> float | dict[str, object] | None:
    """Return the number of an entry, the settings in a JSON text, or None for anything else."""
    if entry.HasField("simple_value"):
        return float(entry.simple_value)
    tensor = entry.tensor
    if tensor.float_val:
        return float(tensor.float_val[0])
    if tensor.string_val and tensor.string_val[0].lstrip().startswith(b"{"):
        try:
            return msgspec.json.decode(tensor.string_val[0], type=dict[str, object])
        except msgspec.DecodeError:
            return None
    array = importlib.import_module("tensorboard.util.tensor_util").make_ndarray(tensor) if tensor.dtype else None
    return float(array) if array is not None and array.ndim == 0 and array.dtype.kind in "fiu" else None
