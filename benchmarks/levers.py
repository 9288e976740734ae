"""What could make a sweep faster, each by itself: the ratio of the CPU time without it to that with it.

Two ways take turns, and the medians of the stretches are compared; above 1 the lever pays. Levers that change which
runs or evaluations happen, not how, are counted on the recorded runs of MNIST.
"""

import copy
import heapq
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor, func, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from batchtime.runs.catalogue import experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store, data_folder, datasets_folder
from batchtime.train.datasets import import_torchvision
from batchtime.train.loop import Trainer, evaluate
from batchtime.train.models import MODELS
from batchtime.train.sweep import recorded
from batchtime.train.workloads import Task, build

STRETCHES = 9
RATE = 0.01
MNIST, CIFAR = experiment("mnist-lenet"), experiment("cifar10-cnn")

Way = Callable[[], object]


def compare(without: Way, having: Way, clock: Callable[[], float] = process_time) -> float:
    """Return the ratio of the median times of two ways that take turns, after one round to warm up."""
    times = np.empty((STRETCHES + 1, 2))
    for stretch in times:
        for column, way in enumerate((without, having)):
            start = clock()
            way()
            stretch[column] = clock() - start
    slow, fast = np.median(times[1:], axis=0)
    return float(slow / fast)


def row(lever: str, where: str, ratio: float) -> None:
    """Print a row of the table."""
    print(f"| {lever} | {where} | {ratio:.2f} |", flush=True)


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> None:
    """Do one update as torch's documentation writes it."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs), targets).backward()
    optimizer.step()


def trainer(task: Task, size: int) -> Trainer:
    """Return the package's loop before its first update."""
    generator = torch.Generator().manual_seed(0)
    return Trainer(model=task.model(), task=task, batch_size=size, rate=RATE, generator=generator)


def loader(task: Task, size: int, count: int) -> Way:
    """Return what draws `count` batches with a DataLoader and trains on them by `Trainer.step`."""
    data = TensorDataset(task.train.inputs, task.train.targets)
    ours = trainer(task, size)

    def way() -> None:
        order = RandomSampler(data, replacement=True, num_samples=size * count)
        for inputs, targets in DataLoader(data, batch_size=size, sampler=order):
            ours.step(inputs, targets)

    return way


def resident(task: Task) -> None:
    """Compare the images as tensors with images that are transformed each time they are drawn."""
    torchvision = import_torchvision()
    usual = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize((0.1307,), (0.3081,))]
    )
    images = torchvision.datasets.MNIST(str(datasets_folder()), train=True, transform=usual)
    data = TensorDataset(task.train.inputs, task.train.targets)
    drawn = torch.randint(59_000, (2000,)).tolist()
    row(
        "images as tensors",
        "MNIST, drawing an example",
        compare(*(lambda d=d: [d[i] for i in drawn] for d in (images, data))),
    )


