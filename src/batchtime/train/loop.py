"""One run to its target: the only training loop."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter, thread_time
from typing import Protocol

import torch
from torch import Tensor, nn

from batchtime.runs.provenance import provenance
from batchtime.runs.records import Cost, Evaluations, RunRecord
from batchtime.runs.spec import Device, Optimizer, RunSpec, Sampling
from batchtime.train.augment import pack, pack_order, unpack
from batchtime.train.datasets import Examples
from batchtime.train.workloads import Task, on_device

PLAIN = Optimizer()
"""SGD without momentum."""

_DIGITS = 5  # significant digits kept of a metric: it is rounded before it is compared, so that a record can be reread
_CHUNK = 500  # validation examples in one forward pass: more no longer fit into a processor's cache
_DRAWS = 2**20  # indices drawn at once, at most


class Team(Protocol):
    """Learners that do each update together, each on its share of the batch."""

    def share(self, batch: Tensor) -> Tensor:
        """Return which examples of a batch (M,) are this learner's."""

    def average(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean of the learners' gradients."""


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
        near = near or value <= setting.grid.near * target.value
        if _held(metrics[target.metric], target.value, target.hold):
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
            device=device_name(task.train.targets.device),
            examples_sha256=task.examples_sha256,
        ),
        reports=reports,
    )


def settle(task: Task) -> None:
    """Wait until the device of a task has done all that it was told to; a processor has."""
    if task.train.targets.device.type == "cuda":
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
        """Start before the first update; `rate` is the step size."""
        self.model = model
        self._task = task
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._batch_size = batch_size
        self._rate = rate
        self._generator = generator
        self._optimizer = _torch_optimizer(optimizer, self._parameters, rate)
        self._sampling = sampling
        self._team = team
        self._order = torch.empty(0, dtype=torch.int64)  # what is left of the epoch that was begun

    def update(self, count: int) -> None:
        """Do `count` updates."""
        for drawn in self._drawn(count):
            self.step(*self._batch(drawn))

    def load(self, count: int) -> None:
        """Draw, gather and augment the batches of `count` updates, and do nothing with them."""
        for drawn in self._drawn(count):
            self._batch(drawn)

    def _drawn(self, count: int) -> Iterator[Tensor]:
        at_once = max(1, _DRAWS // self._batch_size)
        for first in range(0, count, at_once):
            yield from self._draw(min(at_once, count - first))

    def _batch(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets of a batch that was drawn; of this learner's share alone."""
        inputs, targets, augment = self._task.train.inputs, self._task.train.targets, self._task.augment
        batch = (drawn if self._team is None else self._team.share(drawn)).to(targets.device)
        if augment is None:
            return inputs.index_select(0, batch), targets.index_select(0, batch)
        batch, bits = unpack(batch)
        return augment(inputs.index_select(0, batch), bits), targets.index_select(0, batch)

    def _draw(self, updates: int) -> Tensor:
        """Return the examples of some updates, (updates, batch); where they are augmented, packed with random bits."""
        examples = len(self._task.train.targets)
        shape = (updates, self._batch_size)
        augmented = self._task.augment is not None
        if self._sampling == "with replacement":
            draw = pack if augmented else torch.randint
            return draw(examples, shape, generator=self._generator)
        orders = [self._order]
        while sum(map(len, orders)) < updates * self._batch_size:
            draw_order = pack_order if augmented else torch.randperm
            orders.append(draw_order(examples, generator=self._generator))
        drawn, self._order = torch.cat(orders).tensor_split([updates * self._batch_size])
        return drawn.reshape(shape)

    def step(self, inputs: Tensor, targets: Tensor) -> None:
        """Do one update on a batch that is already gathered."""
        loss = self._task.loss(self.model(inputs), targets).mean()
        gradients = list(torch.autograd.grad(loss, self._parameters))
        if self._team is not None:
            gradients = self._team.average(gradients)
        if self._optimizer is None:
            with torch.no_grad():
                torch._foreach_add_(self._parameters, gradients, alpha=-self._rate)
            return
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimizer.step()


def device_name(device: torch.device) -> str:
    """Return a device's name; of a GPU also its make, as records of different ones are not the same bit for bit."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def _torch_optimizer(optimizer: Optimizer, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer | None:
    """Return torch's optimizer; None for plain SGD, which is one addition."""
    if optimizer == PLAIN:
        return None
    if optimizer.name == "adam":
        return torch.optim.Adam(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=optimizer.momentum)


@torch.inference_mode()
def evaluate(model: nn.Module, task: Task) -> dict[str, float | None]:
    """Return each metric's mean over the validation examples, to five significant digits; None if not finite.

    Dropout is off meanwhile, and batch norm takes what it has gathered in training.
    """
    sums = dict.fromkeys(task.metrics, 0.0)
    model.eval()
    validation: Examples = task.validation
    for inputs, targets in zip(validation.inputs.split(_CHUNK), validation.targets.split(_CHUNK), strict=True):
        outputs = model(inputs)
        for name, metric in task.metrics.items():
            sums[name] += float(metric(outputs, targets).sum(dtype=torch.float64))
    model.train()
    count = len(validation.targets)
    return {name: _rounded(total / count) for name, total in sums.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _held(values: list[float | None], threshold: float, hold: int) -> bool:
    return len(values) >= hold and all(v is not None and v <= threshold for v in values[-hold:])
