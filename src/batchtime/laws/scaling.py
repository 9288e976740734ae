"""Several learners that share each batch: their time per update, their optimum, and what the most of them can give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import log_ndtr

from batchtime.errors import check
from batchtime.laws.time import AllReduceTime, TrainingTime

MOST_LEARNERS = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What learners exchange at each update, and what that takes.

    Args:
        all_reduce: Of the network.
        payload_bytes: Of a gradient.
        straggling: Coefficient of variation of the log-normal factor by which each learner's work is longer or shorter
            in each update; the update waits for the last.
    """

    all_reduce: AllReduceTime
    payload_bytes: float
    straggling: float = 0.0

    def __post_init__(self) -> None:
        """Refuse networks that do not exist."""
        allowed = "a finite number of at least 0"
        check(0 <= self.payload_bytes < math.inf, name="payload_bytes", value=self.payload_bytes, allowed=allowed)
        check(0 <= self.straggling < math.inf, name="straggling", value=self.straggling, allowed=allowed)


FREE = Network(all_reduce=AllReduceTime(latency_seconds=0.0, seconds_per_byte=0.0), payload_bytes=0.0)
"""Learners that exchange gradients at no cost and are equally fast: the most that any machine can give."""


def with_learners(time: TrainingTime, learners: int, network: Network = FREE) -> TrainingTime:
    """Return the training time of some learners that share each batch evenly, M being that of all together.

    t(M, L) = gamma e(L) M / L + delta + c(L): each works on M / L examples, all wait for the last of them (e(L) is the
    mean of the largest of L log-normal factors of mean 1), and then for the all-reduce, c(L). Nothing of c(L) is
    hidden behind the work. A time per update that is no straight line keeps its sharpness.

    Raises:
        ParameterError: If the number of learners is not allowed.
    """
    allowed = f"a whole number from 1 to {MOST_LEARNERS:,}"
    check(1 <= learners <= MOST_LEARNERS, name="learners", value=learners, allowed=allowed)
    one = time.update_time
    return replace(
        time,
        update_time=replace(
            one,
            fixed_seconds=one.fixed_seconds + network.all_reduce.seconds(learners, network.payload_bytes),
            seconds_per_example=one.seconds_per_example / learners * mean_of_slowest(learners, network.straggling),
        ),
    )


def mean_of_slowest(learners: int, straggling: float) -> float:
    """Return the mean of the largest of L independent log-normal factors of mean 1 and a coefficient of variation.

    E max = integral over x > 0 of 1 - F(x)^L, with F the distribution function of one.
    """
    if learners == 1 or straggling == 0:
        return 1.0
    from scipy.integrate import quad

    spread = math.sqrt(math.log1p(straggling**2))

    def slower(log_x: float) -> float:
        return -math.expm1(learners * float(log_ndtr(log_x / spread + spread / 2))) * math.exp(log_x)

    # Below exp(-12 spread) F is 0 to rounding: the integral there is the width.
    low, high = -12 * spread, 12 * spread
    return float(math.exp(low) + quad(slower, low, high, limit=200)[0])


def strong_scaling(time: TrainingTime, learners: int, network: Network = FREE) -> float:
    """Return the seconds to the target where learners share the batch that is best for one."""
    return with_learners(time, learners, network).seconds(time.optimal_batch_size)


def weak_scaling(time: TrainingTime, learners: int, network: Network = FREE) -> float:
    """Return the seconds to the target where each learner has the batch that is best for one alone."""
    return with_learners(time, learners, network).seconds(learners * time.optimal_batch_size)


def optimal_scaling(time: TrainingTime, learners: int, network: Network = FREE) -> float:
    """Return the least seconds to the target, the batch being chosen for so many learners."""
    return with_learners(time, learners, network).least_seconds


def largest_useful(time: TrainingTime, network: Network = FREE, *, gain: float = 0.05) -> int:
    """Return the number of learners, a power of two, beyond which twice as many save less than a fraction of the time.

    Raises:
        ParameterError: If the gain is not allowed.
    """
    check(0 < gain < 1, name="gain", value=gain, allowed="more than 0 and less than 1")
    learners, seconds = 1, optimal_scaling(time, 1, network)
    while learners < MOST_LEARNERS:
        doubled = optimal_scaling(time, 2 * learners, network)
        if doubled > (1 - gain) * seconds:
            break
        learners, seconds = 2 * learners, doubled
    return learners


def optima(
    time: TrainingTime, networks: Mapping[str, Network], learners: Sequence[int]
) -> dict[str, list[tuple[int, float]]]:
    """Return for each named network the number of learners and the optimal batch size of all of them together."""
    return {
        name: [(count, with_learners(time, count, network).optimal_batch_size) for count in learners]
        for name, network in networks.items()
    }


def straggling_networks(network: Network, spreads: Sequence[float]) -> dict[str, Network]:
    """Return a network with learners of some coefficients of variation, named by these."""
    return {f"work varies by {100 * spread:.0f} %": replace(network, straggling=spread) for spread in spreads}
