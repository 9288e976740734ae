"""The gradient noise scale as an estimate of alpha / n_inf, against the runs: in published traces and in our own."""

import numpy as np
import pandas as pd

from batchtime.book.beyond import universal
from batchtime.fit.means import mean_updates
from batchtime.runs import published
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store

EARLY = 0.03
"""Part of a run's updates at which a noise scale noted in the middle of the logarithm of updates has been taken."""


def in_traces() -> pd.DataFrame:
    """Return the noise scales of published traces beside alpha / n_inf of the same task's runs.

    Only series that `universal` fits. `ratio` is the run's own alpha / n_inf, of the law without a pole.

    Returns:
        series, workload, batch_sizes, critical_batch_size, first, median and last (noise scales along the run, the
        median over its batch sizes), and first_off, median_off, last_off: these over alpha / n_inf.
    """
    means = universal.points()
    about = universal.screened(means)
    noise = published.noise().groupby("workload")[["first", "median", "last"]].median()
    workloads = published.series().set_index("name")["workload"]
    made = []
    for name in about.index[about["reason"] == ""]:
        workload = workloads[name]
        if workload not in noise.index:
            continue
        frame = means[means["series"] == name]
        law = universal.fit_bent(
            frame["batch_size"].to_numpy(dtype=float), frame["updates"].to_numpy(dtype=float), power=0.0
        )
        scales = noise.loc[workload]
        made.append(
            {
                "series": name,
                "workload": workload,
                "batch_sizes": len(frame),
                "critical_batch_size": law.critical_batch_size,
                **{str(when): float(scales[when]) for when in scales.index},
                **{f"{when}_off": float(scales[when]) / law.critical_batch_size for when in scales.index},
            }
        )
    return pd.DataFrame(made)


def tuned_means(names: list[str], store: Store) -> pd.DataFrame:
    """Return the least mean updates at each batch size over sweeps that differ in their step size.

    Args:
        names: Sweeps of one task, one step size each.
        store: Of their runs.

    Returns:
        batch_size, updates, learning_rate, steps (sweeps in which every run of that batch size reached the target);
        batch sizes with fewer than two such sweeps are left out, for there nothing was tuned.
    """
    found = []
    for name in names:
        sweep = experiment(name).sweep
        specs = set(sweep.runs())
        seen = [record.observation() for record in store.runs(name) if record.spec in specs]
        found += [
            {"batch_size": mean.batch_size, "updates": mean.mean, "learning_rate": sweep.setting.learning_rate.maximum}
            for mean in mean_updates(seen)
            if mean.n_censored == 0
        ]
    frame = pd.DataFrame(found).sort_values(["batch_size", "updates"])
    least = frame.groupby("batch_size", as_index=False).first()
    counts = frame.groupby("batch_size").size().to_numpy()
    return least.assign(steps=counts)[counts > 1].reset_index(drop=True)


def in_recorded(tasks: dict[str, list[str]], store: Store) -> pd.DataFrame:
    """Return the noise scale of recorded runs, early and where they spend their time, beside alpha / n_inf.

    Args:
        tasks: For each task whose noise was recorded the sweeps of its step sizes, its own among them.
        store: Of runs and noise.

    Returns:
        A row for each task and seed: task, seed, early (the noise scale at 3 % of the run's updates), over_time (the
        mean over its updates), at_end, fixed (alpha / n_inf at the task's own step size) and tuned (with the best of
        the step sizes at each batch size); then early_off and over_time_off, both over `tuned`.
    """
    made = []
    for task, names in tasks.items():
        own = universal.recorded_means(store, [task])
        tuned = tuned_means(names, store)
        fixed, best = (
            universal.fit_bent(
                frame["batch_size"].to_numpy(dtype=float), frame["updates"].to_numpy(dtype=float), power=0.0
            ).critical_batch_size
            for frame in (own, tuned)
        )
        for record in store.noise(task):
            updates = np.array(record.updates, dtype=float)
            scale = np.array(record.noise_variance) / np.array(record.gradient_square)
            early = float(np.interp(EARLY * updates[-1], updates, scale))
            over_time = float(np.trapezoid(scale, updates) / (updates[-1] - updates[0]))
            made.append(
                {
                    "task": task,
                    "seed": record.seed,
                    "early": early,
                    "over_time": over_time,
                    "at_end": float(scale[-1]),
                    "fixed": fixed,
                    "tuned": best,
                    "early_off": early / best,
                    "over_time_off": over_time / best,
                }
            )
    return pd.DataFrame(made)
