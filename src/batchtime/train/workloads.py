"""Workloads by name: a `Task` of the package, or one that a function of one's own returns."""

import functools
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from batchtime.errors import WorkloadError, check
from batchtime.runs.spec import Source, Workload
from batchtime.train import reached
from batchtime.train.datasets import Examples, checksum, examples_of, lengths
from batchtime.train.task import Task, forward
from batchtime.train.tasks import of_workload


def build(workload: Workload) -> Task:
    """Return the task of a workload; its data set is loaded once a process.

    Raises:
        ParameterError: If the data set, the model or the metric is not known.
        DatasetError: If the data set cannot be had.
        WorkloadError: If it is one's own, and cannot be used or is not what it was.
    """
    if workload.source is None:
        task = of_workload(workload)
    else:
        task, here = own(workload.source.function)
        if here != workload.source:
            changed = "version" if here.version != workload.source.version else "examples"
            remedy = "give every worker the same files, or start the sweep again"
            raise WorkloadError(f"{here.function} is not what this sweep was started with (other {changed}); {remedy}")
    metric = workload.target.metric
    check(metric in task.metrics, name="metric", value=metric, allowed=", ".join(task.metrics))
    return task


@functools.cache
def own(function: str) -> tuple[Task, Source]:
    """Return the task that a function of one's own makes, called once a process, and what identifies it.

    Args:
        function: "module:function", importable here and in every worker; it takes nothing and returns a `Task`.

    Raises:
        WorkloadError: If it cannot be imported or stops, or if what it returns cannot be trained.
    """
    module, _, name = function.partition(":")
    if module == "__main__":
        raise WorkloadError(f"workers cannot import a program's main file: put the function {name} into a module")
    made = _called(function, _imported(module), name)
    problem = _problem(made)
    if problem is not None:
        raise WorkloadError(f"{function} cannot be trained: {problem}")
    try:
        made = _in_memory(made)
        problem = _tried(made)
    except Exception as error:
        raise WorkloadError(f"{function} cannot be trained: a first try stopped ({reason(error)})") from error
    if problem is not None:
        raise WorkloadError(f"{function} cannot be trained: {problem}")
    digest = checksum(made.train, made.validation) if made.loader is None else checksum(made.validation)
    code, place = _code(module, name)
    if not (made.version or code):
        raise WorkloadError(f"the source of {function} cannot be read; give its Task a version")
    identity = Source(
        function=function,
        version=made.version or f"sha256:{code}",
        examples_sha256=digest,
        replayable=_replayable(made),
        code=code,
        place=place,
    )
    return replace(made, examples_sha256=digest), identity


def reason(error: BaseException) -> str:
    """Return in one line what an error says, and where in which file it was raised.

    The place is the last one outside of installed packages: a line of one's own, where there is one.
    """
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    steps = traceback.extract_tb(error.__traceback__)
    here = [step for step in steps if not _INSTALLED.intersection(Path(step.filename).parts[:-1])]
    theirs = [step for step in here if _PACKAGE not in Path(step.filename).parents] or here
    return said + (f", in {Path(theirs[-1].filename).name}, line {theirs[-1].lineno}" if theirs else "")


_INSTALLED = frozenset({"site-packages", "dist-packages", f"python{sys.version_info[0]}.{sys.version_info[1]}"})
_PACKAGE = Path(__file__).parents[1]


