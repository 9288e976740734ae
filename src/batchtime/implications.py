"""What the closed form says about machines and algorithms: scenarios, and what each of them buys."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from batchtime.records import AllReduceTime, InverseLaw, TrainingTime
from batchtime.scaling import Network, optimal_scaling, weak_scaling, with_learners


def machines(time: TrainingTime) -> dict[str, TrainingTime]:
    """Return the training time on this machine and on others."""
    one = time.update_time
    return {
        "this machine": time,
        "twice as fast per example": replace(
            time, update_time=replace(one, seconds_per_example=one.seconds_per_example / 2)
        ),
        "half the fixed cost": replace(time, update_time=replace(one, fixed_seconds=one.fixed_seconds / 2)),
        "both": replace(
            time,
            update_time=replace(
                one, seconds_per_example=one.seconds_per_example / 2, fixed_seconds=one.fixed_seconds / 2
            ),
        ),
    }


def algorithms(time: TrainingTime) -> dict[str, TrainingTime]:
    """Return the training time of this algorithm and of others on the same machine."""
    law = InverseLaw(n_inf=time.law.n_inf, alpha=time.law.alpha)
    return {
        "this algorithm": time,
        "half of alpha (less noise)": replace(time, law=replace(law, alpha=law.alpha / 2)),
        "half of n_inf (faster without noise)": replace(time, law=replace(law, n_inf=law.n_inf / 2)),
        "half of both": replace(time, law=replace(law, alpha=law.alpha / 2, n_inf=law.n_inf / 2)),
    }


def networks(time: TrainingTime, network: Network, learners: int) -> dict[str, TrainingTime]:
    """Return the training time of some learners over a network and over better ones."""
    wire = network.all_reduce

    def over(latency: float, seconds_per_byte: float) -> TrainingTime:
        better = AllReduceTime(latency_seconds=latency, seconds_per_byte=seconds_per_byte, shape=wire.shape)
        return with_learners(time, learners, replace(network, all_reduce=better))

    return {
        f"{learners} learners on this network": over(wire.latency_seconds, wire.seconds_per_byte),
        "half the latency": over(wire.latency_seconds / 2, wire.seconds_per_byte),
        "twice the bandwidth": over(wire.latency_seconds, wire.seconds_per_byte / 2),
        "communication for nothing": over(0.0, 0.0),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the closed form says of one task on one machine, in numbers.

    Args:
        epoch_gain: Seconds of an epoch at the largest batch over those at the optimum.
        training_loss: Training time at the largest batch over the least.
        noise_share: Fraction by which the least time falls where alpha falls by one; the rest is n_inf's.
        most_speedup: One learner's least time over that of any number of them, free communication.
        weak_excess: Weak scaling over optimal scaling, less 1, of some learners with free communication.
        machine_gain: Times as fast with half the seconds per example.
    """

    epoch_gain: float
    training_loss: float
    noise_share: float
    most_speedup: float
    weak_excess: float
    machine_gain: float


def read(times: Mapping[str, TrainingTime], *, largest_batch: float, learners: int) -> dict[str, Reading]:
    """Return the numbers of each task.

    Args:
        times: Training time of each task, by name.
        largest_batch: That an epoch is compared at.
        learners: That weak scaling is compared for.
    """
    found = {}
    for name, time in times.items():
        best, t = time.optimal_batch_size, time.update_time
        found[name] = Reading(
            epoch_gain=(t.seconds(largest_batch) / largest_batch) / (t.seconds(best) / best),
            training_loss=time.seconds(largest_batch) / time.least_seconds,
            noise_share=time.noise_share,
            most_speedup=time.least_seconds / (time.law.n_inf * t.fixed_seconds),
            weak_excess=weak_scaling(time, learners) / optimal_scaling(time, learners) - 1,
            machine_gain=time.least_seconds / machines(time)["twice as fast per example"].least_seconds,
        )
    return found
