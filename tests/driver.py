"""A process that completes a sweep of runs that take no time, to be stopped in every way."""

import resource
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batchtime.errors import BatchtimeError
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import RunSpec, SweepSpec
from batchtime.runs.store import Store
from batchtime.train import sweep

from .builders import record, setting


def grid(seeds: int) -> SweepSpec:
    """Return the sweep that is completed."""
    return SweepSpec(setting=setting(), batch_sizes=(8, 32), seeds=tuple(range(seeds)))


def made_up(spec: RunSpec, _expected: Mapping[str, str], _device: str) -> RunRecord:
    """Return the record of a run that was never made."""
    time.sleep(0.002)
    return record(batch_size=spec.batch_size, seed=spec.seed)


def main(folder: str, seeds: str, largest_file: str = "") -> int:
    """Complete the sweep "a"; a file may grow to so many bytes at most, as on a full disk."""
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), resource.RLIM_INFINITY))
    sweep.train = made_up  # type: ignore[assignment]
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    try:
        with ThreadPoolExecutor(2) as executor:
            sweep.complete(grid(int(seeds)), name="a", store=Store(Path(folder)), executor=executor)
    except BatchtimeError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the test reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
