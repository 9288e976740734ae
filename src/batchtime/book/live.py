"""Train what a page needs and nobody has recorded."""

from concurrent.futures import ThreadPoolExecutor

from batchtime.errors import check
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store
from batchtime.train.sweep import complete


def trained(chosen: Experiment, *, store: Store, workers: int = 1) -> list[RunRecord]:
    """Return the runs of a sweep, training those that are not recorded.

    Args:
        chosen: The sweep.
        store: Where its runs are recorded.
        workers: Processes to train in. With one it is this process: the pages of the book are executed beside each
            other, and to start another process with torch takes longer than a few short runs.

    Raises:
        ParameterError: If there are no workers.
        SweepError: If a worker died.
        StoreError: If records cannot be read or written.
    """
    check(workers >= 1, name="workers", value=workers, allowed="a whole number, at least 1")
    if workers > 1:
        return complete(chosen.sweep, name=chosen.name, store=store, workers=workers)
    with ThreadPoolExecutor(max_workers=1) as here:
        return complete(chosen.sweep, name=chosen.name, store=store, executor=here)
