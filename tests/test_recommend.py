"""Promises of a recommendation: the best of a grid, or a refusal with its reason."""

import re
from dataclasses import replace

import numpy as np
import pytest

from batchtime.errors import ParameterError
from batchtime.fit.advice import fastest, recommend
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.laws.scaling import Network
from batchtime.laws.time import AllReduceTime, UpdateTime
from batchtime.laws.updates import InverseLaw

from .test_training_time import LAW, MACHINE, runs, timings


def some_timings(sizes: tuple[int, ...], machine: UpdateTime = MACHINE, busy: float = 1.0) -> list[UpdateTiming]:
    return [
        UpdateTiming(batch_size=m, wall_seconds=(s * busy,) * 3, cpu_seconds=(s,) * 3)
        for m in sizes
        for s in (machine.seconds(float(m)),)
    ]


def test_the_recommended_batch_size_is_the_best_whole_one() -> None:
    found = recommend(runs(0), timings(0))
    grid = np.arange(1, 513, dtype=np.float64)
    truth = LAW.updates(grid) * MACHINE.seconds(grid)
    assert found.batch_size is not None
    assert truth[found.batch_size - 1] <= 1.01 * truth.min()
    assert found.predicted_seconds == pytest.approx(truth.min(), rel=0.1)
    low, high = found.interval
    assert low is not None
    assert high is not None
    assert low < found.batch_size < high
    near, far = found.within_5_percent or (0, 0)
    assert near < found.batch_size < far
    assert (found.refused, found.reasons, found.learners) == (False, (), 1)


def test_the_cost_of_the_pilot_is_its_updates_times_their_seconds() -> None:
    seen = [
        Observation(batch_size=m, lower=u, upper=u, seed=s)
        for m, u in ((4, 1800), (20, 600), (100, 360))
        for s, u in ((0, u - 9), (1, u + 9))
    ]
    found = recommend(seen, some_timings((1, 10, 100)))
    # 3,600 updates of 2.4 ms, 1,200 of 4 ms and 720 of 12 ms
    assert found.pilot_seconds == pytest.approx(8.64 + 4.8 + 8.64, rel=1e-3)


@pytest.mark.parametrize("learners", [2, 4, 64])
def test_learners_get_the_same_share_each(learners: int) -> None:
    found = recommend(runs(0), timings(0), learners=learners)
    assert found.batch_size is not None
    assert found.batch_size % learners == 0
    assert any("taken to be free" in warning for warning in found.warnings)


def test_a_network_costs_time_and_wants_a_larger_batch() -> None:
    ring = Network(all_reduce=AllReduceTime(latency_seconds=1e-3, seconds_per_byte=1e-9), payload_bytes=1e6)
    free, costly = recommend(runs(0), timings(0), learners=4), recommend(runs(0), timings(0), learners=4, network=ring)
    assert (costly.predicted_seconds or 0) > (free.predicted_seconds or 0)
    assert (costly.batch_size or 0) > (free.batch_size or 0)


def test_the_largest_allowed_batch_is_kept_to() -> None:
    found = recommend(runs(0), timings(0), learners=3, max_batch_size=8)
    assert found.batch_size == 6
    assert any("holds it back" in warning for warning in found.warnings)
    with pytest.raises(ParameterError, match=r"max_batch_size = 2 .* 3 learners"):
        recommend(runs(0), timings(0), learners=3, max_batch_size=2)


def test_nothing_is_recommended_below_what_the_law_is_known_to_hold_for() -> None:
    found = recommend(runs(0), timings(0), learners=3, min_batch_size=40)
    assert found.batch_size == 42
    assert (found.within_5_percent or (0, 0))[0] >= 40
    assert any("below 40 the law fails" in warning for warning in found.warnings)


@pytest.mark.parametrize("ends", [{"min_batch_size": 40}, {"max_batch_size": 8}])
def test_the_range_is_of_what_may_be_used_and_its_price_is_told(ends: dict[str, int]) -> None:
    found = recommend(runs(0), timings(0), **ends)
    near, far = found.within_5_percent or (0, 0)
    assert found.batch_size is not None
    law = recommend(runs(0), timings(0))
    assert law.predicted_seconds is not None
    assert found.predicted_seconds is not None
    price = found.predicted_seconds / law.predicted_seconds - 1
    assert any(f"{100 * price:.0f} %" in warning for warning in found.warnings)
    truth = LAW.updates(np.array([near, far])) * MACHINE.seconds(np.array([near, far]))
    assert truth.max() == pytest.approx(1.05 * truth.min(), rel=0.02)
    assert found.batch_size in (near, far)


