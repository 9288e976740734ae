"""How many runs a second the driver of a cluster can hand out, take back and record, where runs take no time.

A Dask scheduler and two worker processes of 100 threads each on this machine stand for 200 workers. Empty calls show
what scheduling costs; runs that return a record of the size of MNIST's show what the driver can write,
each line synced.
A cluster is kept busy by runs of s seconds up to (runs a second) times s workers.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import msgspec
from distributed import LocalCluster

from batchtime.runs.catalogue import experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import RunSpec, SweepSpec
from batchtime.runs.store import Store, data_folder, writing
from batchtime.train import sweep

RUNS = 10_000


def nothing(number: int) -> int:
    """Return at once."""
    return number


def empty_calls(executor: Executor) -> float:
    """Return the empty calls a second."""
    start = perf_counter()
    for future in as_completed([executor.submit(nothing, number) for number in range(RUNS)]):
        future.result()
    return RUNS / (perf_counter() - start)


def returning(record: RunRecord) -> Callable[..., RunRecord]:
    """Return what stands for training: it returns this record, as one of the run that was asked for."""

    def train(spec: RunSpec, _expected: object, _device: object) -> RunRecord:
        return replace(record, batch_size=spec.batch_size, seed=spec.seed)

    return train


def recorded_runs(executor: Executor, record: RunRecord) -> float:
    """Return the runs a second that a sweep takes back and records."""
    grid = SweepSpec(setting=record.setting, batch_sizes=(1, 2), seeds=tuple(range(RUNS // 2)))
    sweep.train = returning(record)
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        sweep.complete(grid, name="a", store=Store(Path(folder)), executor=executor)
        return RUNS / (perf_counter() - start)


def written(record: RunRecord) -> float:
    """Return the records a second that the store alone writes."""
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "a.jsonl") as writer:
        start = perf_counter()
        for _ in range(RUNS):
            writer.append(record)
        return RUNS / (perf_counter() - start)


def main() -> None:
    """Print one row a measurement."""
    name = "mnist-lenet"
    by_size = sorted(Store(data_folder(), recording=True).runs(name), key=lambda r: len(msgspec.json.encode(r)))
    record = by_size[len(by_size) // 2]
    grid = len(experiment(name).sweep.runs())
    print(f"a record of median size has {len(msgspec.json.encode(record))} bytes; {RUNS} runs, {grid} in that sweep")
    print("| what | a second |\n|---|---|")
    print(f"| records written and synced, without a cluster | {written(record):.0f} |")
    with (
        LocalCluster(n_workers=2, threads_per_worker=100, dashboard_address=None) as local,
        local.get_client() as client,
    ):
        executor = client.get_executor()
        print(f"| empty calls | {empty_calls(executor):.0f} |")
        print(f"| runs handed out, taken back and recorded | {recorded_runs(executor, record):.0f} |")


if __name__ == "__main__":
    main()
