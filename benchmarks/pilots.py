"""What does a pilot cost, and what does its advice lose? Replayed on all recorded sweeps, seed by seed.

Each sweep's runs stand in for the pilot's; sweeps that are still being recorded are left out. Seconds are the recorded
ones of the workload, or, where it was not timed, those that its runs took.

Run: python benchmarks/pilots.py [--record]; with --record data/studies/pilots.csv is written.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from batchtime.book.pages.pilots import summary
from batchtime.fit.measurements import UpdateTiming
from batchtime.plan.replay import replays
from batchtime.runs.catalogue import EXPERIMENTS, experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.store import Store, data_folder

FILE = Path(__file__).parents[1] / "data" / "studies" / "pilots.csv"
TIMED = ("mnist-lenet", "cifar10-cnn", "cifar100-cnn", "europarl-gru")


def timings_of(store: Store, chosen: Experiment, records: list[RunRecord]) -> list[UpdateTiming]:
    """Return the recorded seconds of a workload; of one that was not timed, those that its runs took."""
    for base in TIMED:
        if chosen.name.startswith(base):
            return chosen.relevant(store.latest_timing(base).timings)
    found = []
    for size in sorted({record.batch_size for record in records}):
        costs = [
            (r.cost.cpu_seconds - r.cost.evaluation_cpu_seconds) * size / r.cost.examples
            for r in records
            if r.batch_size == size
        ]
        middle = float(np.median(costs))
        found.append(UpdateTiming(batch_size=size, wall_seconds=(middle,), cpu_seconds=(middle,)))
    return found


def main() -> None:
    """Replay, print what came of it, and record it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    store = Store(data_folder(), recording=True)
    rows = []
    for name in filter(EXPERIMENTS.__contains__, store.published()):
        chosen = experiment(name)
        if chosen.unfinished:
            continue
        wanted = set(chosen.sweep.runs())
        records = [record for record in store.runs(name) if record.spec in wanted]
        if records:
            rows += [asdict(one) for one in replays(chosen, records, timings_of(store, chosen, records))]
    frame = pd.DataFrame(rows).round({"cost": 4, "loss": 5, "bound": 5, "price": 4})
    if options.record:
        frame.to_csv(FILE, index=False)
    pd.set_option("display.width", 200)
    print(summary(frame).to_string())


if __name__ == "__main__":
    main()
