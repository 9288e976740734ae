"""One worker process against two, on the same sweep: the start of the processes and of torch in them is counted.

The sweep is a part of MNIST's (three batch sizes, eight seeds) where the data are there, and of the digits' elsewhere.
"""

import tempfile
from pathlib import Path
from time import perf_counter

from batchtime.errors import DatasetError
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.store import Store
from batchtime.train.sweep import complete
from batchtime.train.workloads import build


def part() -> Experiment:
    """Return a sweep of about a minute."""
    mnist = experiment("mnist-lenet").changed(batch_sizes=[16, 64, 128], seeds=8)
    try:
        build(mnist.workload)
    except DatasetError:
        return experiment("digits-mlp").changed(seeds=[*range(100, 130)])
    return mnist


def seconds(chosen: Experiment, workers: int) -> float:
    """Return how long a sweep takes from an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        complete(chosen.sweep, name=chosen.name, store=Store(Path(folder)), workers=workers)
        return perf_counter() - start


def main() -> None:
    """Print one row; one and two workers take turns, twice."""
    chosen = part()
    times = [(seconds(chosen, 1), seconds(chosen, 2)) for _ in range(2)]
    print("| sweep | one worker, s | two workers, s | ratio |\n|---|---|---|---|")
    for one, two in times:
        print(f"| {chosen.name}, {len(chosen.sweep.runs())} runs | {one:.1f} | {two:.1f} | {one / two:.2f} |")


if __name__ == "__main__":
    main()
