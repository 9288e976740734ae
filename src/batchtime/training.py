"""One run to its target: the only loop of stochastic gradient descent."""

import math
from time import perf_counter, thread_time

import torch
from torch import Tensor, nn

from batchtime.provenance import provenance
from batchtime.records import Cost, Evaluations, RunRecord, RunSpec
from batchtime.workloads import Examples, Task

_DIGITS = 5  # significant digits kept of a metric: it is rounded before it is compared, so that a record can be reread
_CHUNK = 500  # validation examples in one forward pass: more no longer fit into a processor's cache
_DRAWS = 2**20  # indices drawn at once, at most


def train_to_target(spec: RunSpec, task: Task) -> RunRecord:
    """Train with plain SGD until the target is reached, the budget is spent or the loss is not finite.

    Batches are drawn with replacement. The seed sets the initial weights and the order of the examples, the same for
    every batch size: a run of batch size 2 M has seen after k updates what a run of batch size M has after 2 k.

    Args:
        spec: The run.
        task: What `workloads.build` returns for the run's workload.
    """
    setting = spec.setting
    target = setting.workload.target
    wall, cpu, evaluating = perf_counter(), thread_time(), 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = task.model()
    trainer = Trainer(
        model=model,
        task=task,
        batch_size=spec.batch_size,
        rate=setting.learning_rate.at(spec.batch_size),
        generator=torch.Generator().manual_seed(spec.seed),
    )
    updates: list[int] = []
    metrics: dict[str, list[float | None]] = {name: [] for name in task.metrics}
    done, near = 0, False
    for position, point in enumerate(points := setting.grid.points(setting.max_updates)):
        if not near and position % setting.grid.stride != 0 and point != points[-1]:
            continue
        trainer.update(point - done)
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
    return RunRecord(
        setting=setting,
        batch_size=spec.batch_size,
        seed=spec.seed,
        outcome=evaluations.outcome(target),
        evaluations=evaluations,
        cost=Cost(
            wall_seconds=perf_counter() - wall,
            cpu_seconds=thread_time() - cpu,
            evaluation_cpu_seconds=evaluating,
            examples=done * spec.batch_size,
        ),
        provenance=provenance(threads=torch.get_num_threads()),
    )


class Trainer:
    """A model on its way: does updates, one batch each."""

    def __init__(
        self, *, model: nn.Module, task: Task, batch_size: int, rate: float, generator: torch.Generator
    ) -> None:
        """Start before the first update; `rate` is the step size."""
        self.model = model
        self._task = task
        self._parameters: list[Tensor] = list(model.parameters())
        self._batch_size = batch_size
        self._rate = rate
        self._generator = generator

    def update(self, count: int) -> None:
        """Do `count` updates."""
        inputs, targets = self._task.train.inputs, self._task.train.targets
        at_once = max(1, _DRAWS // self._batch_size)
        for first in range(0, count, at_once):
            shape = (min(at_once, count - first), self._batch_size)
            draws = torch.randint(len(targets), shape, generator=self._generator)  # (updates, batch)
            for batch in draws:
                self.step(inputs.index_select(0, batch), targets.index_select(0, batch))

    def step(self, inputs: Tensor, targets: Tensor) -> None:
        """Do one update on a batch that is already gathered."""
        loss = self._task.loss(self.model(inputs), targets).mean()
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            torch._foreach_add_(self._parameters, gradients, alpha=-self._rate)


@torch.inference_mode()
def evaluate(model: nn.Module, task: Task) -> dict[str, float | None]:
    """Return each metric's mean over the validation examples, to five significant digits; None if not finite."""
    sums = dict.fromkeys(task.metrics, 0.0)
    validation: Examples = task.validation
    for inputs, targets in zip(validation.inputs.split(_CHUNK), validation.targets.split(_CHUNK), strict=True):
        outputs = model(inputs)
        for name, metric in task.metrics.items():
            sums[name] += float(metric(outputs, targets).sum(dtype=torch.float64))
    count = len(validation.targets)
    return {name: _rounded(total / count) for name, total in sums.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _held(values: list[float | None], threshold: float, hold: int) -> bool:
    return len(values) >= hold and all(v is not None and v <= threshold for v in values[-hold:])
