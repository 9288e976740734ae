"""Promises of several learners: closed forms against brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtime.errors import FitError, ParameterError
from batchtime.fit.all_reduce import fit_all_reduce
from batchtime.fit.measurements import AllReduceTiming
from batchtime.laws.scaling import (
    FREE,
    Network,
    largest_useful,
    mean_of_slowest,
    optima,
    optimal_scaling,
    straggling_networks,
    strong_scaling,
    weak_scaling,
    with_learners,
)
from batchtime.laws.time import AllReduceTime, TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw

TIME = TrainingTime(
    law=InverseLaw(n_inf=100, alpha=1600), update_time=UpdateTime(fixed_seconds=4e-3, seconds_per_example=1e-3)
)
RING = Network(all_reduce=AllReduceTime(latency_seconds=1e-5, seconds_per_byte=1e-9), payload_bytes=1e6)


@given(
    n_inf=st.floats(1, 1e4),
    alpha=st.floats(1, 1e6),
    fixed=st.floats(1e-5, 1),
    each=st.floats(1e-6, 1e-2),
    learners=st.integers(1, 4096),
)
def test_strong_and_weak_scaling_take_the_same_time_and_optimal_scaling_saves_what_theory_says(
    n_inf: float, alpha: float, fixed: float, each: float, learners: int
) -> None:
    time = TrainingTime(
        law=InverseLaw(n_inf=n_inf, alpha=alpha), update_time=UpdateTime(fixed_seconds=fixed, seconds_per_example=each)
    )
    strong, weak, best = (f(time, learners) for f in (strong_scaling, weak_scaling, optimal_scaling))
    s = math.sqrt(n_inf * alpha * each * fixed)
    assert strong == pytest.approx(weak)
    assert strong - best == pytest.approx(s * (1 - learners**-0.5) ** 2, abs=1e-9 * strong)


def test_the_optimum_of_learners_over_a_network_is_the_least_of_a_fine_grid() -> None:
    time = with_learners(TIME, 8, RING)
    # c(8) = 14 x 10 us + 14/8 x 1e6 x 1 ns = 0.14 + 1.75 ms; M = sqrt(16 x 8 x 5.89 ms / 1 ms).
    assert time.optimal_batch_size == pytest.approx(math.sqrt(16 * 8 * 5.89))
    grid = np.geomspace(1, 1e4, 4001)
    assert time.seconds(grid).min() == pytest.approx(optimal_scaling(TIME, 8, RING), rel=1e-6)


def test_learners_that_are_free_need_n_inf_fixed_costs_at_least() -> None:
    floor = TIME.law.n_inf * TIME.update_time.fixed_seconds
    times = [optimal_scaling(TIME, 4**k) for k in range(9)]
    assert times == sorted(times, reverse=True)
    assert floor < times[-1] < 1.02 * floor


def test_the_largest_useful_number_of_learners_is_where_doubling_saves_too_little() -> None:
    for network in (FREE, RING):
        useful = largest_useful(TIME, network)
        assert optimal_scaling(TIME, useful, network) <= 0.95 * optimal_scaling(TIME, useful // 2, network)
        assert optimal_scaling(TIME, 2 * useful, network) > 0.95 * optimal_scaling(TIME, useful, network)
    assert largest_useful(TIME, RING) < largest_useful(TIME)


@pytest.mark.parametrize(("learners", "straggling"), [(2, 0.1), (8, 0.3), (64, 1.0), (1000, 0.3)])
def test_the_mean_of_the_slowest_is_that_of_simulated_learners(learners: int, straggling: float) -> None:
    spread = math.sqrt(math.log1p(straggling**2))
    draws = np.exp(np.random.default_rng(0).normal(-(spread**2) / 2, spread, size=(20_000, learners))).max(axis=1)
    error = draws.std() / math.sqrt(len(draws))
    assert mean_of_slowest(learners, straggling) == pytest.approx(draws.mean(), abs=4 * error)


def test_learners_that_wait_for_the_last_as_steps_are_simulated_take_what_the_model_says() -> None:
    # 5,000 updates of 8 learners on 64 examples, each learner's work log-normal, one event after the other.
    network = Network(all_reduce=RING.all_reduce, payload_bytes=RING.payload_bytes, straggling=0.5)
    spread = math.sqrt(math.log1p(0.25))
    generator = np.random.default_rng(1)
    clock, steps = 0.0, []
    for _ in range(5000):
        work = 1e-3 * 64 / 8 * np.exp(generator.normal(-(spread**2) / 2, spread, size=8))
        ready = [clock + one for one in work]
        ended = max(ready) + 4e-3 + RING.all_reduce.seconds(8, RING.payload_bytes)
        steps.append(ended - clock)
        clock = ended
    model = with_learners(TIME, 8, network).update_time.seconds(64.0)
    assert model == pytest.approx(np.mean(steps), abs=4 * np.std(steps) / math.sqrt(5000))


def test_learners_of_unequal_speed_want_a_smaller_batch() -> None:
    points = optima(TIME, straggling_networks(RING, (0.0, 0.5)), [1, 4, 16])
    even, uneven = points["work varies by 0 %"], points["work varies by 50 %"]
    assert even[0] == uneven[0] == (1, pytest.approx(8))
    assert all(b < a for (_, a), (_, b) in zip(even[1:], uneven[1:], strict=True))


def test_latency_and_bandwidth_are_recovered_from_their_own_values() -> None:
    known = AllReduceTime(latency_seconds=3e-5, seconds_per_byte=4e-10)
    seen = [AllReduceTiming(payload_bytes=4**k, seconds=(known.seconds(2, 4**k),) * 3) for k in range(1, 13)]
    found = fit_all_reduce(seen, learners=2)
    assert found.latency_seconds == pytest.approx(known.latency_seconds)
    assert found.seconds_per_byte == pytest.approx(known.seconds_per_byte)
    with pytest.raises(FitError, match="1 payloads of 2 learners"):
        fit_all_reduce(seen[:1], learners=2)


@pytest.mark.parametrize("learners", [0, -1, 2**21])
def test_impossible_numbers_of_learners_are_refused(learners: int) -> None:
    with pytest.raises(ParameterError, match=f"learners = {learners}"):
        with_learners(TIME, learners)


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ParameterError, match="straggling = -1"):
        Network(all_reduce=RING.all_reduce, payload_bytes=1, straggling=-1)
    with pytest.raises(ParameterError, match="payload_bytes = inf"):
        Network(all_reduce=RING.all_reduce, payload_bytes=math.inf)
    with pytest.raises(ParameterError, match="gain = 0"):
        largest_useful(TIME, gain=0)
