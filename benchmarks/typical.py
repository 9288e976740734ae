"""How large are scatter and misfit before runs are seen, and does the bound hold where a source is left out of that?

Scatter is that of published and recorded runs at one batch size: the middle workload, and how the logarithm differs
between workloads (the distance of the quarters over 1.35). Misfit is what their means stand off the law, with a pole or
without: the narrowest log-normal among the likely ones (68 %), each workload weighing the same. Then
each source is left out in turn, and the advice with the typical sizes of the others is held against what it measured.

Run: python benchmarks/typical.py [--record]; with --record data/studies/typical.csv and bounds.csv are written.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from advice import RECORDED, recorded

from batchtime.book.beyond import challenge, gpu_truth, universal
from batchtime.fit.advice import LEVEL, LIMIT, draw, roundest
from batchtime.fit.law_draws import (
    POLE_PRIOR,
    POLES,
    Typical,
    covariance,
    evidence,
    hats_of,
    knots_of,
    posterior,
    shape,
)
from batchtime.fit.likelihood import gather
from batchtime.fit.measurements import Observation, UpdateTiming, observations_of, timings_of
from batchtime.fit.scatter import scatter_of_runs
from batchtime.fit.seconds import measured_seconds
from batchtime.laws.quantity import Array
from batchtime.runs import published
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, data_folder

FOLDER = Path(__file__).parents[1] / "data" / "studies"
MISFITS = np.array([0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.4])
SCATTERS = np.array([0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35])
"""Those that are looked at where a series has one run at each batch size."""
SIZES = (0.03, 0.035, 0.04, 0.045, 0.05, 0.055, 0.06, 0.065, 0.07, 0.08, 0.09, 0.1)
FACTORS = tuple(round(0.05 * k, 2) for k in range(5, 31))
REGION = 1.15
"""Below the top of a log-likelihood of two numbers: where they lie with 68 %."""
RATIOS = 60
UNFIT = ("fewer", "batch sizes within", "the same", "as many", "looked")
"""Series are left out by how they were run, never by how well a law fits."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Means of one series: log updates at batch sizes (n,), the variance (n,) of what looking seldom leaves open."""

    source: str
    workload: str
    sizes: Array
    logs: Array
    open: Array
    runs: Array


def scatters(store: Store) -> dict[tuple[str, str], float]:
    """Return the scatter of log N at one batch size by source and workload, the median of its series."""
    about = published.series().set_index("name")
    means = published.all_means().query("reached == runs and runs > 1")
    means = means.assign(squares=(means["sd"] / means["updates"]) ** 2 * (means["runs"] - 1), freedom=means["runs"] - 1)
    sums = means.groupby("series")[["squares", "freedom"]].sum()
    found: dict[tuple[str, str], list[float]] = {}
    for name, row in sums.iterrows():
        key = str(about.loc[str(name), "source"]), str(about.loc[str(name), "workload"])
        found.setdefault(key, []).append(math.sqrt(row["squares"] / row["freedom"]))
    for name in sorted(set(universal.recorded_means(store)["series"])):
        specs = set(experiment(name).sweep.runs())
        seen = [record.observation() for record in store.runs(name) if record.spec in specs]
        scatter = scatter_of_runs(gather(seen, for_law=False))
        found.setdefault(("recorded", experiment(name).variant_of or name), []).append(scatter or 0.0)
    # nothing scatters where all runs were seen at the same evaluation: they were looked at too seldom
    return {key: middle for key, some in found.items() if (middle := float(np.median(some))) > 0.002}


def series(store: Store) -> list[Series]:
    """Return the means of every series of which a law can be asked, published and recorded."""
    points = universal.points(universal.recorded_means(store))
    reasons = universal.screened(points)["reason"]
    made = []
    for name, frame in points.groupby("series", sort=False):
        if not reasons[str(name)].startswith(UNFIT):
            part = frame.sort_values("batch_size")
            made.append(
                Series(
                    source=part["source"].iloc[0],
                    workload=part["workload"].iloc[0],
                    sizes=part["batch_size"].to_numpy(dtype=float),
                    logs=np.log(part["updates"].to_numpy(dtype=float)),
                    open=np.log1p(-part["coarseness"].to_numpy(dtype=float)) ** 2 / 12,
                    runs=part["runs"].to_numpy(dtype=float),
                )
            )
    return made


def told(one: Series, scatter: float | None) -> Array:
    """Return the log-likelihood (misfits, scatters) of a series' means; one scatter where it is known."""
    ratios = np.geomspace(one.sizes[0] / 100, one.sizes[-1] * 100, RATIOS)
    shapes = shape(np.log(ratios)[None, :, None], one.sizes[0] * POLES[:, None, None], one.sizes)
    hats = hats_of(knots_of(one.sizes, one.sizes), np.log(one.sizes))
    levels = SCATTERS if scatter is None else np.array([scatter])
    found = np.empty((len(MISFITS), len(levels)))
    for i, misfit in enumerate(MISFITS):
        for j, level in enumerate(levels):
            errors = np.sqrt(level**2 / one.runs + one.open)
            logs = evidence(one.logs, shapes, covariance(hats, errors, float(misfit)))[0]
            found[i, j] = logs.max() + math.log(np.exp(logs - logs.max()).mean(axis=1) @ POLE_PRIOR)
    return found


def prior(values: Array, middle: float, factor: float) -> Array:
    """Return how likely each value is before anything is seen; they sum to 1."""
    weights = np.exp(-0.5 * (np.log(values / middle) / factor) ** 2) * np.gradient(np.log(values))
    return np.asarray(weights / weights.sum())