def optimizer(task: Task, size: int) -> None:
    """Compare one addition for all parameters with `torch.optim.SGD` and `backward`."""
    ours, model = trainer(task, size), task.model()
    theirs = torch.optim.SGD(model.parameters(), lr=RATE)
    inputs, targets = task.train.inputs[:size], task.train.targets[:size]
    count = max(10, 2000 // size)
    without = lambda: [plain_step(model, theirs, inputs, targets) for _ in range(count)]  # noqa: E731
    row(
        "one addition for SGD",
        f"MNIST, M = {size}",
        compare(without, lambda: [ours.step(inputs, targets) for _ in range(count)]),
    )


def channels_last(task: Task, size: int) -> None:
    """Compare convolutions on channels-last images with those on the usual layout."""
    inputs, targets = task.train.inputs[:size], task.train.targets[:size]
    count = max(5, 500 // size)
    usual, last = trainer(task, size), trainer(task, size)
    last.model.to(memory_format=torch.channels_last)
    turned = inputs.to(memory_format=torch.channels_last)
    ratio = compare(
        lambda: [usual.step(inputs, targets) for _ in range(count)],
        lambda: [last.step(turned, targets) for _ in range(count)],
    )
    row("channels last", f"CIFAR-10, M = {size}", ratio)


def threads(task: Task, size: int) -> None:
    """Compare two runs beside each other, one thread each, with one run of two threads after the other (wall clock)."""
    ours = trainer(task, size)
    count = max(10, 4000 // size)

    def with_threads(number: int) -> Way:
        def way() -> None:
            torch.set_num_threads(number)
            ours.update(count)

        return way

    two = compare(with_threads(1), with_threads(2), clock=perf_counter)
    torch.set_num_threads(1)
    row("a run on each processor, not two threads a run", f"MNIST, M = {size}", 2 / two)


def compiled(task: Task, size: int) -> None:
    """Compare an update through `torch.compile` with one that is not compiled; compiling is not counted."""
    inputs, targets = task.train.inputs[:size], task.train.targets[:size]
    usual, fast = trainer(task, size), trainer(task, size)
    start = perf_counter()
    fast.model = torch.compile(fast.model)  # type: ignore[assignment]
    fast.step(inputs, targets)
    seconds = perf_counter() - start
    count = max(10, 2000 // size)
    ratio = compare(
        lambda: [usual.step(inputs, targets) for _ in range(count)],
        lambda: [fast.step(inputs, targets) for _ in range(count)],
    )
    row("torch.compile", f"MNIST, M = {size}; {seconds:.0f} s of compiling a process and batch size", ratio)


def together(name: str, model: Callable[[], nn.Module], task: Task, size: int, seeds: int = 10) -> None:
    """Compare ten seeds trained at once through `torch.func` with one after another."""
    models = [model() for _ in range(seeds)]
    parameters, buffers = func.stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")
    draws = torch.randint(len(task.train.targets), (seeds, size))
    inputs, targets = task.train.inputs[draws], task.train.targets[draws]

    def loss(weights: dict[str, Tensor], kept: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(func.functional_call(base, (weights, kept), (x,)), y)

    gradient = func.vmap(func.grad(loss))
    trainers = [trainer(Task(model=lambda m=m: m, **shared(task)), size) for m in models]

    def batched() -> None:
        for _ in range(count):
            found = gradient(parameters, buffers, inputs, targets)
            with torch.no_grad():
                torch._foreach_add_(list(parameters.values()), list(found.values()), alpha=-RATE)

    def single() -> None:
        for one, x, y in zip(trainers, inputs, targets, strict=True):
            for _ in range(count):
                one.step(x, y)

    count = max(5, 400 // size)
    row("ten seeds at once", f"{name}, M = {size}", compare(single, batched))


def shared(task: Task) -> dict[str, object]:
    """Return of a task what does not depend on its model."""
    return {"train": task.train, "validation": task.validation, "loss": task.loss, "metrics": task.metrics}


def makespan(costs: Sequence[float], workers: int) -> float:
    """Return when the last of these runs ends, each given to the first worker that is free."""
    free = [0.0] * workers
    for cost in costs:
        heapq.heapreplace(free, free[0] + cost)
    return max(free)


def order(runs: Sequence[RunRecord], workers: int) -> None:
    """Compare the longest runs first with the grid's order, on the recorded costs."""
    grid = [run.cost.cpu_seconds for run in sorted(runs, key=lambda run: (run.batch_size, run.seed))]
    longest = [run.cost.cpu_seconds for run in sorted(runs, key=lambda run: -run.batch_size)]
    ratio = makespan(grid, workers) / makespan(longest, workers)
    row("largest batches first", f"MNIST's {len(runs)} runs on {workers} workers, wall", ratio)


def coarse(runs: Sequence[RunRecord]) -> None:
    """Compare the two-step grid with evaluating at each of its points, on the recorded costs."""
    spent = sum(run.cost.cpu_seconds for run in runs)
    every = 0.0
    for run in runs:
        points = [p for p in run.setting.grid.points(run.setting.max_updates) if p <= run.evaluations.updates[-1]]
        one = run.cost.evaluation_cpu_seconds / len(run.evaluations.updates)
        every += run.cost.cpu_seconds + one * (len(points) - len(run.evaluations.updates))
    row("coarse evaluations far from the target", "MNIST, a sweep", every / spent)
    free = spent - sum(run.cost.evaluation_cpu_seconds for run in runs)
    row("any evaluation that costs nothing (bound on replay and early stops)", "MNIST, a sweep", spent / free)


def chunks(task: Task) -> None:
    """Compare evaluation in chunks with one pass over all validation images."""
    model = task.model()
    whole = task.validation

    @torch.inference_mode()
    def at_once() -> None:
        outputs = model(whole.inputs)
        for metric in task.metrics.values():
            metric(outputs, whole.targets).mean().item()

    row(
        "evaluation in chunks of 500",
        f"CIFAR-10, {len(whole.targets)} images",
        compare(at_once, lambda: evaluate(model, task)),
    )


def main() -> None:
    """Print one row for each lever and place."""
    torch.set_num_threads(1)
    mnist, cifar, digits = build(MNIST.workload), build(CIFAR.workload), build(experiment("digits-mlp").workload)
    runs = recorded(MNIST.sweep, name=MNIST.name, store=Store(data_folder(), recording=True))
    print("| lever | where | ratio |\n|---|---|---|")
    resident(mnist)
    for size in (8, 128):
        count = max(5, 2000 // size)
        ours = trainer(mnist, size)
        row(
            "no DataLoader",
            f"MNIST, M = {size}",
            compare(loader(mnist, size, count), lambda t=ours, c=count: t.update(c)),
        )
    for size in (8, 128):
        optimizer(mnist, size)
    for size in (8, 128):
        channels_last(cifar, size)
    for size in (8, 128, 512):
        threads(mnist, size)
    for workers in (2, 16):
        order(runs, workers)
    coarse(runs)
    chunks(cifar)
    for size in (8, 128):
        together("digits, 64-64-10", MODELS["mlp"], digits, size)
        together("MNIST, LeNet", mnist.model, mnist, size)
    for size in (8, 128):
        compiled(mnist, size)


if __name__ == "__main__":
    main()