def _imported(module: str) -> Any:
    """Return a module of one's own.

    Raises:
        WorkloadError: If it is not found, or stops while it is imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise WorkloadError(f"{module} cannot be imported ({reason(error)}); install what it needs") from error
        remedy = "call this in the folder where that module lies, or put the folder on the PYTHONPATH"
        raise WorkloadError(f"there is no module {error.name}; {remedy}") from error
    except (Exception, SystemExit) as error:
        raise WorkloadError(f"{module} stopped while it was imported ({reason(error)})") from error


def _called(function: str, module: Any, name: str) -> Any:
    """Return what a function of one's own returns.

    Raises:
        WorkloadError: If it is none, or stops.
    """
    made: Callable[[], Any] | None = getattr(module, name, None)
    if not callable(made):
        there = [one for one, value in vars(module).items() if inspect.isfunction(value) and one[:1] != "_"]
        raise WorkloadError(f"{module.__name__} has no function {name!r}; it has: {', '.join(there) or 'none'}")
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise WorkloadError(
            f"{function} is to take nothing ({error}); return the Task from a function that does"
        ) from error
    try:
        return made()
    except (Exception, SystemExit) as error:
        raise WorkloadError(f"{function} stopped before anything was trained ({reason(error)})") from error


def _code(module: str, name: str) -> tuple[str, str]:
    """Return the checksums of the code that a function reaches and of the folder of its module; "" if not to be read.

    What the package brings along lies in no project.
    """
    there = importlib.import_module(module)
    try:
        code = reached.checksum(inspect.getsource(there), name)
        folder = Path(inspect.getfile(there)).resolve().parent
    except (OSError, TypeError, SyntaxError):
        return "", ""
    inside = folder == _PACKAGE or _PACKAGE in folder.parents
    return code, "" if inside else hashlib.sha256(str(folder).encode()).hexdigest()[:16]


_TRIED = 2  # examples that are tried before a sweep starts


def _problem(made: object) -> str | None:
    """Return why something cannot be trained, or None, as far as nothing needs to be computed."""
    if not isinstance(made, Task):
        return f"it returned {type(made).__name__}, not a batchtime.Task"
    if made.target is None or made.learning_rate is None:
        return "its Task needs a target and a learning_rate"
    if made.target.metric not in made.metrics:
        return f"its target's metric {made.target.metric!r} is none of its metrics: {', '.join(made.metrics)}"
    if made.loader is not None and isinstance(made.train, Examples):
        return "a loader goes through a torch data set, and its train is one of tensors: leave the loader out"
    if made.loader is not None and made.augment is not None:
        return "augment changes what is drawn from memory: let the loader's data set change its own examples"
    return None


def _in_memory(made: Task) -> Task:
    """Return a task with its data sets as tensors; what a loader goes through stays as it is."""

    def examples(part: Any) -> Any:
        return part if isinstance(part, Examples) else examples_of(part)

    train = made.train if made.loader is not None else examples(made.train)
    return replace(made, train=train, validation=examples(made.validation))


def _tried(made: Task) -> str | None:
    """Return why a task cannot be trained, or None; two examples are tried, and one update."""
    from batchtime.train.loop import Trainer

    for part, examples in (("train", made.train), ("validation", made.validation)):
        if isinstance(examples, Examples):
            inputs, targets = lengths(examples)
            if len(inputs | targets) != 1 or 0 in targets:
                numbers = (" and ".join(map(str, sorted(side))) for side in (inputs, targets))
                return "{} has {} inputs and {} targets".format(part, *numbers)
    tried = min(_TRIED, len(made.validation))
    few = made.validation.part(0, tried)
    with torch.random.fork_rng(devices=[]):
        with torch.inference_mode():
            outputs = forward(made.model().eval(), few.inputs)
            for measure, values in {"its loss": made.loss, **made.metrics}.items():
                shape = tuple(values(outputs, few.targets).shape)
                if shape != (tried,):
                    return f"{measure} has shape {shape} for {tried} examples, not one value an example"
        rate = made.learning_rate or 0.0
        size = min(_TRIED, len(made.train))
        generator = torch.Generator().manual_seed(0)
        Trainer(model=made.model(), task=made, batch_size=size, rate=rate, generator=generator).update(1)
    return None


def _replayable(made: Task) -> bool:
    """Return whether a run comes out the same again: not where worker processes of a loader draw random numbers."""
    if made.loader is None:
        return True
    loader = made.loader(made.train, 1, torch.Generator().manual_seed(0))
    return getattr(loader, "num_workers", 1) == 0
