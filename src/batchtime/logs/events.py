"""Records of TensorBoard's event files, by TensorBoard's own reader, which is imported when it is needed."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from batchtime.errors import LogError

_PACKAGE = "tensorboard.backend.event_processing.event_file_loader"


def events(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Yield the records of a file, as bytes and decoded."""
    try:
        loader = importlib.import_module(_PACKAGE).RawEventFileLoader(str(path))
        event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    except ImportError as error:
        raise LogError(f"{path}: event files are read by TensorBoard; pip install 'batchtime[logs]'") from error
    for record in loader.Load():
        yield record, event.FromString(record)


def settings_in(content: bytes) -> dict[str, object]:
    """Return the settings that are told to TensorBoard's own table of them."""
    told = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData.FromString(content)
    return {name: value.number_value for name, value in told.session_start_info.hparams.items()}


def value_of(entry: Any) -> float | dict[str, object] | None:
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
