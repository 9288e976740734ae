"""Choose the mini-batch size that minimises SGD training time: fit runs, fit timings, and ask.

    >>> import batchtime as bt
    >>> law = bt.fit(bt.read_runs("runs.csv"))
    >>> law.with_timings(bt.read_timings("timing.csv")).recommend().batch_size

These names are the whole face; each is imported from its room when it is first used, so that nothing slow is loaded
before it is needed. Those of the second group need the extra `train`.
"""

import importlib
from importlib.metadata import version

_ROOMS = {
    "errors": ("BatchtimeError", "FitError", "ParameterError"),
    "fit.inverse_law": ("LawFit",),
    "fit.measurements": (),
    "laws.time": ("TrainingTime", "UpdateTime"),
    "laws.updates": ("InverseLaw",),
    # With the extra `train`:
    "runs.catalogue": ("experiment",),
    "runs.spec": ("Optimizer", "Target"),
    "runs.store": ("Store",),
    "train.timing": ("time_updates",),
    "train.workloads": ("Task",),
}
_HOMES = {name: f"batchtime.{room}" for room, names in _ROOMS.items() for name in names}

__version__ = version("batchtime")
__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"batchtime has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
