"""A sweep of one's own model: from a function that returns a `Task` to an `Experiment`."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from batchtime.errors import WorkloadError
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.experiment import Experiment
from batchtime.runs.spec import EvaluationGrid, Optimizer, Setting, SweepSpec, Target, Workload
from batchtime.train.loop import evaluate
from batchtime.train.task import Task
from batchtime.train.workloads import own as own_task

BATCH_SIZES = (4, 8, 16, 32, 64, 128, 256)
SEEDS = 5
MAX_UPDATES = 20_000
GRID = EvaluationGrid(ratio=1.05, stride=5, near=2.0)


def own_experiment(
    function: str,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seeds: int = SEEDS,
    max_updates: int | None = None,
    grid: EvaluationGrid = GRID,
) -> Experiment:
    """Return the sweep of a workload of one's own; `Experiment.changed` changes its step size, target and seeds.

    A run is known again by the function's import path, its version and the checksum of its examples, besides all that
    identifies a run of the package's own workloads.

    Args:
        function: "module:function", which takes nothing and returns a `workloads.Task` with target and learning rate.
        batch_sizes: Sizes to run, in examples; all of them are fitted.
        seeds: How many seeds, counted from 0.
        max_updates: Budget of a run; None for 20,000.
        grid: When a run is evaluated.

    Raises:
        WorkloadError: If the function cannot be imported or stops, or if what it returns cannot be trained.
        ParameterError: If a value is not allowed.
    """
    task, source = own_task(function)
    if task.target is None or task.learning_rate is None:
        raise WorkloadError(f"{function}: its Task needs a target and a learning_rate")
    _check_start(function, task, task.target)
    name = function.replace(":", ".")
    workload = Workload(name=name, dataset=function, model=function, target=task.target, source=source)
    setting = Setting(
        workload=workload,
        learning_rate=LearningRate(maximum=task.learning_rate),
        max_updates=MAX_UPDATES if max_updates is None else max_updates,
        grid=grid,
        optimizer=Optimizer() if task.optimizer is None else Optimizer(name="task"),
    )
    sweep = SweepSpec(setting=setting, batch_sizes=tuple(batch_sizes), seeds=tuple(range(seeds)))
    summary = f"a workload of one's own, {function}"
    return Experiment(name=function, summary=summary, sweep=sweep, n_examples=len(task.train))


_LOOKED_AT = 500  # validation examples on which a model that has not been trained is tried


def _check_start(function: str, task: Task, target: Target) -> None:
    """Refuse a target that a model meets untrained: mostly a metric that goes the other way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        few = replace(task, validation=task.validation.part(0, _LOOKED_AT))
        start = evaluate(task.model(), few)[target.metric]
    if target.is_met(start):
        side, other = ("above", "falls") if target.rises else ("below", "rises")
        raise WorkloadError(
            f"{function}: a model that has not been trained is already {side} the target ({target.metric} {start:g}, "
            f"target {target.value:g}); where {target.metric} {other}, say rises={not target.rises}"
        )
