"""A sweep of MNIST as one would write it in a script, against the same sweep by the package.

The script is what torch's tutorials teach: `datasets.MNIST` with transforms, a DataLoader, `torch.optim.SGD`, the
validation images evaluated on the package's grid, one run after another. It is tried with its images read and
transformed each time they are drawn, with two loader processes, and with the images in a TensorDataset.
Seeds, initial weights and the order of the examples are the package's, so that each run needs as many updates.

    script_sweep.py            # the script with torch's default threads, the package with a worker a processor
    script_sweep.py --one-core # both bound to one processor
"""

import argparse
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset, TensorDataset

from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, datasets_folder
from batchtime.train.datasets import import_torchvision
from batchtime.train.models import MODELS
from batchtime.train.sweep import complete

BATCH_SIZES = (8, 32, 128, 512)
SEEDS = (0, 1)
EXPERIMENT = experiment("mnist-lenet")
SETTING = EXPERIMENT.sweep.setting
TORCHVISION = import_torchvision()  # in place of `import torchvision`, which stops beside a CPU build of torch

Pairs = Dataset[tuple[Tensor, int]]


def images() -> tuple[Pairs, Pairs]:
    """Return the images to train on and to validate on, read and transformed each time."""
    transforms = TORCHVISION.transforms
    usual = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    whole = TORCHVISION.datasets.MNIST(str(datasets_folder()), train=True, transform=usual)
    return Subset(whole, range(59_000)), Subset(whole, range(59_000, 60_000))


def tensors() -> tuple[Pairs, Pairs]:
    """Return the same, transformed once."""
    loaded = [next(iter(DataLoader(part, batch_size=60_000))) for part in images()]
    return TensorDataset(*loaded[0]), TensorDataset(*loaded[1])


def error(model: nn.Module, validation: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Return the share of the validation images that are misclassified."""
    model.eval()
    wrong = count = 0
    with torch.no_grad():
        for inputs, targets in validation:
            wrong += int((model(inputs).argmax(dim=1) != targets).sum())
            count += len(targets)
    model.train()
    return wrong / count


def script_run(train: Pairs, validation: Pairs, batch_size: int, seed: int, loaders: int) -> int:
    """Train until the target has held; return the updates until then."""
    torch.manual_seed(seed)
    model = MODELS["lenet"]()
    order = RandomSampler(
        train,  # type: ignore[arg-type]  # torch's own Dataset declares no length
        replacement=True,
        num_samples=SETTING.max_updates * batch_size,
        generator=torch.Generator().manual_seed(seed),
    )
    batches = iter(DataLoader(train, batch_size=batch_size, sampler=order, num_workers=loaders))
    validating = DataLoader(validation, batch_size=500, num_workers=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=SETTING.learning_rate.at(batch_size))
    target, grid = SETTING.workload.target, SETTING.grid
    done = held = 0
    first = None
    near = False
    for position, point in enumerate(grid.points(SETTING.max_updates)):
        if not near and position % grid.stride != 0:
            continue
        for _ in range(point - done):
            inputs, labels = next(batches)
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        done = point
        value = error(model, validating)
        near = near or value <= grid.near * target.value
        held = held + 1 if value <= target.value else 0
        first = (first or done) if held else None
        if held == target.hold:
            break
    return first or done


def script(load: Callable[[], tuple[Pairs, Pairs]], loaders: int) -> Iterator[tuple[int, int]]:
    """Yield the batch size and the updates of each run."""
    train, validation = load()
    for batch_size in BATCH_SIZES:
        for seed in SEEDS:
            yield batch_size, script_run(train, validation, batch_size, seed, loaders)


def package(workers: int) -> Iterator[tuple[int, int]]:
    """Yield the same from a sweep into an empty store."""
    sweep = replace(EXPERIMENT.sweep, batch_sizes=BATCH_SIZES, seeds=SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        for record in complete(sweep, name=EXPERIMENT.name, store=Store(Path(folder)), workers=workers):
            yield record.batch_size, record.outcome.upper or 0


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Print one row for each way, and the ratios to the package's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one-core", action="store_true", help="bind everything to one processor")
    one_core = parser.parse_args().one_core
    if one_core:
        os.sched_setaffinity(0, {0})
        torch.set_num_threads(1)
    workers = len(os.sched_getaffinity(0))
    ways: dict[str, Callable[[], Iterator[tuple[int, int]]]] = {
        f"package, {workers} worker(s)": lambda: package(workers),
        "script, images": lambda: script(images, 0),
        "script, images, two loader processes": lambda: script(images, 2),
        "script, tensors": lambda: script(tensors, 0),
    }
    if one_core:
        del ways["script, images, two loader processes"]  # they would have no processor of their own
    print(f"{workers} processor(s), {torch.get_num_threads()} thread(s); MNIST, M = {BATCH_SIZES}, seeds {SEEDS}")
    print("| way | wall, s | CPU, s | wall against the package | CPU against the package | updates |")
    print("|---|---|---|---|---|---|", flush=True)
    base = None
    for name, way in ways.items():
        wall, cpu = perf_counter(), cpu_seconds()
        updates = [found for _, found in way()]
        wall, cpu = perf_counter() - wall, cpu_seconds() - cpu
        base = base or (wall, cpu)
        print(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {wall / base[0]:.2f} | {cpu / base[1]:.2f} | {updates} |", flush=True
        )


if __name__ == "__main__":
    main()
