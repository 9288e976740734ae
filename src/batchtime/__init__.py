"""Choose the mini-batch size that minimises SGD training time: fit runs, fit timings, and ask.

    >>> import batchtime as bt
    >>> law = bt.fit(bt.read_runs("runs.csv"))
    >>> law.with_timings(bt.read_timings("timing.csv")).recommend().batch_size

These names are the whole face; each is imported from its room when it is first used, so that nothing slow is loaded
before it is needed. Those of the last group need the extra `train`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtime import fit as fit
    from batchtime.errors import BatchtimeError as BatchtimeError
    from batchtime.errors import FitError as FitError
    from batchtime.errors import ParameterError as ParameterError
    from batchtime.fit.face import fit_timings as fit_timings
    from batchtime.fit.face import predict as predict
    from batchtime.fit.face import recommend as recommend
    from batchtime.fit.inverse_law import LawFit as LawFit
    from batchtime.fit.recommendation import Recommendation as Recommendation
    from batchtime.fit.seconds import TimeFit as TimeFit
    from batchtime.laws.time import TrainingTime as TrainingTime
    from batchtime.laws.time import UpdateTime as UpdateTime
    from batchtime.laws.updates import InverseLaw as InverseLaw
    from batchtime.logs.read import read_logs as read_logs
    from batchtime.logs.sheets import read_runs as read_runs
    from batchtime.logs.sheets import read_timings as read_timings
    from batchtime.plan.pilot import pilot as pilot
    from batchtime.runs import published as published
    from batchtime.runs.catalogue import experiment as experiment
    from batchtime.runs.spec import Optimizer as Optimizer
    from batchtime.runs.spec import Target as Target
    from batchtime.runs.store import Store as Store
    from batchtime.train.sweep import sweep as sweep
    from batchtime.train.task import Task as Task
    from batchtime.train.timing import time_updates as time_updates
    from batchtime.train.watch import watch as watch

    __version__: str

_ROOMS = {
    "": ("fit",),
    ".errors": ("BatchtimeError", "FitError", "ParameterError"),
    ".fit.recommendation": ("Recommendation",),
    ".fit.face": ("fit_timings", "predict", "recommend"),
    ".fit.inverse_law": ("LawFit",),
    ".fit.seconds": ("TimeFit",),
    ".laws.time": ("TrainingTime", "UpdateTime"),
    ".laws.updates": ("InverseLaw",),
    ".logs.read": ("read_logs",),
    ".logs.sheets": ("read_runs", "read_timings"),
    ".runs": ("published",),
    ".train.watch": ("watch",),
    # With the extra `train`:
    ".plan.pilot": ("pilot",),
    ".runs.catalogue": ("experiment",),
    ".runs.spec": ("Optimizer", "Target"),
    ".runs.store": ("Store",),
    ".train.sweep": ("sweep",),
    ".train.task": ("Task",),
    ".train.timing": ("time_updates",),
}
_HOMES = {name: f"batchtime{room}" for room, names in _ROOMS.items() for name in names}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("batchtime")
    if name not in _HOMES:
        raise AttributeError(f"batchtime has no {name!r}; it has {', '.join(__all__)}")
    if _HOMES[name] == "batchtime" or name == "published":
        return importlib.import_module(f"{_HOMES[name]}.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