def typical(all_of: Sequence[Series], tables: Sequence[Array], spreads: Mapping[tuple[str, str], float]) -> Typical:
    """Return the typical sizes of some series."""
    logs = np.log(list(spreads.values()))
    low, middle, high = np.quantile(logs, (0.25, 0.5, 0.75))
    scatter, factor = math.exp(middle), (high - low) / 1.35
    of_scatter = prior(SCATTERS, scatter, factor)
    each = pd.Series([one.workload for one in all_of])
    weights = (1 / each.map(each.value_counts())).to_numpy()

    def likely(misfit: float, misfit_factor: float) -> float:
        of_misfit, found = prior(MISFITS, misfit, misfit_factor), []
        for table in tables:
            chances = of_misfit @ np.exp(table - table.max())
            found.append(table.max() + math.log(chances @ of_scatter if len(chances) > 1 else chances[0]))
        return float(weights @ found)

    tried = {(size, spread): likely(size, spread) for size in SIZES for spread in FACTORS}
    inside = [pair for pair, value in tried.items() if value >= max(tried.values()) - REGION]
    size, spread = min(inside, key=lambda pair: (pair[1], pair[0]))
    return Typical(scatter=scatter, scatter_factor=float(factor), misfit=size, misfit_factor=spread)


def sizes_of(store: Store) -> dict[str, Typical]:
    """Return the typical sizes of all sources, under "none", and with each of them left out."""
    spreads, all_of = scatters(store), series(store)
    tables = [told(one, spreads.get((one.source, one.workload)) if one.runs.min() > 1 else None) for one in all_of]
    found = {}
    for left_out in ("none", *sorted({one.source for one in all_of})):
        kept = [k for k, one in enumerate(all_of) if one.source != left_out]
        rest = {key: value for key, value in spreads.items() if key[0] != left_out}
        found[left_out] = typical([all_of[k] for k in kept], [tables[k] for k in kept], rest)
    return found


# Does the bound hold?


@dataclass(frozen=True, kw_only=True)
class Held:
    """What became of a case: sizes and losses are of the guess, whether it is refused or not."""

    source: str
    workload: str
    series: str
    batch_size: float
    bound: float
    loss: float
    refused: bool


def held(
    observations: Sequence[Observation], timings: Sequence[UpdateTiming], known: Typical, sizes: Array, time: Array
) -> dict[str, float | bool]:
    """Return what is advised, its bound, and its loss: the true time at the nearest size (of K) over the least."""
    drawn = draw(posterior(observations, known), measured_seconds(timings))
    bounds = np.quantile(drawn.losses(), LEVEL, axis=0, method="higher")
    best = roundest(drawn.sizes, bounds)
    size = float(drawn.sizes[best])
    true = float(time[np.abs(np.log(sizes / size)).argmin()])
    bound = float(bounds[best])
    return {"batch_size": size, "bound": bound, "loss": true / float(time.min()) - 1, "refused": not bound <= LIMIT}


def cases(typicals: Mapping[str, Typical], store: Store) -> Iterator[Held]:
    """Return what becomes of every answerable published case and of recorded sweeps, their source left out.

    Published series without seconds have those of the challenge: 1 + M / M_0, with M_0 the middle of their sizes.
    """
    chosen = gpu_truth.cases().query("reason == ''")
    about = published.series().set_index("name")["source"]
    for _, case in chosen.iterrows():
        source, sizes = str(about[case["series"]]), np.array(case["batch_sizes"], dtype=float)
        found = held(
            observations_of(gpu_truth.runs_seen(case)),
            timings_of(gpu_truth.timings_seen(case)),
            typicals[source],
            sizes,
            np.array(case["updates"]) * np.array(case["seconds"]),
        )
        yield Held(source=source, workload=case["workload"], series=case["series"], **found)  # type: ignore[arg-type]
    for task in challenge.tasks(store):
        if not task.nominal or task.name not in about.index:
            continue
        sizes, seconds = np.array(task.batch_sizes, dtype=float), task.seconds
        shown = [(sizes[k], task.updates[k][0]) for k in gpu_truth.pilot(sizes)]
        found = held(
            [Observation(batch_size=float(m), lower=n, upper=n) for m, n in shown],
            [
                UpdateTiming(batch_size=int(m), wall_seconds=(s,), cpu_seconds=(s,))
                for m, s in zip(sizes, seconds, strict=True)
            ],
            typicals[str(about[task.name])],
            sizes,
            task.total,
        )
        yield Held(source=str(about[task.name]), workload=task.workload, series=task.name, **found)  # type: ignore[arg-type]
    for seeds in (1, 3):
        for one in recorded(seeds):
            found = held(one.observations, one.timings, typicals["recorded"], one.sizes, one.seconds)
            yield Held(source="recorded", workload=RECORDED[one.source], series=one.source, **found)  # type: ignore[arg-type]


def main() -> None:
    """Print typical sizes and how often the bound holds, and record both if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    store = Store(data_folder(), recording=True)
    typicals = sizes_of(store)
    frames = {
        "typical": pd.DataFrame([{"left_out": name, **asdict(one)} for name, one in typicals.items()]).round(4),
        "bounds": pd.DataFrame([asdict(one) for one in cases(typicals, store)]).round({"bound": 4, "loss": 4}),
    }
    print(frames["typical"].to_string(index=False))
    bounds = frames["bounds"]
    given = bounds[~bounds["refused"]]
    given = given.assign(holds=given["loss"] <= given["bound"] + 1e-3)
    table = given.groupby("workload").agg(answered=("holds", "size"), holds=("holds", "mean"), loss=("loss", "mean"))
    print(table.join(bounds.groupby("workload")["refused"].mean()).round(3).to_string())
    for name, frame in frames.items() if options.record else ():
        frame.to_csv(FOLDER / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
