"""Three models as people train them: advice from a pilot, predictions in writing, then the whole grid by the clock.

    .venv/bin/python benchmarks/proof.py pilot            # writes data/predictions/own-models.csv: commit it
    .venv/bin/python benchmarks/proof.py grid             # refuses where no prediction is committed

Each update counts with the CPU time of its thread, so that other programs on the machine matter less. The grid's seeds
are not the pilot's. Runs are recorded in data/runs, updates that the pilot timed in data/timings.
"""

import subprocess
import sys

import pandas as pd

from batchtime.book.pages.own_model import GRIDS, grid_of, pilot_runs
from batchtime.fit.prediction import predict
from batchtime.plan.pilot import pilot
from batchtime.runs.provenance import CHECKOUT, provenance
from batchtime.runs.store import Store, data_folder, writing
from batchtime.train.sweep import complete

PATH = data_folder() / "predictions" / "own-models.csv"


def predicted(function: str, store: Store) -> pd.DataFrame:
    """Train the pilot of one model and return what is predicted at each size of its grid, with the advice."""
    chosen = pilot_runs(function)
    found = pilot(chosen, store=store, workers=1, cpu_time=True, seconds=20)
    with writing(store.timings_file(chosen.workload.name)) as writer:
        writer.append(found.timing)
    timings = [one.by_cpu for one in chosen.relevant(found.timing.timings)]
    advice = found.best
    guess = advice.best_guess
    sizes = sorted({*GRIDS[function], *([] if guess is None else [guess.batch_size])})
    rows = predict(chosen.fit_observations(found.records), timings, batch_sizes=sizes)
    here = provenance(threads=1)
    return pd.DataFrame(
        {
            "function": function,
            "batch_size": int(row.batch_size),
            "seconds": row.seconds,
            "seconds_low": row.seconds_interval[0],
            "seconds_high": row.seconds_interval[1],
            "updates": row.updates,
            "updates_low": row.updates_interval[0],
            "updates_high": row.updates_interval[1],
            "advised": guess is not None and row.batch_size == guess.batch_size,
            "refused": advice.refused,
            "regret_bound": advice.regret,
            "pilot_seconds": found.cost.cpu_seconds,
            "commit": here.commit,
            "date": here.date,
        }
        for row in rows
    )


def main(stage: str) -> None:
    """Do one of the two stages."""
    store = Store(data_folder(), recording=True)
    if provenance(threads=1).dirty:
        sys.exit("src/ differs from the last commit: commit first")
    if stage == "pilot":
        frame = pd.concat([predicted(function, store) for function in GRIDS])
        frame.to_csv(PATH, index=False, lineterminator="\n")
        print(frame.to_string())
        return
    known = subprocess.run(["git", "-C", str(CHECKOUT), "diff", "--quiet", "HEAD", "--", str(PATH)], check=False)  # noqa: S607
    if known.returncode or not PATH.exists():
        sys.exit(f"{PATH} is not committed: what is known cannot be predicted")
    for function in GRIDS:
        records = complete(grid_of(function).sweep, name=function, store=store, workers=2)
        print(function, len(records), sum(record.cost.cpu_seconds for record in records))


if __name__ == "__main__":
    main(*sys.argv[1:])
