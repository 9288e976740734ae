"""One run to its target: the only training loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter, thread_time
from typing import Any

import torch
from torch import Tensor, nn

from batchtime.runs.provenance import provenance
from batchtime.runs.records import Cost, Evaluations, RunRecord
from batchtime.runs.spec import Device, Optimizer, RunSpec, Sampling
from batchtime.train.datasets import Examples
from batchtime.train.loaders import Batches, Drawn, Loaded, Team
from batchtime.train.task import Task, forward, on_device

PLAIN = Optimizer()
"""SGD without momentum."""

_DIGITS = 5  # significant digits kept of a metric: it is rounded before it is compared, so that a record can be reread
_CHUNK = 500  # validation examples in one forward pass: more no longer fit into a processor's cache


@dataclass(slots=True)
class Stopwatch:
    """Wall and CPU seconds that the updates of a run took until each of its evaluations, which stop the clock."""

    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def train_to_target(
    spec: RunSpec, task: Task, *, stopwatch: Stopwatch | None = None, team: Team | None = None, device: Device = "cpu"
) -> RunRecord:
    """Train until the target is reached, the budget is spent or the loss is not finite.

    The seed sets the initial weights and the order of the examples, the same for every batch size and device: a run of
    batch size 2 M has seen after k updates what a run of batch size M has after 2 k.

    Args:
        spec: The run.
        task: What `workloads.build` returns for the run's workload.
        stopwatch: Takes the seconds of the updates, if given.
        team: The learners that train together, this process being one of them; None for one learner.
        device: What to train on; the record names it. Sums are rounded otherwise on another one.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return _train(spec, on_device(task, device), Stopwatch() if stopwatch is None else stopwatch, team)


def _train(spec: RunSpec, task: Task, stopwatch: Stopwatch, team: Team | None) -> RunRecord:
    """Train, with torch's own random numbers (initial weights, dropout) at the start of the run's."""
    setting = spec.setting
    target = setting.workload.target
    wall, cpu, evaluating = perf_counter(), thread_time(), 0.0
    trainer = begin(spec, task, team=team)
    model = trainer.model
    training_wall = training_cpu = 0.0
    updates: list[int] = []
    metrics: dict[str, list[float | None]] = {name: [] for name in task.metrics}
    done, near = 0, False
    for position, point in enumerate(points := setting.grid.points(setting.budget(spec.batch_size))):
        if not near and position % setting.grid.stride != 0 and point != points[-1]:
            continue
        settle(task)
        begun, started = perf_counter(), thread_time()
        trainer.update(point - done)
        settle(task)
        training_wall += perf_counter() - begun
        training_cpu += thread_time() - started
        stopwatch.wall_seconds.append(training_wall)
        stopwatch.cpu_seconds.append(training_cpu)
        done = point
        started = thread_time()
        values = evaluate(model, task)
        evaluating += thread_time() - started
        updates.append(point)
        for name, value in values.items():
            metrics[name].append(value)
        value = values[target.metric]
        if value is None or any(seen is None for seen in values.values()):
            break
        near = near or target.is_near(value, first=metrics[target.metric][0], factor=setting.grid.near)
        if target.is_held(metrics[target.metric]):
            break
    evaluations = Evaluations(updates=tuple(updates), metrics={name: tuple(column) for name, column in metrics.items()})
    outcome = evaluations.outcome(target)
    started = thread_time()
    reports = task.report(model) if task.report is not None and outcome.status == "reached" else {}
    evaluating += thread_time() - started
    return RunRecord(
        setting=setting,
        batch_size=spec.batch_size,
        seed=spec.seed,
        outcome=outcome,
        evaluations=evaluations,
        cost=Cost(
            wall_seconds=perf_counter() - wall,
            cpu_seconds=thread_time() - cpu,
            evaluation_cpu_seconds=evaluating,
            examples=done * spec.batch_size,
        ),
        provenance=provenance(
            threads=torch.get_num_threads(),
            device=device_name(task.validation.device),
            examples_sha256=task.examples_sha256,
        ),
        reports=reports,
    )


def settle(task: Task) -> None:
    """Wait until the device of a task has done all that it was told to; a processor has."""
    if task.validation.device.type == "cuda":
        torch.cuda.synchronize()


