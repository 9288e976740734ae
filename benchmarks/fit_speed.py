"""How long a fit of 120 runs takes, with its intervals, 10,000 refits to resampled seeds, and 100,000 rows to read."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from batchtime.fit.bootstrap import bootstrap_laws
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import Observation, observations_of
from batchtime.laws.updates import InverseLaw
from batchtime.logs.sheets import read_runs

REPEATS = 30


def runs() -> list[Observation]:
    """Return 12 seeds at each of 10 batch sizes, log-normal around a law, seen on a grid of 5 %."""
    law, random = InverseLaw(n_inf=700, alpha=5000), np.random.default_rng(0)
    seen = []
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        for seed in range(12):
            step = np.floor(np.log(law.updates(float(size)) * random.lognormal(-0.01125, 0.15)) / np.log(1.05))
            seen.append(Observation(batch_size=size, lower=1.05**step, upper=1.05 ** (step + 1), seed=seed))
    return seen


def main() -> None:
    """Print one row for each."""
    observations = runs()
    durations = []
    for _ in range(REPEATS):
        start = perf_counter()
        fit_inverse_law(observations)
        durations.append(perf_counter() - start)
    start = perf_counter()
    bootstrap_laws(observations, replicates=10_000, seed=0)
    resampled = perf_counter() - start
    with TemporaryDirectory() as folder:
        table = Path(folder) / "runs.csv"
        rows = "".join(f"{2 ** (i % 10)},{i + 100}.5,{i},{i},false,0.1\n" for i in range(100_000))
        table.write_text(f"batch_size,updates,seed,updates_lower,censored,lr\n{rows}")
        start = perf_counter()
        observations_of(read_runs(table))
        reading = perf_counter() - start
    print("| what | seconds |\n|---|---|")
    print(f"| fit with intervals, 120 runs, median of {REPEATS} | {np.median(durations):.3f} |")
    print(f"| 10,000 refits to resampled seeds | {resampled:.2f} |")
    print(f"| 100,000 rows of a table, read and checked | {reading:.2f} |")


if __name__ == "__main__":
    main()
