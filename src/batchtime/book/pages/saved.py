"""What the page on designs shows."""

from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML

from batchtime.book.tables import interval_text, table
from batchtime.plan.design import Replay, grid_precision


def replay_table(replays: Mapping[str, Sequence[Replay]]) -> HTML:
    """Return one row a sweep: the grid, and medians over the replays of the design."""
    rows = []
    for name, several in replays.items():
        grid = several[0]
        interval = interval_text(grid.grid_fitted.intervals.critical_batch_size)
        inside = sum(_inside(one) for one in several)
        rows.append(
            [
                name,
                f"{grid.grid_runs}",
                f"{grid.grid_cpu_seconds / 60:.1f}",
                f"{interval} ({grid_precision(grid.grid_fitted):.1%})",
                f"{np.median([one.n_runs for one in several]):.0f}",
                f"{np.median([one.cpu_seconds for one in several]) / 60:.1f}",
                f"{np.median([one.saved for one in several]):.0%} ({_range(several)})",
                f"{inside} of {len(several)}",
            ]
        )
    columns = ["sweep", "grid: runs", "grid: CPU minutes", "grid: interval", "design: runs", "design: CPU minutes"]
    return table([*columns, "saved (range)", "holds the grid's estimate"], rows)


def saved_text(replays: Mapping[str, Sequence[Replay]]) -> str:
    """Return the median share of CPU time that is saved, sweep by sweep."""
    return ", ".join(f"{np.median([one.saved for one in several]):.0%} on {name}" for name, several in replays.items())


def _range(several: Sequence[Replay]) -> str:
    saved = [one.saved for one in several]
    return f"{min(saved):.0%} to {max(saved):.0%}"


def _inside(one: Replay) -> bool:
    low, high = one.fitted.intervals.critical_batch_size
    return low is not None and high is not None and low <= one.grid_fitted.law.critical_batch_size <= high
