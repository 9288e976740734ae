"""How long a fit of 120 runs takes, with its intervals, and 10,000 refits to resampled seeds."""

from time import perf_counter

import numpy as np

from batchtime.fit.bootstrap import bootstrap_laws
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import Observation
from batchtime.laws.updates import InverseLaw

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
    print("| what | seconds |\n|---|---|")
    print(f"| fit with intervals, 120 runs, median of {REPEATS} | {np.median(durations):.3f} |")
    print(f"| 10,000 refits to resampled seeds | {resampled:.2f} |")


if __name__ == "__main__":
    main()
