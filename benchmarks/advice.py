"""Is the bound on the loss honest, and is the advice better than two lines of code?

The two lines: a least-squares line through examples against batch size, times the median seconds at the timed sizes,
and the size of the least product. Against it, and against the truth, stands `batchtime.advice.recommend`:

- simulated truths: a law with or without a pole, or a knee, a smooth misfit, runs that scatter, a form of t(M);
- recorded sweeps: some seeds at some batch sizes are shown, the means of all seeds and all timings are the truth;
- any series of means with seconds, such as published ones, by `of_series`.

Run: python benchmarks/advice.py [--tables 400] [--record]; with --record data/studies/optima.csv is written.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import beta

from batchtime.book.beyond import challenge
from batchtime.fit.advice import recommend
from batchtime.fit.means import mean_updates
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.laws.quantity import Array
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, data_folder

RECORDED = {
    "cifar10-cnn": "cifar10-cnn",
    "cifar100-cnn": "cifar100-cnn",
    "europarl-gru": "europarl-gru",
    "europarl-gru-harmonic": "europarl-gru",
    "mnist-lenet": "mnist-lenet",
    "mnist-lenet-adam": "mnist-lenet",
    "mnist-lenet-momentum": "mnist-lenet",
    "mnist-lenet-rate-0.005": "mnist-lenet",
    "mnist-lenet-rate-0.08": "mnist-lenet",
    "cifar10-cnn-rate-0.005": "cifar10-cnn",
    "cifar10-cnn-rate-0.02": "cifar10-cnn",
}
"""Sweeps, and whose timings theirs are."""


def two_lines(observations: Sequence[Observation], timings: Sequence[UpdateTiming]) -> float:
    """Return what the two lines of code choose: `challenge.two_lines`."""
    seen = [(o.batch_size, o.lower if o.upper is None else o.upper) for o in observations]
    return challenge.two_lines(seen, [(float(t.batch_size), t.seconds) for t in timings])


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is shown, and what is true at batch sizes: seconds to the target, straight in logarithms between."""

    source: str
    observations: list[Observation]
    timings: list[UpdateTiming]
    sizes: Array
    seconds: Array

    def time(self, batch_size: Array) -> Array:
        """Return the true seconds to the target."""
        return np.exp(np.interp(np.log(batch_size), np.log(self.sizes), np.log(self.seconds)))


class Outcome(NamedTuple):
    """What came of a case; losses are fractions of the least true time of the sizes between which advice may lie."""

    source: str
    refused: bool
    bound: float
    loss: float
    baseline: float
    seconds_off: float
    optimum_held: bool


def outcome(case: Case) -> Outcome | None:
    """Return what the advice and the baseline lose; None where there is no best guess."""
    found = recommend(case.observations, case.timings)
    guess = found.best_guess
    if guess is None or found.regret is None:
        return None
    run = sorted({o.batch_size for o in case.observations if o.upper is not None})
    timed = sorted(t.batch_size for t in case.timings)
    low, high = max(run[0] / 2, timed[0], case.sizes[0]), min(run[-1] * 2, timed[-1], case.sizes[-1])
    grid = np.geomspace(low, high, 400)
    true = case.time(grid)
    least = float(true.min())
    best = float(grid[int(true.argmin())])
    baseline = float(np.clip(two_lines(case.observations, case.timings), low, high))
    loss, of_baseline = (float(case.time(np.array([m]))[0] / least - 1) for m in (guess.batch_size, baseline))
    below, above = found.interval
    return Outcome(
        source=case.source,
        refused=found.refused,
        bound=found.regret,
        loss=max(loss, 0.0),
        baseline=max(of_baseline, 0.0),
        seconds_off=guess.predicted_seconds / float(case.time(np.array([guess.batch_size]))[0]) - 1,
        optimum_held=(below is None or below <= best * 1.03) and (above is None or best <= above * 1.03),
    )


