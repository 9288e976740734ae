"""The page on precision: what pilots cost and lose, replayed on recorded sweeps."""

from pathlib import Path

import numpy as np
import pandas as pd

KINDS = {False: "pilot", True: "early pilot"}
WORST = 0.1
"""The share of replays that counts as the worst."""


def recorded(folder: Path) -> pd.DataFrame:
    """Return the recorded replays, one row each."""
    return pd.read_csv(folder / "studies" / "pilots.csv")


def weights(frame: pd.DataFrame) -> np.ndarray:
    """Return a weight for each replay, so that sweeps weigh alike."""
    counts = frame.groupby("sweep")["seed"].transform("size")
    return np.asarray(1 / counts / frame["sweep"].nunique())


def mean_of_worst(values: np.ndarray, weight: np.ndarray, share: float = WORST) -> float:
    """Return the weighted mean of the largest values that make up a share."""
    order = np.argsort(values)[::-1]
    left = np.clip(share - (np.cumsum(weight[order]) - weight[order]), 0, weight[order])
    return float(values[order] @ left / left.sum())


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each kind of pilot, and for the early ones that were answered."""
    rows = []
    kinds = [(KINDS[early], frame[frame["early"] == early]) for early in (False, True)]
    kinds.append(("early pilot, answered", frame[frame["early"] & ~frame["refused"]]))
    for kind, some in kinds:
        weight = weights(some)
        loss = some["loss"].to_numpy()
        rows.append(
            {
                "kind": kind,
                "replays": len(some),
                "sweeps": some["sweep"].nunique(),
                "cost": weight @ some["cost"],
                "within_5_share": weight @ (some["cost"] <= 5),
                "mean_loss_share": weight @ loss,
                "worst_tenth_share": mean_of_worst(loss, weight),
                "bound_holds_share": weight @ (loss <= some["bound"] + 1e-3),
                "refused_share": weight @ some["refused"],
                "price_within_2_share": weight @ some["price"].between(0.5, 2),
            }
        )
    return pd.DataFrame(rows)


def by_sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each sweep: what its pilots cost in optimal trainings and what their advice loses."""
    rows = []
    for sweep, some in frame.groupby("sweep"):
        usual, early = some[~some["early"]], some[some["early"]]
        rows.append(
            {
                "sweep": sweep,
                "pilots": len(usual),
                "cost": usual["cost"].mean(),
                "mean_loss_share": usual["loss"].mean(),
                "largest_loss_share": usual["loss"].max(),
                "early_cost": early["cost"].mean(),
                "early_mean_loss_share": early["loss"].mean(),
                "early_refused_share": early["refused"].mean(),
            }
        )
    return pd.DataFrame(rows)