def begin(spec: RunSpec, task: Task, *, team: Team | None = None) -> "Trainer":
    """Return a run before its first update; its initial weights come from torch's generator as it stands."""
    return Trainer(
        model=task.model(),
        task=task,
        batch_size=spec.batch_size,
        rate=spec.setting.learning_rate.at(spec.batch_size),
        generator=torch.Generator().manual_seed(spec.seed),
        optimizer=spec.setting.optimizer,
        sampling=spec.setting.sampling,
        team=team,
    )


class Trainer:
    """A model on its way: does updates, one batch each."""

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Task,
        batch_size: int,
        rate: float,
        generator: torch.Generator,
        optimizer: Optimizer = PLAIN,
        sampling: Sampling = "with replacement",
        team: Team | None = None,
    ) -> None:
        """Start before the first update; `rate` is the learning rate, and a task's own optimizer goes before ours.

        Raises:
            WorkloadError: If a team is to train what has a step or a loader of its own.
        """
        if team is not None:
            task.check_plain("several learners")
        self.model = model
        self._task = task
        self._batch_size = batch_size
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._rate = rate
        self._optimizer = _torch_optimizer(task, optimizer, model, rate)
        self._schedule = None
        if task.schedule is not None and self._optimizer is not None:
            self._schedule = task.schedule(self._optimizer, batch_size)
        self._team = team
        self._batches: Batches
        if task.loader is None:
            self._batches = Drawn(task.train, batch_size, generator, sampling=sampling, augment=task.augment, team=team)
        else:
            self._batches = Loaded(task.loader(task.train, batch_size, generator), batch_size, task.validation.device)

    def update(self, count: int) -> None:
        """Do `count` updates."""
        for inputs, targets in self._batches(count):
            self.step(inputs, targets)

    def load(self, count: int) -> None:
        """Draw, gather and augment the batches of `count` updates, and do nothing with them."""
        for _ in self._batches(count):
            pass

    def step(self, inputs: Any, targets: Any) -> None:
        """Do one update on a batch that is already gathered."""
        optimizer = self._optimizer
        if optimizer is None:
            loss = self._loss(inputs, targets)
            gradients = self._averaged(torch.autograd.grad(loss, self._parameters, materialize_grads=True))
            with torch.no_grad():
                torch._foreach_add_(self._parameters, gradients, alpha=-self._rate)
            return
        if self._task.step is not None:
            self._task.step(self.model, Examples(inputs=inputs, targets=targets), optimizer)
        else:

            def backward() -> float:
                optimizer.zero_grad()
                loss = self._loss(inputs, targets)
                loss.backward()
                if self._team is not None:
                    some = [p for p in self._parameters if p.grad is not None]
                    shared = self._averaged([p.grad for p in some if p.grad is not None])
                    for parameter, gradient in zip(some, shared, strict=True):
                        parameter.grad = gradient
                return loss  # type: ignore[return-value]  # torch's optimizers hand it on as it is

            if self._task.optimizer is None:
                backward()
                optimizer.step()
            else:
                optimizer.step(backward)  # as some of torch's optimizers ask for it
        if self._schedule is not None:
            self._schedule.step()

    def _loss(self, inputs: Any, targets: Any) -> Tensor:
        return self._task.loss(forward(self.model, inputs), targets).mean()

    def _averaged(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        return list(gradients) if self._team is None else self._team.average(gradients)


def device_name(device: torch.device) -> str:
    """Return a device's name; of a GPU also its make, as records of different ones are not the same bit for bit."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def _torch_optimizer(task: Task, named: Optimizer, model: nn.Module, rate: float) -> torch.optim.Optimizer | None:
    """Return torch's optimizer; None for plain SGD at a constant rate, which is one addition."""
    if task.optimizer is not None:
        return task.optimizer(model, rate)
    if named == PLAIN and task.schedule is None and task.step is None:
        return None
    parameters = [p for p in model.parameters() if p.requires_grad]
    if named.name == "adam":
        return torch.optim.Adam(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=named.momentum)


@torch.inference_mode()
def evaluate(model: nn.Module, task: Task) -> dict[str, float | None]:
    """Return each metric's mean over the validation examples, to five significant digits; None if not finite.

    Dropout is off meanwhile, and batch norm takes what it has gathered in training.
    """
    sums = dict.fromkeys(task.metrics, 0.0)
    model.eval()
    validation: Examples = task.validation
    for part in validation.split(_CHUNK):
        outputs = forward(model, part.inputs)
        for name, metric in task.metrics.items():
            sums[name] += float(metric(outputs, part.targets).sum(dtype=torch.float64))
    model.train()
    count = len(validation)
    return {name: _rounded(total / count) for name, total in sums.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
