"""Batch sizes advised from three sizes' runs, held against what others measured on GPUs.

A case is a published series on one device with one number of learners: updates and seconds at four batch sizes or more,
so that their product says which size was fastest. Advice, that of `batchtime.recommend`, sees the runs at the two ends
and the middle, and the seconds of an update; it is right where the measured size nearest to it is within 10 % of the
best.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from batchtime.book.beyond import universal
from batchtime.errors import StoreError
from batchtime.fit.face import recommend
from batchtime.fit.recommendation import Recommendation
from batchtime.runs import published
from batchtime.runs.provenance import provenance
from batchtime.runs.records import AdviceRecord, Progress, unwatched
from batchtime.runs.store import Store

Array = npt.NDArray[np.float64]
Advise = Callable[[pd.DataFrame, pd.DataFrame], Recommendation]
"""From a frame of runs and one of timings to an advice or its refusal."""

RECORD = "published"
"""Name of the recorded answers."""

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


def timings_seen(case: "pd.Series[Any]") -> pd.DataFrame:
    """Return the timings that advice sees of a case: batch_size, seconds of an update; those of all its sizes."""
    return pd.DataFrame({"batch_size": np.array(case["batch_sizes"], dtype=float), "seconds": case["seconds"]})


def runs_seen(case: "pd.Series[Any]") -> pd.DataFrame:
    """Return the runs that advice sees of a case: batch_size, updates [, updates_lower], at the sizes of `pilot`."""
    size = np.array(case["batch_sizes"], dtype=float)
    runs = pd.DataFrame({"batch_size": size, "updates": case["updates"], "updates_lower": case["updates_lower"]})
    return runs.dropna(axis="columns").iloc[pilot(size)].reset_index(drop=True)


def advised(chosen: pd.DataFrame, advise: Advise = recommend, *, progress: Progress = unwatched) -> AdviceRecord:
    """Return what is advised for each case, in the order of the cases.

    Args:
        chosen: Cases, as `cases` returns them.
        advise: What is to be judged: it sees the runs at three sizes, and the seconds of all, which cost little.
        progress: Called with how many cases are done.
    """
    found = []
    for done, (_, case) in enumerate(chosen.iterrows()):
        progress(done, len(chosen))
        found.append(advise(runs_seen(case), timings_seen(case)))
    return AdviceRecord(
        series=tuple(chosen["series"]),
        device=tuple(chosen["device"]),
        learners=tuple(map(int, chosen["learners"])),
        batch_size=tuple(one.batch_size for one in found),
        regret=tuple(None if one.regret is None else float(f"{one.regret:.3g}") for one in found),
        reasons=tuple(" ".join(one.reasons) for one in found),
        provenance=provenance(threads=1),
    )


def recorded(chosen: pd.DataFrame, store: Store) -> AdviceRecord:
    """Return what was advised for each case when that was recorded last, in the order of the cases.

    Raises:
        StoreError: If nothing is recorded, or other cases than these.
    """
    kept = store.advice(RECORD)
    wanted = tuple(chosen["series"]), tuple(chosen["device"]), tuple(chosen["learners"])
    if not kept or (kept[-1].series, kept[-1].device, kept[-1].learners) != wanted:
        raise StoreError(
            f"what was advised for the {len(chosen)} published cases is not recorded; "
            "run python benchmarks/gpu_truth.py --record"
        )
    return kept[-1]


def held(chosen: pd.DataFrame, answers: AdviceRecord) -> pd.DataFrame:
    """Return what each way to choose a batch size loses against the best measured time.

    Args:
        chosen: Cases, as `cases` returns them.
        answers: What was advised for them, as `advised` or `recorded` return it.

    Returns:
        A row for each case and way in `HABITS`: series, workload, device, learners, reason, best (batch size), way,
        asked (batch size; NaN: refused, or not known), used (the measured size nearest to it), loss (its time over the
        least, less 1; NaN where there is none), bound (of advice: what it says the loss is at most, with 95 %).
    """
    noise = published.noise().groupby("workload")["median"].median()
    made = []
    for place, (_, case) in enumerate(chosen.iterrows()):
        size, seconds = np.array(case["batch_sizes"], dtype=float), np.array(case["seconds"])
        delta, gamma = line(size, seconds)
        asked = {
            "advice": answers.batch_size[place],
            "32": 32,
            "64": 64,
            "largest": size[-1],
            "noise scale": noise.get(case["workload"]),
            "delta / gamma": delta / gamma if gamma > 0 else size[-1],
        }
        total = np.array(case["updates"]) * seconds
        about = {
            **case[["series", "workload", "device", "learners", "reason"]],
            "best": size[total.argmin()],
            "bound": answers.regret[place],
        }
        made += [{**about, "way": way, **_loss(asked[way], size, total)} for way in HABITS]
    return pd.DataFrame(made).astype({"bound": float})


def _loss(asked: float | None, size: Array, total: Array) -> dict[str, float]:
    """Return what was asked for, the nearest size (of K) to it, and what its time (of K) is over the least, less 1."""
    if asked is None or not np.isfinite(asked):
        return {"asked": np.nan, "used": np.nan, "loss": np.nan}
    used = int(np.abs(np.log(size / max(asked, 1e-9))).argmin())
    return {"asked": float(asked), "used": size[used], "loss": total[used] / total.min() - 1}


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
