"""Three models as people train them: advice from a pilot, predictions in writing, then the whole grid by the clock.

    .venv/bin/python benchmarks/proof.py pilot            # writes data/predictions/own-models.csv: commit it
    .venv/bin/python benchmarks/proof.py grid             # refuses where no prediction is committed

The pilot is that of `batchtime recommend MODULE:FUNCTION --pilot --cpu-time`. Pilot and grid count with the CPU time of
the one thread that trains, so that other programs on the machine matter less. The grid's seeds are not the pilot's; all
batch sizes of a seed are trained, in random order, before the next seed, so that a machine that slows down makes none
of them look worse. Runs are recorded in data/runs as they end, and the same command goes on from there; updates that
the pilot timed are in data/timings.
"""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from batchtime.book.pages.own_model import GRIDS, grid_of, pilot_runs, predictions, predictions_file
from batchtime.fit.prediction import predict
from batchtime.plan.pilot import pilot
from batchtime.runs.provenance import CHECKOUT, provenance
from batchtime.runs.store import Store, data_folder, writing
from batchtime.train.sweep import complete

PILOT = "chosen"
FIRST_SEED = 20
"""Of the grids that these pilots are held against."""
SECONDS = 20.0
"""That the timing of updates may take."""


def predicted(function: str, store: Store) -> pd.DataFrame:
    """Train the pilot of one model and return what is predicted at each size of its grid, with the advice."""
    chosen = pilot_runs(function)
    found = pilot(chosen, store=store, cpu_time=True, seconds=SECONDS)
    with writing(store.timings_file(chosen.workload.name)) as writer:
        writer.append(found.timing)
    timings = [one.by_cpu for one in chosen.relevant(found.timing.timings)]
    advice = found.best
    guess = advice.best_guess
    sizes = sorted({*GRIDS[function], *([] if guess is None else [guess.batch_size])})
    rows = predict(found.observations, timings, batch_sizes=sizes)
    here = provenance(threads=1)
    return pd.DataFrame(
        {
            "function": function,
            "pilot": PILOT,
            "first_seed": FIRST_SEED,
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


def pilots(store: Store) -> None:
    """Train the pilots that are missing, and write each prediction down as it is made; none is written over."""
    for name in GRIDS:
        known = predictions()
        if not ((known["function"] == name) & (known["pilot"] == PILOT)).any():
            frame = predicted(name, store)
            pd.concat([known, frame]).to_csv(predictions_file(), index=False, lineterminator="\n")
            print(frame.to_string(), flush=True)


def grids(store: Store) -> None:
    """Train the grids of all predictions that are committed.

    Raises:
        SystemExit: If what is predicted is not committed.
    """
    path = str(predictions_file())
    unchanged = subprocess.run(["git", "-C", str(CHECKOUT), "diff", "--quiet", "HEAD", "--", path], check=False)  # noqa: S607
    if unchanged.returncode:
        sys.exit(f"{path} is not committed: what is known cannot be predicted")
    shuffle = random.Random(0)  # noqa: S311 - an order of runs is no secret
    for (function, first), _ in predictions().groupby(["function", "first_seed"], sort=False):
        runs = grid_of(function, first).sweep.runs()
        for seed in sorted({run.seed for run in runs}):
            some = [run for run in runs if run.seed == seed]
            for run in shuffle.sample(some, len(some)):
                with ThreadPoolExecutor(max_workers=1) as here:  # as the pilot does
                    (record,) = complete([run], name=function, store=store, executor=here)
                print(function, run.batch_size, seed, record.ending, record.cost.cpu_seconds, flush=True)


def main(stage: str) -> None:
    """Do one of the two stages."""
    if provenance(threads=1).dirty:
        sys.exit("src/ differs from the last commit: commit first")
    {"pilot": pilots, "grid": grids}[stage](Store(data_folder(), recording=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