def test_one_run_a_batch_size_is_remarked_on() -> None:
    alone = [seen for seen in runs(0) if seen.seed == 0]
    assert any("one run at each batch size" in warning for warning in recommend(alone, timings(0)).warnings)
    assert not any("one run at each" in warning for warning in recommend(runs(0), timings(0)).warnings)


@pytest.mark.parametrize(
    ("seen", "sizes", "most", "reason"),
    [
        (None, (1, 10, 100), 1, r"largest batch size allowed, 1, lies below half the smallest that was run, 4"),
        (None, (256, 512, 1024), None, r"outside of half the smallest to twice the largest batch size that was timed"),
        ((100, 150, 400), (1, 10, 100), None, r"do not fall with the batch size"),
    ],
)
def test_what_was_not_measured_near_the_answer_is_refused(
    seen: tuple[int, ...] | None, sizes: tuple[int, ...], most: int | None, reason: str
) -> None:
    updates = seen or (1800, 600, 360)
    observations = [
        Observation(batch_size=m, lower=u + d, upper=u + d, seed=d)
        for m, u in zip((4, 20, 100), updates, strict=True)
        for d in (0, 9, 20)
    ]
    found = recommend(observations, some_timings(sizes), max_batch_size=most)
    assert found.refused
    assert re.search(reason, " ".join(found.reasons))


def test_the_fastest_of_several_is_the_one_of_the_shortest_time() -> None:
    several = [recommend(runs(0), timings(0), learners=count) for count in (1, 8, 2)]
    assert fastest(several).learners == 8
    refused = [replace(one, predicted_seconds=None, refused=True) for one in several]
    assert fastest(refused) == refused[0]


LOST = [Observation(batch_size=2, lower=5000, upper=None, seed=seed) for seed in range(8)]
SLOW = UpdateTime(fixed_seconds=0, seconds_per_example=4e-4)
FLAT = UpdateTime(fixed_seconds=0.01, seconds_per_example=0)
NARROW = [
    Observation(batch_size=m, lower=u, upper=u)  # the runs of one batch size reach into those of the other
    for m, updates in ((64, (370, 440, 402)), (80, (350, 430, 395)))
    for u in updates
]


@pytest.mark.parametrize(
    ("seen", "timed", "reason"),
    [
        (NARROW, timings(0), "open on a side"),
        (runs(0, sizes=(256, 512, 1024, 2048), cv=0.01), timings(0), "outside of half the smallest"),
        ([*LOST, *runs(0, sizes=(4, 16, 64, 256))], timings(0), "Only 0 of 8 runs at batch size 2"),
        (runs(0), some_timings((1, 10, 100), busy=1.4), "The machine was busy: .* 1.40 times"),
        (runs(0), [*some_timings((1, 10, 100, 1000)), *some_timings((31,), SLOW)], "misses a median"),
        (runs(0, sizes=(8,)), timings(0), "another batch size"),
        (runs(0), some_timings((1, 10, 100), FLAT), "do not show both costs"),
        (runs(0), some_timings((16,)), "two distinct batch sizes"),
    ],
    ids=["open", "far", "lost", "busy", "bent", "one size", "flat", "one timing"],
)
def test_what_cannot_be_recommended_is_refused_with_its_reason(
    seen: list[Observation], timed: list[UpdateTiming], reason: str
) -> None:
    found = recommend(seen, timed)
    assert found.refused
    assert (found.batch_size, found.predicted_seconds, found.within_5_percent) == (None, None, None)
    assert any(re.search(reason, sentence) for sentence in found.reasons), found.reasons


def test_a_law_of_one_arm_is_refused() -> None:
    steep = InverseLaw(n_inf=1e-3, alpha=1e5)
    seen = [
        Observation(batch_size=m, lower=steep.updates(float(m)) * f, upper=steep.updates(float(m)) * f, seed=s)
        for m in (2, 4, 8, 16)
        for s, f in enumerate((0.97, 1.0, 1.03))
    ]
    assert recommend(seen, timings(0)).refused
