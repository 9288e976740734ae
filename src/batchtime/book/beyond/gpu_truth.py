"""Batch sizes advised from three sizes' runs, held against what others measured on GPUs.

A case is a published series on one device with one number of learners: updates and seconds at four batch sizes or more,
so that their product says which size was fastest. Advice sees the runs at the two ends and the middle, and the seconds
of an update; it is right where the measured size nearest to it is within 10 % of the best.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from batchtime.book.beyond import universal
from batchtime.runs import published

Array = npt.NDArray[np.float64]
Advise = Callable[[pd.DataFrame, pd.DataFrame], float | None]
"""From a frame of runs and one of timings to a batch size, or None for a refusal."""

LEAST_SIZES = 4
WITHIN = 0.10
HABITS = ("advice", "32", "64", "largest", "noise scale", "delta / gamma")


def cases() -> pd.DataFrame:
    """Return what can be held against measured times, a row each, known before anything is advised.

    Columns: series, workload, device, learners, batch_sizes (at which all runs reached the target and an update was
    timed: a tuple), updates, updates_lower (NaN where not known), seconds (tuples, too), reason: empty where an answer
    can be expected, else why a refusal is right (the source looked too seldom, or all sizes lie on one arm). A series
    is seen at several targets and a target on several devices: cases are not independent.
    """
    about = published.series().set_index("name")
    timed = about.index[about["has_seconds"]]
    workloads = about.loc[timed, "workload"].drop_duplicates()
    # epochs become updates with the workload's own number of examples: timings are those of any of its series
    timings = {workload: _medians(name) for name, workload in workloads.items()}
    made: list[dict[str, object]] = []
    for name in timed:
        workload = about.loc[name, "workload"]
        both = published.means(name).query("reached == runs").merge(timings[workload], on="batch_size")
        for (device, learners), case in both.groupby(["device", "learners"]):
            if len(case) >= LEAST_SIZES:
                made.append(
                    {
                        "series": name,
                        "workload": workload,
                        "device": device,
                        "learners": learners,
                        "batch_sizes": tuple(case["batch_size"].astype(int)),
                        "updates": tuple(case["updates"]),
                        "updates_lower": tuple(case["updates_lower"]),
                        "seconds": tuple(case["seconds"]),
                        "reason": _unanswerable(case),
                    }
                )
    return pd.DataFrame(made)


def _medians(name: str) -> pd.DataFrame:
    """Return the median seconds of an update of each device, number of learners and batch size."""
    keys = ["device", "learners", "batch_size"]
    return published.timings(name)[[*keys, "seconds"]].groupby(keys, as_index=False).median()


def _unanswerable(both: pd.DataFrame) -> str:
    """Say why nobody could answer; nothing where one can. `universal` has the thresholds."""
    updates, lower = both["updates"], both["updates_lower"].fillna(both["updates"])
    if (1 - lower / updates).max() > universal.COARSEST:
        return "looked at too seldom"
    examples = (updates + lower) / 2 * both["batch_size"]
    return "one arm" if examples.max() < universal.FLATTEST * examples.min() else ""


def pilot(batch_sizes: Array) -> list[int]:
    """Return the places of the least, the largest and the middle batch size (of logarithms) among sizes (K,)."""
    inner = np.log(batch_sizes[1:-1])
    middle = 1 + int(np.abs(inner - np.log(batch_sizes[0] * batch_sizes[-1]) / 2).argmin())
    return [0, middle, len(batch_sizes) - 1]


def held(chosen: pd.DataFrame, advise: Advise | None = None, *, all_seconds: bool = True) -> pd.DataFrame:
    """Return what each way to choose a batch size loses against the best measured time.

    Args:
        chosen: Cases, as `cases` returns them.
        advise: What is to be judged; None for `advise_by_regret`. It gets frames of runs (batch_size, updates,
            updates_lower where it is known) at three sizes and of timings (batch_size, seconds).
        all_seconds: Whether advice and delta / gamma see the seconds of all sizes, which cost little, or of the three.

    Returns:
        A row for each case and way in `HABITS`: series, workload, device, learners, reason, best (batch size), way,
        asked (batch size; NaN: refused, or not known), used (the measured size nearest to it), loss (its time over the
        least, less 1; NaN where there is none).
    """
    advise = advise or advise_by_regret
    noise = published.noise().groupby("workload")["median"].median()
    made = []
    for _, case in chosen.iterrows():
        size, seconds = np.array(case["batch_sizes"], dtype=float), np.array(case["seconds"])
        runs = pd.DataFrame(
            {"batch_size": size, "updates": case["updates"], "updates_lower": case["updates_lower"]}
        ).dropna(axis="columns")
        seen = pilot(size)
        timed = list(range(len(size))) if all_seconds else seen
        timings = pd.DataFrame({"batch_size": size[timed], "seconds": seconds[timed]})
        delta, gamma = line(size[timed], seconds[timed])
        answers = {
            "advice": advise(runs.iloc[seen].reset_index(drop=True), timings),
            "32": 32.0,
            "64": 64.0,
            "largest": float(size[-1]),
            "noise scale": noise.get(case["workload"]),
            "delta / gamma": delta / gamma if gamma > 0 else float(size[-1]),
        }
        total = np.array(case["updates"]) * seconds
        for way in HABITS:
            answer = answers[way]
            asked = np.nan if answer is None else float(answer)
            used = int(np.abs(np.log(size / max(asked, 1e-9))).argmin()) if np.isfinite(asked) else None
            made.append(
                {
                    **case[["series", "workload", "device", "learners", "reason"]],
                    "best": size[total.argmin()],
                    "way": way,
                    "asked": asked,
                    "used": np.nan if used is None else size[used],
                    "loss": np.nan if used is None else total[used] / total.min() - 1,
                }
            )
    return pd.DataFrame(made)


def score(losses: pd.DataFrame) -> pd.DataFrame:
    """Return how each way did on answerable cases, and what advice did with the others.

    Columns: way, cases, answered, refused (a fraction of the cases), within_10 (of those answered), median, within_95
    (the loss that 95 % stay below), worst. The last row, "advice, not answerable", is that of the cases with a reason.
    """
    groups = [(way, losses[(losses["way"] == way) & (losses["reason"] == "")]) for way in HABITS]
    groups.append(("advice, not answerable", losses[(losses["way"] == "advice") & (losses["reason"] != "")]))
    made = []
    for way, part in groups:
        loss = part["loss"].dropna()
        made.append(
            {
                "way": way,
                "cases": len(part),
                "answered": len(loss),
                "refused": 1 - len(loss) / len(part) if len(part) else np.nan,
                "within_10": (loss <= WITHIN).mean(),
                "median": loss.median(),
                "within_95": loss.quantile(0.95),
                "worst": loss.max(),
            }
        )
    return pd.DataFrame(made)


def line(size: Array, seconds: Array) -> tuple[float, float]:
    """Return delta and gamma of seconds = delta + gamma M, of least squared relative errors, neither below 0."""
    return tuple(nnls(np.column_stack([np.ones_like(size), size]) / seconds[:, None], np.ones_like(size))[0])


# A simple advice by regret


MISFIT = 0.05
"""Standard deviation of the log of a mean about the law."""
SCATTER = 0.06
"""Standard deviation of the log of a mean of a few runs."""
TIMING_ERROR = 0.03
MOST_OFF = 0.15
"""Runs whose root mean square log error about the nearest law is larger fit no law."""
DRAWS = 2_000


def advise_by_regret(runs: pd.DataFrame, timings: pd.DataFrame, *, limit: float = 0.2) -> float | None:
    """Return the batch size whose loss against the best is least in all but 5 % of the laws that the runs allow.

    Laws are n_inf + alpha / M / (1 - pole / M), weighted by their likelihood; seconds are straight lines in log-log
    between the timed sizes; both are drawn with their errors.

    Args:
        runs: batch_size, updates [, updates_lower]: one row a batch size.
        timings: batch_size, seconds.
        limit: Refuse where the loss could be larger.

    Returns:
        A batch size between those timed, or None where the runs fit no law, where they are known too coarsely, or
        where the loss could be above `limit`.
    """
    size, updates = runs["batch_size"].to_numpy(dtype=float), runs["updates"].to_numpy(dtype=float)
    lower = runs["updates_lower"].to_numpy(dtype=float) if "updates_lower" in runs else updates
    open_part = 1 - lower / updates
    if open_part.max() > universal.COARSEST:
        return None
    error = np.sqrt(SCATTER**2 + MISFIT**2 + open_part**2 / 12)
    ratios = np.geomspace(size.min() / 100, size.max() * 100, 200)[:, None, None]
    shares = np.linspace(0.0, 0.9, 10)[:, None]

    def shape(m: Array, ratio: Array, pole: Array) -> Array:
        return np.log(1 / ratio + 1 / (1 - pole / m) / m)

    apart = np.log(updates) - shape(size, ratios, shares * size.min())  # (R, S, K)
    level = (apart / error**2).sum(axis=-1, keepdims=True) / (1 / error**2).sum()
    squares = (((apart - level) / error) ** 2).sum(axis=-1)
    if np.sqrt(((apart - level) ** 2).mean(axis=-1)).min() > MOST_OFF:
        return None
    weight = np.exp(-squares / 2 - shares[:, 0] / 0.2)  # poles near the least size are rare
    generator = np.random.default_rng(0)
    place = generator.choice(weight.size, DRAWS, p=(weight / weight.sum()).ravel())
    i, j = np.unravel_index(place, weight.shape)
    timed = timings.sort_values("batch_size")
    sizes = timed["batch_size"].to_numpy(dtype=float)
    low, high = max(sizes[0], size.min()), min(sizes[-1], 2 * size.max())
    tried = np.unique(np.concatenate([sizes[(sizes >= low) & (sizes <= high)], np.geomspace(low, high, 60)]))
    between = np.array([np.interp(np.log(tried), np.log(sizes), one) for one in np.eye(len(sizes))])  # (timed, tried)
    logs = np.log(timed["seconds"].to_numpy(dtype=float))
    drawn = (logs + TIMING_ERROR * generator.standard_normal((DRAWS, len(sizes)))) @ between
    apart_by = np.log(tried[:, None] / tried) / np.log(4.0)
    smooth = np.linalg.cholesky(np.exp(-(apart_by**2) / 2) + 1e-9 * np.eye(len(tried)))
    misfit = MISFIT * generator.standard_normal((DRAWS, len(tried))) @ smooth.T
    total = drawn + shape(tried, ratios[i, 0], shares[j] * size.min()) + misfit
    losses = np.quantile(np.expm1(total - total.min(axis=1, keepdims=True)), 0.95, axis=0)
    return float(tried[losses.argmin()]) if losses.min() <= limit else None
