"""What a reader should know before trusting a law, one sentence each, with the remedy."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from batchtime.fit.likelihood import HOPELESS_SPREAD, Indices, Maximum, Rows, listed
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import SIGNIFICANT, Scatter
from batchtime.laws.quantity import Array, Interval

FEW_UPDATES = 20
"""Below so many updates half of one, by which whole numbers are too high on average, is more than 2.5 % of them."""


def of_the_design(rows: Rows, observations: Sequence[Observation]) -> Iterator[str]:
    """Tell of batch sizes, seeds and budgets that cannot carry the law."""
    reached, censored = rows.by_size(rows.reached), rows.by_size(~rows.reached)
    used = rows.sizes[reached > 0]
    if used[-1] < 4 * used[0]:
        yield (
            f"The batch sizes that reached the target, {used[0]:g} to {used[-1]:g}, span a factor of "
            f"{used[-1] / used[0]:.3g} only: too close to tell n_inf from alpha / M; add some at least 4 times apart."
        )
    if len(used) == 2:
        yield "Two batch sizes fit any law of two parameters: whether the law holds is not tested; add a third."
    seeds, runs = {run.seed for run in observations}, len(observations)
    if runs > 1 and len(seeds) == 1 and None not in seeds:
        yield f"All {runs} runs share seed {seeds.pop()}: the scatter between seeds is not in the intervals; add seeds."
    named = [(run.batch_size, run.seed) for run in observations if run.seed is not None]
    if (repeats := len(named) - len(set(named))) > 0:
        yield (
            f"{repeats} runs have the batch size and the seed of another one: if they are copies, intervals are too "
            "narrow; remove them."
        )
    counts = [run.lower for run in observations if run.lower == run.upper and run.lower == int(run.lower)]
    coarse = [count for count in counts if count < FEW_UPDATES]
    if coarse:
        yield (
            f"{len(coarse)} runs took fewer than {FEW_UPDATES} updates, given as whole numbers: the rounding of counts "
            f"moves the law by up to {50 / min(coarse):.2g} %, which no interval allows for; give N as more than N - 1 "
            "and at most N."
        )
    if censored.any():
        yield (
            f"{censored.sum():.0f} of {runs} runs ({100 * censored.sum() / runs:.2g} %) did not reach the target "
            f"(batch sizes {listed(rows.sizes[censored > 0])}); they count as needing more updates than that."
        )
    if (reached == 0).any():
        yield (
            f"No run reached the target at batch sizes {listed(rows.sizes[reached == 0])}: the law may not hold there; "
            "raise the budget, or leave them out to describe the others alone."
        )


def of_the_scatter(scatter: Scatter, whole: Indices) -> Iterator[str]:
    """Tell what widens the intervals, or why there are none."""
    law, rows = scatter.law, scatter.law.rows
    if rows.n_reached <= 2:
        yield f"{rows.n_reached} runs leave none over to tell their scatter: there are no intervals; add seeds."
    elif law.spread >= HOPELESS_SPREAD:
        yield (
            f"The runs stand off any law by a factor of {math.exp(law.spread):.2g} (one standard deviation): no law "
            "describes them, so there are no intervals; check batch sizes and updates."
        )
    elif not law.spread_known:
        yield (
            f"All {rows.n_reached} runs lie on one law to rounding: their scatter cannot be told, so there are no "
            "intervals; check that the seeds differ."
        )
    alike = rows.sizes[rows.size[(rows.counts > 2) & rows.exact & (rows.counts == rows.by_size(rows.exact)[rows.size])]]
    if len(alike):
        yield f"Every run at batch sizes {listed(alike)} took the same number of updates: check that the seeds differ."
    if scatter.seed_effect < SIGNIFICANT:
        yield (
            f"Runs of one seed go together across batch sizes (correlation {scatter.seed_correlation:.2f}): the "
            f"intervals count {scatter.seeds} seeds, not {rows.n_reached} runs."
        )
    if scatter.batch_cutoff > 0 and len(whole):
        off = np.log(rows.means[whole] / law.updates(whole))
        worst = np.abs(off).argmax()
        yield (
            f"The runs at batch size {rows.sizes[whole[worst]]:g} took {_times(off[worst])} updates than the law says, "
            f"more than chance explains (p = {scatter.lack_of_fit:.1g}): the law is an approximation here, and its "
            "intervals are wider for that."
        )


TYPICAL_SCATTER = 0.06
"""Standard deviation of log N of a mean, where a table has one run at each batch size and cannot tell."""
CERTAIN = 3.0
"""Standard deviations from which on a shape is said to be seen."""


def of_the_shape(law: Maximum, scatter: float | None) -> Iterator[str]:
    """Tell of updates that rise with the batch size, at one place or at all, or fall faster than 1 / M."""
    rows = law.rows
    whole = np.flatnonzero((rows.by_size(~rows.reached) == 0) & (rows.means > 0))
    if len(whole) < 2:
        return
    sizes, means, runs = rows.sizes[whole], rows.means[whole], rows.by_size(rows.reached)[whole]
    error = np.sqrt((TYPICAL_SCATTER**2 if scatter is None else scatter**2) / (1 if scatter is None else runs))
    error = np.hypot(np.broadcast_to(error, means.shape), 0.01)
    ends = CERTAIN * math.hypot(error[0], error[-1])
    updates = means * rows.unit_updates
    if math.log(means[-1] / means[0]) > ends:
        yield (
            f"Updates rise with the batch size, from {updates[0]:.4g} at {sizes[0]:g} to {updates[-1]:.4g} at "
            f"{sizes[-1]:g}: check that updates are given and not examples (updates = examples / batch size)."
        )
        return
    step = np.log(means[1:] / means[:-1])
    beyond = step - np.diff(np.log(np.maximum(law.updates(whole), 1e-300)))
    certain = beyond / np.hypot(error[1:], error[:-1])
    worst = int(np.argmax(np.where(step > 0, certain, -np.inf)))
    if step[worst] > 0 and certain[worst] > CERTAIN:
        yield (
            f"Updates are {100 * math.expm1(step[worst]):.2g} % higher at batch size {sizes[worst + 1]:g} than at "
            f"{sizes[worst]:g}, which no law allows: was the target, the schedule or the learning rate another there? "
            "Mend that, or leave one of the two out."
        )
        return
    if len(whole) > 2 and math.log(means[0] * sizes[0] / (means[-1] * sizes[-1])) > ends:
        yield (
            f"Updates fall faster than 1 / M: {updates[0] * sizes[0]:.4g} examples at {sizes[0]:g}, "
            f"{updates[-1] * sizes[-1]:.4g} at {sizes[-1]:g}, as near the pole of a learning rate that is too large "
            "for small batches; leave the smallest batch sizes out, or run them with a smaller learning rate."
        )


def of_open_sides(law: Maximum, critical_batch_size: Interval) -> Iterator[str]:
    """Tell which sides of the critical batch size the runs leave open, and where to look for them."""
    low, high = critical_batch_size
    below, above = f"below {law.rows.sizes[0]:g}", f"above {law.rows.sizes[-1]:g}"
    if not law.spread_known:
        return
    if low is None and high is None:
        yield f"The runs leave alpha / n_inf open on both sides; add seeds, and batch sizes {below} and {above}."
    elif high is None:
        yield f"The runs fit alpha / M alone: alpha / n_inf is open above, from {low:.3g} on; add batch sizes {above}."
    elif low is None:
        yield f"The runs fit a constant alone: alpha / n_inf is open below, up to {high:.3g}; add batch sizes {below}."


def of_a_batch_size(rows: Rows, whole: Indices, left_out: Array) -> Iterator[str]:
    """Tell of the batch size furthest from the law of the others, if by a factor of 2."""
    off = np.log(rows.means[whole] / np.maximum(left_out, 1e-300)) if len(left_out) else np.zeros(1)
    worst = int(np.argmax(np.abs(off)))
    if abs(off[worst]) > math.log(2):
        yield (
            f"The runs at batch size {rows.sizes[whole[worst]]:g} took {_times(off[worst])} updates than the law of "
            "the others predicts; check them before trusting the law."
        )


def of_a_run(rows: Rows, observations: Sequence[Observation]) -> Iterator[str]:
    """Tell of the run furthest from the median of its batch size, if by a factor of 3 and beyond all scatter."""
    log_middle = np.log(np.maximum(rows.middle, 1e-300))[rows.row_of]
    size, reached = rows.size[rows.row_of], rows.reached[rows.row_of]
    off = np.zeros(len(observations))
    for position in range(len(rows.sizes)):
        here = (size == position) & reached
        if here.sum() > 2:
            off[here] = log_middle[here] - np.median(log_middle[here])
    worst = int(np.argmax(np.abs(off)))
    # 1.48 times the median absolute deviation is the standard deviation of a normal sample, whatever its outliers.
    if abs(off[worst]) > max(math.log(3), 5 * 1.48 * float(np.median(np.abs(off[reached])))):
        run = observations[worst]
        seed = "" if run.seed is None else f" (seed {run.seed})"
        yield (
            f"One run at batch size {run.batch_size:g}{seed} took {_times(off[worst])} updates than the median of its "
            "batch size; check it, for it widens every interval."
        )


def _times(log_ratio: float) -> str:
    """Return a log ratio as a reader says it: "10 times more"."""
    return f"{math.exp(min(abs(log_ratio), 700)):.3g} times {'more' if log_ratio > 0 else 'fewer'}"
