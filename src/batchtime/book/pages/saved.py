"""What the page on designs shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batchtime.book.frames import with_interval
from batchtime.laws.quantity import holds
from batchtime.plan.design import Replay, grid_precision


def replays_frame(replays: Mapping[str, Sequence[Replay]]) -> pd.DataFrame:
    """Return one row a sweep: the grid, and medians over the replays of the design."""
    rows = []
    for name, several in replays.items():
        grid = several[0]
        saved = [one.saved for one in several]
        rows.append(
            {
                "sweep": name,
                "grid_runs": grid.grid_runs,
                "grid_minutes": grid.grid_cpu_seconds / 60,
                "grid_low": grid.grid_fitted.intervals.critical_batch_size[0],
                "grid_high": grid.grid_fitted.intervals.critical_batch_size[1],
                "precision_share": grid_precision(grid.grid_fitted),
                "design_runs": round(float(np.median([one.n_runs for one in several]))),
                "design_minutes": float(np.median([one.cpu_seconds for one in several])) / 60,
                **with_interval("saved_share", float(np.median(saved)), (min(saved), max(saved))),
                "orders": len(several),
                "orders_that_hold": sum(
                    holds(one.fitted.intervals.critical_batch_size, one.grid_fitted.law.critical_batch_size)
                    for one in several
                ),
            }
        )
    return pd.DataFrame(rows)


def saved_text(replays: Mapping[str, Sequence[Replay]]) -> str:
    """Return the median share of CPU time that is saved, sweep by sweep."""
    return ", ".join(f"{np.median([one.saved for one in several]):.0%} on {name}" for name, several in replays.items())
