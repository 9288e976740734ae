"""What a GPU is asked, in some minutes: t(M) of four networks, then CIFAR-10 over batch size and learning rate.

    .venv/bin/python benchmarks/gpu.py --pack gpu-images.npz      # here: images for a machine without the data set
    .venv/bin/python benchmarks/gpu.py --minutes 8 --images gpu-images.npz --out gpu
    .venv/bin/python benchmarks/gpu.py --minutes 1 --tiny --device cpu --out gpu     # a try without a GPU

Records are written as they finish, timings first, so that what is cut off is still of use. Without --images the data
set is read as everywhere, and downloaded where it is missing. It takes torch 2.11 or newer.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from batchtime.errors import BatchtimeError
from batchtime.laws.learning_rate import LearningRate
from batchtime.runs.spec import EvaluationGrid, RunSpec, Setting, Target, Workload
from batchtime.runs.store import Store, datasets_folder, writing
from batchtime.train import datasets, tasks, workloads
from batchtime.train.augment import flip_and_shift
from batchtime.train.datasets import Examples, Split, load_cifar
from batchtime.train.europarl import LONGEST
from batchtime.train.loop import train_to_target
from batchtime.train.timing import time_updates

NETWORKS = {"lenet": (1, 28, 28), "wide-cnn-10": (3, 32, 32), "resnet-10": (3, 32, 32), "gru": (2, LONGEST)}
"""Networks that are timed, and the shape of an example of each: seconds depend on shapes, not on what is seen."""
SIZES = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 129, 192, 256, 257, 512, 1024, 2048, 4096, 8192)
"""Powers of two, sizes between, and one beyond a tile: 129 and 257."""
RATES = (0.05, 0.1, 0.2, 0.4)
BATCHES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
MOST_BYTES = 60 * 2**20
"""Of packed images: 64 MiB travel at most."""
SHARE_TIMED = 0.4
"""Of the minutes, for timings."""
AIM_SECONDS = 10.0
"""That the best pair may take to the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How much of the time is left."""

    end: float

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()


def pack(path: Path) -> None:
    """Write as many images of CIFAR-10, as bytes, as fit."""
    train, _ = load_cifar(datasets_folder(), classes=10, validation=5000)
    images = train.inputs.numpy()
    low, high = float(images.min()), float(images.max())
    grey = np.round((images - low) / (high - low) * 255).astype(np.uint8)
    count = 30_000
    while True:
        np.savez_compressed(path, images=grey[:count], labels=train.targets[:count].numpy(), ends=np.array([low, high]))
        if path.stat().st_size <= MOST_BYTES:
            print(f"{count} images, {path.stat().st_size / 2**20:.0f} MiB")
            return
        count -= 1000


def unpacked(path: Path) -> Split:
    """Return packed images: the last tenth to validate on."""
    with np.load(path) as file:
        low, high = file["ends"]
        inputs = torch.from_numpy(file["images"].astype(np.float32) / 255 * (high - low) + low)
        targets = torch.from_numpy(file["labels"])
    return datasets.split(inputs, targets, validation=len(inputs) // 10)


def noise(shape: tuple[int, ...], count: int) -> Split:
    """Return random examples of a shape, two classes; or sentences of random pieces."""
    generator = torch.Generator().manual_seed(0)
    if shape == NETWORKS["gru"]:
        pieces = torch.randint(4, 1000, (count, *shape), generator=generator)
        return (Examples(inputs=pieces, targets=torch.ones(count)),) * 2
    inputs = torch.randn(count, *shape, generator=generator)
    examples = Examples(inputs=inputs, targets=torch.arange(count) % 2)
    return examples, Examples(inputs=inputs[:100], targets=examples.targets[:100])


def workload(name: str, model: str, target: Target) -> Workload:
    """Return a workload of this script."""
    return Workload(name=name, dataset=f"gpu-{name}", model=model, target=target)


def timings(options: argparse.Namespace, store: Store, clock: Clock) -> None:
    """Time the networks, each with an equal part of what timings may take."""
    sizes = (1, 8, 9) if options.tiny else SIZES
    networks = {name: NETWORKS[name] for name in ("lenet", "gru")} if options.tiny else NETWORKS
    budget = SHARE_TIMED * clock.left / (10 if options.tiny else 1) / len(networks)
    for model, shape in networks.items():
        tasks.DATASETS[f"gpu-{model}"] = lambda shape=shape: noise(shape, max(sizes) if options.tiny else 10_000)
        if model == "gru":
            tasks._MEASURES["gpu-gru"] = tasks._MEASURES["europarl"]  # noqa: SLF001 - made-up sentences
        what = workload(model, model, Target(metric="loss", value=0.01))
        try:
            record = time_updates(what, batch_sizes=sizes, seconds=budget, device=options.device)
        except (BatchtimeError, RuntimeError) as error:  # memory, most likely: the others are still of use
            print(f"{model}: {error}", file=sys.stderr)
            continue
        with writing(store.timings_file(model)) as writer:
            writer.append(record)
        print(model, {one.batch_size: f"{1e3 * one.seconds:.3g} ms" for one in record.timings}, flush=True)


def cells(rates: tuple[float, ...], sizes: tuple[int, ...], seeds: int) -> Iterator[tuple[float, int, int]]:
    """Yield pairs by priority: near eta / M = 0.1 / 256 first, one seed of all before the next."""
    pairs = sorted(
        ((rate, size) for rate in rates for size in sizes), key=lambda pair: abs(math.log(pair[0] / pair[1] * 2560))
    )
    for seed in range(seeds):
        for rate, size in pairs:
            yield rate, size, seed


def runs(options: argparse.Namespace, store: Store, clock: Clock) -> None:
    """Find a target, then train cells by priority until the time is over."""
    if options.tiny:
        tasks.DATASETS["gpu-cifar10"] = lambda: noise((3, 32, 32), 200)
    elif options.images:
        tasks.DATASETS["gpu-cifar10"] = lambda: unpacked(options.images)
    else:
        tasks.DATASETS["gpu-cifar10"] = lambda: load_cifar(datasets_folder(), classes=10, validation=5000)
    rates, sizes = (RATES[:2], BATCHES[:2]) if options.tiny else (RATES, BATCHES)
    model = "wide-cnn-10" if options.tiny else "resnet-10"
    start = workload("cifar10", model, Target(metric="error", value=0.1))
    task = replace(workloads.build(start), augment=flip_and_shift)

    def spec(value: float, rate: float, size: int, seed: int, updates: int) -> RunSpec:
        target = Target(metric="error", value=value, hold=1)
        setting = Setting(
            workload=workload("cifar10", model, target),
            learning_rate=LearningRate(maximum=rate),
            max_updates=updates,
            grid=EvaluationGrid(ratio=1.1, stride=1, first=2 if options.tiny else 50),
        )
        return RunSpec(setting=setting, batch_size=size, seed=seed)

    # What one middle pair reaches in the time that the best may take is the target: 10 % error if it gets there.
    aim = 1.0 if options.tiny else AIM_SECONDS
    begun, updates, found = time.monotonic(), 4 if options.tiny else 200, None
    while time.monotonic() - begun < 2 * aim and clock.left > aim:
        found = train_to_target(spec(0.1, rates[-2], sizes[len(sizes) // 2], 100, updates), task, device=options.device)
        if found.outcome.upper is not None or found.cost.wall_seconds > aim:
            break
        updates *= 2
    reached = [] if found is None else [value for value in found.evaluations.metrics["error"] if value is not None]
    if not reached:
        print("no time was left to find a target", file=sys.stderr)
        return
    value = max(0.1, min(reached))
    print(f"target: {100 * value:.1f} % error", flush=True)
    with writing(store.runs_file("cifar10")) as writer:
        for rate, size, seed in cells(rates, sizes, 1 if options.tiny else 5):
            most = max(10, round(4 * updates * sizes[len(sizes) // 2] / size))
            begun = time.monotonic()
            if clock.left < aim / 2:
                break
            record = train_to_target(spec(value, rate, size, seed, most), task, device=options.device)
            writer.append(record)
            print(rate, size, seed, record.outcome, f"{time.monotonic() - begun:.1f} s", flush=True)


def main() -> None:
    """Pack images, or measure until the minutes are over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--images", type=Path, help="what --pack wrote")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of the records")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="write images for a machine without the data set")
    parser.add_argument("--tiny", action="store_true", help="small settings and made-up images")
    options = parser.parse_args()
    if options.pack:
        pack(options.pack)
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU is at hand; --device cpu --tiny tries this script without one")
    options.out.mkdir(parents=True, exist_ok=True)
    store, clock = Store(options.out, recording=True), Clock(end=time.monotonic() + 60 * options.minutes)
    timings(options, store, clock)
    runs(options, store, clock)


if __name__ == "__main__":
    main()
