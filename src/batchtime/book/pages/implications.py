"""What the closed form says about machines and algorithms: scenarios, and what each of them buys."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from batchtime.book.plots import COLOURS, CURVE_POINTS, MARKS, batch_size_axis, even_grid, legend, plain_log_axis
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.laws.scaling import Network, optimal_scaling, weak_scaling, with_learners
from batchtime.laws.time import AllReduceTime, TrainingTime
from batchtime.laws.updates import InverseLaw


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
        f"{learners} workers on this network": over(wire.latency_seconds, wire.seconds_per_byte),
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


def readings_frame(readings: Mapping[str, Reading]) -> pd.DataFrame:
    """Return what the closed form says of each task, a task a row and a number of `Reading` a column."""
    return pd.DataFrame({"task": name, **asdict(one)} for name, one in readings.items())


def scenarios(base: TrainingTime, several: Mapping[str, TrainingTime]) -> pd.DataFrame:
    """Return the optimum and the least time of each scenario, and how much faster than the base it is."""
    return pd.DataFrame(
        {
            "what changes": name,
            "optimal_batch_size": one.optimal_batch_size,
            "least_seconds": one.least_seconds,
            "speedup_ratio": base.least_seconds / one.least_seconds,
        }
        for name, one in several.items()
    )


def epoch_and_training(axes: Axes, found: Mapping[str, TrainingTimeFit], batch_sizes: Sequence[float]) -> pd.DataFrame:
    """Draw the time of an epoch and the training time, each over its least value, against the batch size.

    Training time is drawn at the batch sizes that its law was fitted to.
    """
    sizes = even_grid(batch_sizes)
    parts = []
    for label, one in found.items():
        low, high = one.within_law
        epoch, known = one.time.update_time.seconds(sizes) / sizes, sizes[(low <= sizes) & (sizes <= high)]
        for what, where, over in (
            ("training time over the least", known, one.time.seconds(known) / one.time.least_seconds),
            ("time of an epoch over its least", sizes, epoch / epoch.min()),
        ):
            parts.append(pd.DataFrame({"task": label, "what": what, "batch_size": where, "over_least": over}))
    whole = pd.concat(parts, ignore_index=True)
    look: dict[str, Any] = {"hue": "task", "palette": list(COLOURS[: len(found)]), "style": "what", "linewidth": 1.5}
    sns.lineplot(whole, x="batch_size", y="over_least", estimator=None, legend=False, ax=axes, **look)
    for colour, mark, label in zip(COLOURS, MARKS, found, strict=False):
        every = whole[whole["task"] == label].iloc[:: CURVE_POINTS // 8]
        axes.plot(every["batch_size"], every["over_least"], mark, color=colour, markersize=4, label=label)
    axes.plot([], [], color="grey", label="training time over the least")
    axes.plot([], [], "--", color="grey", label="time of an epoch over its least")
    batch_size_axis(axes)
    plain_log_axis(axes, "times the least")
    legend(axes)
    return whole
