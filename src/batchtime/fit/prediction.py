"""Updates and seconds to the target predicted at named batch sizes, with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from batchtime.errors import check
from batchtime.fit.advice import LEVEL, PAIR_DRAWS, Runs, log_seconds_of
from batchtime.fit.curve import fit_curve
from batchtime.fit.curve_draws import log_updates_of
from batchtime.fit.law_draws import DRAWS, posterior, quasi_random
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.seconds import measured_seconds
from batchtime.laws.quantity import Array, Interval, interval_text
from batchtime.laws.scaling import FREE, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """Updates and seconds to the target predicted at one batch size, with 95 % intervals."""

    batch_size: float
    learning_rate: float | None
    updates: float
    updates_interval: Interval
    seconds: float | None
    seconds_interval: Interval
    beyond_measured: bool

    def to_dict(self) -> dict[str, object]:
        """Return what `predict --json` prints of it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return what `batchtime predict` prints of it."""
        rate = "" if self.learning_rate is None else f" at learning rate {self.learning_rate:g}"
        seconds = "" if self.seconds is None else f", {self.seconds:.4g} s ({interval_text(self.seconds_interval, 4)})"
        beyond = "; beyond what was measured" if self.beyond_measured else ""
        updates = f"{self.updates:.4g} updates ({interval_text(self.updates_interval, 4)})"
        return f"batch size {self.batch_size:g}{rate}: {updates}{seconds}{beyond}"


def predict(
    observations: Runs,
    timings: Sequence[UpdateTiming] | None,
    *,
    batch_sizes: Sequence[float],
    learning_rate: float | None = None,
    learners: int = 1,
    network: Network = FREE,
) -> tuple[Predicted, ...]:
    """Return mean updates, and seconds where updates were timed, at some batch sizes.

    Args:
        observations: Runs, or runs by learning rate.
        timings: Updates of one learner; None for updates alone.
        batch_sizes: Where, of all learners together.
        learning_rate: Where the runs have several; None for the largest at which every seed reached the target.
        learners: That share each batch.
        network: Between them.

    Raises:
        FitError: If the runs or the timings determine nothing.
        ParameterError: If a batch size or the learning rate is not allowed.
    """
    for size in batch_sizes:
        check(0 < size < math.inf, name="batch_sizes", value=size, allowed="finite and more than 0")
    check(len(batch_sizes) > 0, name="batch_sizes", value=list(batch_sizes), allowed="at least one")
    sizes = np.array(batch_sizes, dtype=np.float64)
    seconds = None if timings is None else measured_seconds(timings)
    extra = 0 if seconds is None else seconds.dimensions
    if isinstance(observations, Mapping):
        curve = fit_curve(observations, full=False)
        rate = curve.law.largest_learning_rate if learning_rate is None else learning_rate
        most = curve.law.largest_learning_rate
        check(0 < rate <= most, name="learning_rate", value=rate, allowed=f"more than 0 and at most {most:g}, the "
              "largest at which every seed reached the target")  # fmt: skip
        run = np.unique([one.batch_size for one in curve.cells])
        uniforms = quasi_random(PAIR_DRAWS, 16 + extra)
        updates = law = log_updates_of(curve, uniforms, sizes, np.full(len(sizes), rate))
        own = 16
    else:
        check(learning_rate is None, name="learning_rate", value=learning_rate, allowed="only beside runs at several")
        rate = None
        found = posterior(list(observations))
        run = found.means.sizes
        own = found.dimensions(sizes)
        uniforms = quasi_random(DRAWS, own + extra)
        updates, law = (found.draws(uniforms[:, :own], sizes, misfit=misfit) for misfit in (True, False))
    drawn = None if seconds is None else log_seconds_of(seconds, uniforms[:, own:], sizes, learners, network)
    low, high = float(run[0]), float(run[-1])
    if seconds is not None:
        low, high = max(low, seconds.sizes[0] * learners), min(high, seconds.sizes[-1] * learners)
    rows = []
    for k, size in enumerate(sizes):
        of_time: tuple[float | None, Interval] = (None, (None, None))
        if drawn is not None:
            of_time = _middle(law[:, k] + drawn[:, k])[0], _middle(updates[:, k] + drawn[:, k])[1]
        middle, interval = _middle(law[:, k])[0], _middle(updates[:, k])[1]
        rows.append(
            Predicted(
                batch_size=float(size),
                learning_rate=rate,
                updates=math.inf if middle is None else middle,
                updates_interval=interval,
                seconds=of_time[0],
                seconds_interval=of_time[1],
                beyond_measured=not low <= size <= high,
            )
        )
    return tuple(rows)


def _middle(logs: Array) -> tuple[float | None, Interval]:
    """Return the median and the 95 % interval of exp(logs); None for what is infinite."""
    low, middle, high = np.quantile(logs, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), method="nearest")
    values = [float(np.exp(v)) if v < 700 else None for v in (low, middle, high)]
    return values[1], (values[0], values[2])
