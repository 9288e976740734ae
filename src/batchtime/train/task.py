"""What is trained: a model, its examples, how it learns from a batch, and what is measured of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from batchtime.errors import WorkloadError
from batchtime.runs.spec import Device, Target
from batchtime.train.augment import Augment
from batchtime.train.datasets import Examples, each
from batchtime.train.loaders import MakeLoader

Measure = Callable[[Any, Any], Tensor]
"""What the model returned and the targets of n examples, to n values, one an example."""

MakeOptimizer = Callable[[nn.Module, float], torch.optim.Optimizer]
"""Model and learning rate to any optimizer of torch, for instance AdamW with no decay of biases."""

MakeSchedule = Callable[[torch.optim.Optimizer, int], LRScheduler]
"""Optimizer and batch size to a scheduler of torch, which steps after each update."""

Step = Callable[[nn.Module, Examples, torch.optim.Optimizer], None]
"""Does one update of a model on one batch: gradients, in parts or in mixed precision, and the optimizer's step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the training loop needs of a workload.

    A model that takes several inputs gets them by position from a tuple, or by name from a mapping; what it returns is
    handed to loss and metrics as it is, so it may be a mapping too.

    Args:
        model: Makes a new model; its random weights come from torch's global generator.
        train: Examples to draw batches from; or a torch data set, read once into memory, or as `loader` says.
        validation: Fixed examples on which the metrics are taken; or a torch data set, read once into memory.
        loss: The loss of each example; its mean over a batch is what is differentiated.
        metrics: For each metric its value for each validation example; the mean is recorded.
        report: Numbers to take once, of a model that reached its target.
        examples_sha256: Checksum of all examples, so that a record names the data that it was made of; it is computed.
        target: Of a workload of one's own: what its runs are to reach.
        learning_rate: Of a workload of one's own: what `optimizer` is given, or the step size of plain SGD.
        version: Of a workload of one's own: raise it with any change that changes its runs; runs that other code made
            under the same version are warned of. None to take the checksum of the code that the function reaches in
            its module instead, comments and formatting aside, so that any edit makes it another workload.
        augment: Changes the inputs of a batch at random, by bits that the run's own generator draws.
        optimizer: Makes the optimizer; None for what the run's setting names, plain SGD for a workload of one's own.
        schedule: Makes the scheduler of the learning rate; None for a constant one.
        step: Does an update otherwise than by the mean loss of the whole batch; None for that.
        loader: Takes the data set `train`, batch size and generator, and gives a `DataLoader`; None to draw from
            memory.

    Example:
        >>> Task(model=net, train=train, validation=held_out, loss=squares, metrics={"loss": squares},
        ...      optimizer=lambda model, rate: torch.optim.AdamW(model.parameters(), lr=rate))
    """

    model: Callable[[], nn.Module]
    train: Any
    validation: Any
    loss: Measure
    metrics: Mapping[str, Measure]
    report: Callable[[nn.Module], Mapping[str, float]] | None = None
    examples_sha256: str | None = None
    target: Target | None = None
    learning_rate: float | None = None
    version: str | None = None
    augment: Augment | None = None
    optimizer: MakeOptimizer | None = None
    schedule: MakeSchedule | None = None
    step: Step | None = None
    loader: MakeLoader | None = None

    def check_plain(self, what: str) -> None:
        """Refuse what needs the gradients of a plain mean of losses, one tensor an example in memory.

        Raises:
            WorkloadError: If the task has a step or a loader of its own; it names what was asked for.
        """
        for name in ("step", "loader"):
            if getattr(self, name) is not None:
                raise WorkloadError(f"{what}: this task has a {name} of its own, whose gradients are not to be had")


def forward(model: nn.Module, inputs: Any) -> Any:
    """Return what a model makes of the inputs of a batch: one tensor, several by position, or several by name."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def on_device(task: Task, device: Device) -> Task:
    """Return a task with its examples and new models on a device; initial weights are drawn on the processor."""

    def moved(examples: Any) -> Any:
        return each(lambda part: part.to(device), examples) if isinstance(examples, Examples) else examples

    model, report = task.model, task.report
    return replace(
        task,
        model=lambda: model().to(device),
        train=moved(task.train),
        validation=moved(task.validation),
        report=None if report is None else lambda trained: report(trained.to("cpu")),
    )