# Simulated truths


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How cases are simulated: sizes that are run and timed, seeds, and what departs from the law."""

    run: tuple[float, ...] = (8, 32, 128, 512)
    timed: tuple[int, ...] = (8, 32, 128, 512)
    seeds: int = 1
    pole: float = 0.0  # over the least size that is run
    knee: float = 1.0  # sharpness of the law
    misfit: float = 0.04
    scatter: float = 0.08


TRUTHS = {
    "four sizes, one run each": Truth(),
    "three sizes, one run each": Truth(run=(8, 64, 512)),
    "three sizes, three seeds": Truth(run=(8, 64, 512), seeds=3),
    "six sizes, three seeds": Truth(run=(4, 8, 16, 64, 128, 256), timed=(2, 4, 8, 16, 64, 128, 256), seeds=3),
    "pole at 0.3, six sizes, three seeds": Truth(run=(4, 8, 16, 64, 128, 256), seeds=3, pole=0.3),
    "pole at 0.6, six sizes, three seeds": Truth(run=(4, 8, 16, 64, 128, 256), seeds=3, pole=0.6),
    "pole at 0.8, six sizes, three seeds": Truth(run=(4, 8, 16, 64, 128, 256), seeds=3, pole=0.8),
    "a knee, six sizes, three seeds": Truth(run=(4, 8, 16, 64, 128, 256), seeds=3, knee=1.5),
    "misfit of 8 %, six sizes, one run each": Truth(run=(4, 8, 16, 64, 128, 256), misfit=0.08),
}


def simulated(truth: Truth, source: str, number: int) -> Case:
    """Return a case of a truth whose ratio, break-even size and sharpness are drawn."""
    random = np.random.default_rng([7, number])
    run, timed = np.array(truth.run), np.array(truth.timed, dtype=np.float64)
    sizes = np.geomspace(min(run[0], timed[0]), max(run[-1], timed[-1]), 200)
    ratio = math.exp(random.uniform(math.log(run[0]), math.log(run[-1])))
    pole = truth.pole * run[0]
    knots = np.arange(math.log(sizes[0]) - random.uniform(0, 1.4), math.log(sizes[-1]) + 1.4, math.log(4))
    heights = truth.misfit * random.standard_normal(len(knots))

    def updates(m: Array) -> Array:
        q = truth.knee
        with np.errstate(divide="ignore"):
            law = 1000 * (1 + (ratio / np.maximum(m - pole, 1e-9)) ** q) ** (1 / q)
        return law * np.exp(np.interp(np.log(m), knots, heights))

    even = math.exp(random.uniform(math.log(timed[0]), math.log(timed[-1])))
    p = random.choice([1.0, 1.5, 3.0, 8.0])

    def seconds(m: Array) -> Array:
        return 1e-3 * (1 + (m / even) ** p) ** (1 / p)

    spread = truth.scatter
    observations = [
        Observation(batch_size=float(m), lower=n, upper=n, seed=seed)
        for m in run
        for seed in range(truth.seeds)
        for n in (float(updates(np.array([m]))[0] * math.exp(random.normal(-(spread**2) / 2, spread))),)
    ]
    timings = [
        UpdateTiming(batch_size=int(m), wall_seconds=(s,), cpu_seconds=(s,))
        for m in timed
        for s in (float(seconds(np.array([m]))[0] * math.exp(random.normal(0, 0.03))),)
    ]
    inside = sizes[sizes > pole * 1.001]
    return Case(
        source=source,
        observations=observations,
        timings=timings,
        sizes=inside,
        seconds=updates(inside) * seconds(inside),
    )


# Recorded and published series


def recorded(seeds: int = 1, subsets: int = 6) -> Iterator[Case]:
    """Return cases of the recorded sweeps: some seeds at three or four of their batch sizes, all else the truth."""
    store = Store(data_folder(), recording=True)
    for name, timed_as in RECORDED.items():
        chosen = experiment(name)
        runs = chosen.select(store.runs(name), chosen.sweep.batch_sizes)
        means = {m.batch_size: m.mean for m in mean_updates(runs) if m.mean is not None and m.n_censored == 0}
        timings = [t for t in store.latest_timing(timed_as).timings if min(means) <= t.batch_size <= max(means)]
        sizes = np.array(sorted(means))
        medians = np.interp(
            np.log(sizes), np.log([t.batch_size for t in timings]), np.log([t.seconds for t in timings])
        )
        truth = np.array([means[m] for m in sizes]) * np.exp(medians)
        random = np.random.default_rng(3)
        for k in range(subsets):
            count = min(3 + k % 2, len(sizes))
            inner = random.choice(sizes[1:-1], size=count - 2, replace=False)
            shown = {sizes[0], sizes[-1], *inner}
            some = set(random.choice(sorted({r.seed for r in runs if r.seed is not None}), size=seeds, replace=False))
            seen = [r for r in runs if r.batch_size in shown and r.seed in some and r.upper is not None]
            if len({r.batch_size for r in seen}) > 2:
                yield Case(source=name, observations=seen, timings=timings, sizes=sizes, seconds=truth)


def of_series(
    source: str,
    batch_sizes: Sequence[float],
    updates: Sequence[float],
    seconds: Sequence[float],
    *,
    shown: Sequence[int],
) -> Case:
    """Return a case of one number a batch size: the runs at some positions are shown, all timings, all is the truth."""
    sizes = np.array(batch_sizes, dtype=np.float64)
    means, per_update = np.array(updates, dtype=np.float64), np.array(seconds, dtype=np.float64)
    return Case(
        source=source,
        observations=[
            Observation(batch_size=float(sizes[k]), lower=float(means[k]), upper=float(means[k])) for k in shown
        ],
        timings=[
            UpdateTiming(batch_size=int(m), wall_seconds=(float(s),), cpu_seconds=(float(s),))
            for m, s in zip(sizes, per_update, strict=True)
        ],
        sizes=sizes,
        seconds=means * per_update,
    )


def report(label: str, cases: Iterator[Case] | Sequence[Case]) -> dict[str, object]:
    """Print one row: how often the bound holds (95 % interval), and the losses of advice and baseline; return it."""
    found = [one for case in cases if (one := outcome(case)) is not None]
    held = np.array([one.loss <= one.bound + 1e-3 for one in found])
    sources = sorted({one.source for one in found})
    weights = np.array([1 / sum(o.source == one.source for o in found) / len(sources) for one in found])
    n, k = len(held), int(held.sum())
    low, high = beta.ppf(0.025, k, n - k + 1), beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    loss, baseline = np.array([o.loss for o in found]), np.array([o.baseline for o in found])
    refused = np.mean([o.refused for o in found])
    print(
        f"| {label} | {n} | {100 * weights @ held:.1f} % ({100 * low:.1f} to {100 * high:.1f}) "
        f"| {100 * np.median([o.bound for o in found]):.1f} % | {100 * weights @ loss:.2f} %, {100 * loss.max():.1f} % "
        f"| {100 * weights @ baseline:.2f} %, {100 * baseline.max():.1f} % | {100 * refused:.0f} % "
        f"| {100 * np.mean([o.optimum_held for o in found]):.0f} % "
        f"| {100 * np.sqrt(np.mean([o.seconds_off**2 for o in found])):.0f} % |",
        flush=True,
    )
    return {
        "truth": label,
        "tables": n,
        "optima_held": sum(o.optimum_held for o in found),
        "bounds_held": k,
        "refused": int(sum(o.refused for o in found)),
        "median_bound": round(float(np.median([o.bound for o in found])), 4),
        "mean_loss": round(float(loss.mean()), 4),
        "mean_loss_two_lines": round(float(baseline.mean()), 4),
    }


FILE = Path(__file__).parents[1] / "data" / "studies" / "optima.csv"


def main() -> None:
    """Print one row for each kind of case; or those of simulated truths alone, and record them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=400, help="of each simulated truth")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    print(
        "| cases | n | bound holds | median bound | loss: mean, worst | two lines | refused | optimum held | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for seeds in () if options.record else (1, 3):
        report(f"recorded sweeps, {seeds} seed{'s' * (seeds > 1)}", list(recorded(seeds)))
    rows = [
        report(label, [simulated(truth, label, number) for number in range(options.tables)])
        for label, truth in TRUTHS.items()
    ]
    if options.record:
        pd.DataFrame(rows).to_csv(FILE, index=False)


if __name__ == "__main__":
    main()
