"""The training loop against the bare forward, backward and update, on batches that are already gathered.

Both train LeNet on images of MNIST's size and number, with one thread. The bare loop is given its batches; the loop of
the package draws and gathers them. Stretches of both take turns; the ratio is that of the median stretches, CPU time.
"""

from time import thread_time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from batchtime.datasets import Examples
from batchtime.models import MODELS
from batchtime.training import Trainer
from batchtime.workloads import Task

STRETCHES = 15
GATHERED = 64


def bare(model: nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]], count: int) -> None:
    """Do `count` updates as torch's documentation writes them, on batches that are there."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    for step in range(count):
        inputs, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def main() -> None:
    """Print one row for each batch size."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(59_000, 1, 28, 28, generator=generator)
    labels = torch.randint(10, (59_000,), generator=generator)
    examples = Examples(inputs=images, targets=labels)
    task = Task(
        model=MODELS["lenet"],
        train=examples,
        validation=examples,
        loss=lambda outputs, targets: functional.cross_entropy(outputs, targets, reduction="none"),
        metrics={},
    )
    print("| M | bare, us an update | package, us an update | ratio |\n|---|---|---|---|")
    for size in (1, 16, 256):
        count = max(20, 2000 // size)
        model = MODELS["lenet"]()
        trainer = Trainer(model=MODELS["lenet"](), task=task, batch_size=size, rate=1e-6, generator=generator)
        batches = [(images[k * size : (k + 1) * size], labels[k * size : (k + 1) * size]) for k in range(GATHERED)]
        times: dict[str, list[float]] = {"bare": [], "package": []}
        for _ in range(STRETCHES + 1):
            start = thread_time()
            bare(model, batches, count)
            middle = thread_time()
            trainer.update(count)
            times["bare"].append((middle - start) / count)
            times["package"].append((thread_time() - middle) / count)
        ours, theirs = (float(np.median(times[name][1:])) for name in ("package", "bare"))
        print(f"| {size} | {theirs * 1e6:.0f} | {ours * 1e6:.0f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
