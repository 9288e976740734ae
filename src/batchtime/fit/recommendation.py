"""What is recommended: a batch size with its bound, or the reasons why there is none."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from batchtime.fit.next_measurement import NextMeasurement
from batchtime.laws.quantity import Interval, interval_text


@dataclass(frozen=True, slots=True, kw_only=True)
class BestGuess:
    """What would be advised if nothing were refused."""

    batch_size: int
    learning_rate: float | None
    predicted_seconds: float
    within_5_percent: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A batch size for some learners, or the reasons why none is recommended.

    Args:
        learners: That share each batch.
        batch_size: A whole number of examples of all learners together, the same for each; None if refused.
        learning_rate: That goes with it; None where the runs have one or none.
        learning_rate_interval: 95 % interval of the best learning rate.
        interval: 95 % interval of the best batch size; None on a side that reaches the end of what was measured.
        regret: With 95 % probability `batch_size` (the best guess if refused) takes at most this fraction longer than
            the best of the sizes that were measured or lie between; None where no law could be drawn.
        within_5_percent: Least and largest batch size that may be used at a predicted time at most 5 % above the least
            of all that may; None if refused.
        predicted_seconds: Seconds to the target at `batch_size`, evaluations not counted; None if refused.
        predicted_seconds_interval: 95 %.
        predicted_updates: Mean updates to the target there; None if refused.
        pilot_seconds: What the updates of all runs given cost one learner; None where that is not known.
        best_guess: What would be advised without a limit; None where no law could be drawn.
        beyond_measured: Whether the size advised, or guessed, lies beyond those that were run or timed.
        next_measurement: What one more measurement would help most; None where none would.
        refused: Whether there is no recommendation.
        reasons: Why it is refused, one sentence each.
        warnings: What to know before acting on it, one sentence each.
    """

    learners: int
    batch_size: int | None = None
    learning_rate: float | None = None
    learning_rate_interval: Interval | None = None
    interval: Interval = (None, None)
    regret: float | None = None
    within_5_percent: tuple[float, float] | None = None
    predicted_seconds: float | None = None
    predicted_seconds_interval: Interval = (None, None)
    predicted_updates: float | None = None
    pilot_seconds: float | None = None
    best_guess: BestGuess | None = None
    beyond_measured: bool = False
    next_measurement: NextMeasurement | None = None
    refused: bool = True
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """Return what `recommend --json` prints of it."""
        return asdict(self)

    def __str__(self) -> str:
        """Return what `batchtime recommend` prints of it."""
        learners = f"{self.learners} learner{'s' * (self.learners > 1)}"
        guess = self.best_guess
        if self.batch_size is None or guess is None:
            tail = (
                "" if guess is None else f" Best guess: batch size {guess.batch_size}, {guess.predicted_seconds:.3g} s."
            )
            return f"{learners}: refused. {' '.join(self.reasons)}{tail}"
        rate = "" if self.learning_rate is None else f" at learning rate {self.learning_rate:.3g}"
        near, far = guess.within_5_percent
        regret, cost = 100 * (self.regret or 0.0), self.pilot_seconds or 0.0
        range_of_seconds = interval_text(self.predicted_seconds_interval)
        lines = [
            (
                f"{learners}: batch size {self.batch_size}{rate}, at most {regret:.2g} % slower than the best (95 %); "
                f"{near:.4g} to {far:.4g} within 5 %"
            ),
            (
                f"  {guess.predicted_seconds:.3g} s to the target (95 % interval {range_of_seconds}); the runs behind "
                f"this cost {cost:.3g} s; optimum {interval_text(self.interval)}"
            ),
        ]
        return "\n".join([*lines, *([] if self.next_measurement is None else [f"  {self.next_measurement.text()}"])])


def fastest(several: Sequence[Recommendation]) -> Recommendation:
    """Return the recommendation of the shortest predicted time; the first one where all are refused."""
    able = [one for one in several if one.predicted_seconds is not None]
    return min(able, key=lambda one: one.predicted_seconds or math.inf) if able else several[0]
