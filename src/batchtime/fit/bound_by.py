"""What an update's time goes to, in the words of the field: the loader, the launch of each operation, or memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchtime.fit.measurements import UpdateTiming

Kind = Literal["loader-bound", "launch-bound", "memory-bound"]

LOADING = 0.5
"""Share of an update from which on its loading decides."""
FLAT = 1.5
"""Up to so many times the seconds of the least batch size its fixed part decides."""
REACH = 8
"""Least factor of batch sizes over which updates have to stay so flat."""
SLOWER = 1.15
"""By what an example has to take longer at large batch sizes than at the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundBy:
    """What decides the seconds of an update, and over which timed batch sizes.

    Args:
        kind: In the words of the field.
        batch_sizes: From and to.
        text: A sentence with the measured number, and what follows.
    """

    kind: Kind
    batch_sizes: tuple[int, int]
    text: str


def bound_by(timings: Sequence[UpdateTiming]) -> list[BoundBy]:
    """Tell a machine that waits for its loader, for launches or for memory apart, by its timed updates.

    * loader-bound: drawing and loading a batch alone takes at least half of the update;
    * launch-bound: from the least batch size to one at least 8 times as large an update takes at most 1.5 times as
      long, so that what is paid once an update decides: kernel launches on a GPU, calls on a CPU;
    * memory-bound: at the largest batch sizes an example takes at least 15 % longer than at the best one, as caches or
      memory are full.

    Args:
        timings: Of updates; loading is looked at where it was measured.

    Returns:
        None, one or several of them; where nothing is returned, work for each example decides.

    Example:
        >>> flat = [UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in ((1, 1.0), (16, 1.2))]
        >>> [one.kind for one in bound_by(flat)]
        ['launch-bound']
    """
    rows = sorted(timings, key=lambda one: one.batch_size)
    if not rows:
        return []
    sizes = [one.batch_size for one in rows]
    seconds = np.array([one.seconds for one in rows])
    found: list[BoundBy] = []
    shares = {
        one.batch_size: float(np.median(one.loading_seconds)) / one.seconds for one in rows if one.loading_seconds
    }
    if loading := {size: share for size, share in shares.items() if share >= LOADING}:
        size = max(loading, key=lambda one: loading[one])
        text = (
            f"drawing and loading a batch takes {100 * loading[size]:.0f} % of an update at batch size {size}: more "
            "worker processes or cheaper augmentation shorten the update and move the best batch size"
        )
        found.append(BoundBy(kind="loader-bound", batch_sizes=(min(loading), max(loading)), text=text))
    flat = [size for size, one in zip(sizes, seconds, strict=True) if one <= FLAT * seconds[0]]
    if flat and max(flat) >= REACH * sizes[0]:
        least, most = sizes[0], max(flat)
        times = seconds[sizes.index(most)] / seconds[0]
        text = (
            f"an update of {most} examples takes {times:.2f} times as long as one of {least}: what is paid once an "
            "update decides up to there, and a larger batch is nearly free"
        )
        found.append(BoundBy(kind="launch-bound", batch_sizes=(least, most), text=text))
    each = seconds / np.array(sizes)
    best = int(np.argmin(each))
    if best < len(rows) - 1 and (slower := each[-1] / each[best]) >= SLOWER:
        text = (
            f"an example takes {slower:.2f} times as long at batch size {sizes[-1]} as at {sizes[best]}: caches or "
            "memory are full, and larger batches cost more than they hold"
        )
        found.append(BoundBy(kind="memory-bound", batch_sizes=(sizes[best], sizes[-1]), text=text))
    return found
