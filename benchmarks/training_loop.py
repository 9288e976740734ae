"""The training loop against the bare forward, backward and update, on batches that are already gathered.

Each task trains on its own data, where these are at hand, with one thread. The bare loop is given its batches; the loop
of the package draws and gathers them. Stretches of both take turns. The ratio is examples a second of the package over
those of the bare loop, from the median stretches, CPU time.
"""

from time import thread_time

import numpy as np
import torch

from batchtime.errors import DatasetError
from batchtime.runs.catalogue import tasks
from batchtime.train.loop import Trainer
from batchtime.train.workloads import Task, build

STRETCHES = 11
GATHERED = 16
RATE = 1e-6


def bare(model: torch.nn.Module, task: Task, batches: list[tuple[torch.Tensor, torch.Tensor]], count: int) -> None:
    """Do `count` updates as torch's documentation writes them, on batches that are there."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for step in range(count):
        inputs, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        task.loss(model(inputs), targets).mean().backward()
        optimizer.step()


def compare(task: Task, size: int) -> tuple[float, float]:
    """Return the median CPU seconds of an update of the bare loop and of the package's."""
    count = max(4, 500 // size)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(len(task.train.targets), (GATHERED, size), generator=generator)
    batches = [(task.train.inputs[draw], task.train.targets[draw]) for draw in draws]
    model = task.model()
    trainer = Trainer(model=task.model(), task=task, batch_size=size, rate=RATE, generator=generator)
    times: list[tuple[float, float]] = []
    for _ in range(STRETCHES + 1):
        start = thread_time()
        bare(model, task, batches, count)
        middle = thread_time()
        trainer.update(count)
        times.append(((middle - start) / count, (thread_time() - middle) / count))
    theirs, ours = np.median(times[1:], axis=0)
    return float(theirs), float(ours)


def main() -> None:
    """Print one row for each task and batch size."""
    torch.set_num_threads(1)
    print("| task | M | bare, us an update | package, us an update | examples a second, ratio |")
    print("|---|---|---|---|---|")
    for title, experiment in tasks().items():
        try:
            task = build(experiment.workload)
        except DatasetError as error:
            print(f"| {title} | not at hand: {error} |")
            continue
        for size in (2, 16, 256):
            theirs, ours = compare(task, size)
            print(f"| {title} | {size} | {theirs * 1e6:.0f} | {ours * 1e6:.0f} | {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
