"""Predict the sealed cells of a task from its other cells, before they are run: data/predictions/NAME.csv.

    .venv/bin/python benchmarks/predict_sealed.py mnist-error-2

Commit what it writes, then start the sealed runs: `batchtime sweep NAME --sealed --record`. It refuses to predict cells
that have been run.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from batchtime.fit.measurements import Observation
from batchtime.fit.prediction import predict
from batchtime.runs.catalogue import EXPERIMENTS
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.spec import Optimizer
from batchtime.runs.store import Store, data_folder


def family(name: str) -> list[Experiment]:
    """Return the sweeps of a task with plain SGD."""
    known = (one for one in EXPERIMENTS.values() if name in (one.name, one.variant_of))
    return [one for one in known if one.sweep.setting.optimizer == Optimizer()]


def open_runs(sweeps: Sequence[Experiment], store: Store) -> Mapping[float, list[Observation]]:
    """Return by constant learning rate the runs that are not sealed."""
    runs = {}
    for one in sweeps:
        rate, wanted = one.sweep.setting.learning_rate, set(one.sweep.runs())
        seen = [r for r in store.runs(one.name) if r.spec in wanted and r.batch_size not in one.sealed]
        if rate.half_batch_size == 0 and seen:
            runs[rate.maximum] = [record.observation() for record in seen]
    return runs


def main(name: str) -> None:
    """Write the predictions of one task."""
    store = Store(data_folder(), recording=True)
    sweeps = family(name)
    runs = open_runs(sweeps, store)
    rows = []
    for one in sweeps:
        wanted = set(one.sweep.runs())  # the pilot's runs, of another seed, chose the cells
        known = [record for record in store.runs(one.name) if record.batch_size in one.sealed and record.spec in wanted]
        if known:
            sys.exit(f"{len(known)} sealed runs of {one.name} are recorded: what is known cannot be predicted")
        for size in one.sealed:
            rate = one.sweep.setting.learning_rate.at(size)
            (found,) = predict(runs, None, batch_sizes=[size], learning_rate=rate)
            low, high = found.updates_interval
            rows.append({"sweep": one.name, **asdict(found), "updates_low": low, "updates_high": high})
    here = provenance(threads=1)
    columns = ["sweep", "batch_size", "learning_rate", "updates", "updates_low", "updates_high"]
    frame = pd.DataFrame(rows)[columns].assign(commit=here.commit, date=here.date, runs=sum(map(len, runs.values())))
    path = data_folder() / "predictions" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    print(frame.to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
