"""Energy in place of seconds, and both together: the same law, the same draws, joules of an update for its seconds.

Joules of an update have a fixed part and one for each example, as seconds have, so that energy to the target is
N(M) e(M): its best batch size goes with the root of (alpha / n_inf) (fixed joules / joules an example). Between the
best size for time and the one for energy lies the frontier: no size there is beaten in both.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from batchtime.fit import advice
from batchtime.fit.law_draws import posterior
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.fit.seconds import measured_seconds

ROWS = 9
"""Of the frontier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """One batch size of the frontier."""

    batch_size: int
    seconds: float
    joules: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """The batch size of least energy to the target.

    Args:
        batch_size: Best guess, examples.
        regret: With 95 % probability it takes at most this fraction more energy than the best.
        joules: To the target there.
        refused: Whether `regret` exceeds the limit.
        frontier: From the best for time to the best for energy: no size is beaten in both.
    """

    batch_size: int
    regret: float
    joules: float
    refused: bool
    frontier: tuple[Compromise, ...]

    def to_dict(self) -> dict[str, object]:
        """Return what `recommend --json` says of energy."""
        return asdict(self)

    def __str__(self) -> str:
        """Return what `recommend` prints of energy."""
        doubt = " (more than the limit)" if self.refused else ""
        ends = [
            f"{one.batch_size}: {one.seconds:.3g} s, {one.joules:.3g} J"
            for one in (self.frontier[0], self.frontier[-1])
        ]
        return (
            f"  energy: batch size {self.batch_size}, {self.joules:.3g} J, at most {100 * self.regret:.2g} % above the "
            f"least (95 %){doubt}; frontier from {ends[0]} to {ends[1]}"
        )


def of_energy(
    observations: Sequence[Observation],
    timings: Sequence[UpdateTiming],
    *,
    max_batch_size: int | None = None,
    multiple_of: int = 1,
    limit: float = advice.LIMIT,
) -> Energy | None:
    """Return the batch size of least energy, for one learner; None where updates have no joules.

    Args:
        observations: Runs to the target.
        timings: Updates, with their joules.
        max_batch_size: That memory allows.
        multiple_of: What the batch size is to be a multiple of.
        limit: Of the loss.

    Raises:
        FitError: If the runs determine no law, or joules are not more than 0.
    """
    spent = [replace(one, wall_seconds=one.joules, cpu_seconds=one.joules) for one in timings if one.joules]
    if not spent:
        return None
    bounds = (multiple_of, 0, math.inf if max_batch_size is None else max_batch_size)
    found = posterior(observations)
    by_energy = advice.draw(found, measured_seconds(spent), bounds=bounds)
    by_time = advice.draw(found, measured_seconds([one for one in timings if one.joules]), bounds=bounds)
    losses = np.quantile(by_energy.losses(), advice.LEVEL, axis=0, method="higher")
    best = int(np.argmin(losses))
    joules, seconds = (np.exp(np.median(one.time, axis=0)) for one in (by_energy, by_time))
    first, last = sorted((int(np.argmin(seconds)), int(np.argmin(joules))))
    order = range(first, last + 1)
    if int(np.argmin(seconds)) == last:
        order = range(last, first - 1, -1)
    kept: list[int] = []
    for k in order:
        if not kept or joules[k] < joules[kept[-1]]:
            kept.append(k)
    rows = [kept[round(j)] for j in np.linspace(0, len(kept) - 1, min(ROWS, len(kept)))]
    return Energy(
        batch_size=int(by_energy.sizes[best]),
        regret=float(losses[best]),
        joules=float(joules[best]),
        refused=not losses[best] <= limit,
        frontier=tuple(
            Compromise(batch_size=int(by_time.sizes[k]), seconds=float(seconds[k]), joules=float(joules[k]))
            for k in rows
        ),
    )
