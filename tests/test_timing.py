"""Promises of the measurement of seconds per update."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from batchtime.errors import ClockError, ParameterError, StoreError
from batchtime.runs.catalogue import experiment, timed_batch_sizes
from batchtime.runs.spec import Optimizer
from batchtime.runs.store import Store, writing
from batchtime.train import timing
from batchtime.train.loop import Trainer
from batchtime.train.timing import Blocks, plan_blocks, time_updates

from .builders import setting

WORKLOAD = setting().workload
ADAM = replace(setting(), optimizer=Optimizer(name="adam"))


def test_every_duration_of_every_size_is_kept_in_wall_and_cpu_time() -> None:
    record = time_updates(WORKLOAD, batch_sizes=[64, 1, 48], blocks=4)
    assert [timed.batch_size for timed in record.timings] == [1, 48, 64]
    for timed in record.timings:
        assert len(timed.wall_seconds) == len(timed.cpu_seconds) == len(timed.loading_seconds) == 4
        assert min(timed.wall_seconds + timed.cpu_seconds + timed.loading_seconds) > 0
        assert timed.updates == 16
        assert sum(timed.loading_seconds) < sum(timed.wall_seconds)
    assert record.provenance.threads == 1
    assert record.discarded == 3


def test_a_much_larger_batch_takes_longer() -> None:
    small, large = time_updates(WORKLOAD, batch_sizes=[1, 4096], blocks=5).timings
    assert min(large.cpu_seconds) > min(small.cpu_seconds)


def test_timing_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    record = time_updates(WORKLOAD, batch_sizes=[1], blocks=1, threads=before + 1)
    assert torch.get_num_threads() == before
    assert record.provenance.threads == before + 1


def test_a_block_is_three_updates_that_do_not_count_and_one_call_of_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(Trainer, "update", lambda self, count: calls.append((self._batch_size, count)))
    time_updates(WORKLOAD, batch_sizes=[8, 1], blocks=20)
    del calls[:4]  # a first guess of what an update takes
    assert len(calls) == 2 * 2 * 20
    sizes = [size for size, _ in calls[::2]]
    assert calls == [(size, count) for size in sizes for count in (3, 16)]
    # Spread evenly over the session, and in an order without a pattern.
    assert all(8 <= sizes[part : part + 20].count(1) <= 12 for part in (0, 20))
    assert len({tuple(sizes[at : at + 2]) for at in range(0, 40, 2)}) >= 2


def test_the_optimizer_that_trains_is_the_one_that_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def step(self: torch.optim.Adam) -> None:
        steps.append(self)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    record = time_updates(ADAM, batch_sizes=[4], blocks=2)
    assert len(steps) == 3 + 2 + 2 * 19
    assert record.optimizer == ADAM.optimizer
    time_updates(WORKLOAD, batch_sizes=[4], blocks=2)
    assert len(steps) == 3 + 2 + 2 * 19


@pytest.mark.parametrize("sizes", [[], [0], [4, 4]])
def test_impossible_batch_sizes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ParameterError, match="batch_sizes"):
        time_updates(WORKLOAD, batch_sizes=sizes, blocks=1)


def test_a_clock_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "thread_time", lambda: 1.0)
    with pytest.raises(ClockError, match="a clock stood still: 2 updates took"):
        time_updates(WORKLOAD, batch_sizes=[4], blocks=1)


def test_what_does_not_fit_into_the_budget_has_fewer_blocks_and_then_fewer_updates() -> None:
    costs = {1: 0.001, 64: 0.02, 512: 0.2}
    # 20 x 19 updates: 0.38 s, 7.6 s and 76 s.
    assert plan_blocks(costs, blocks=20, seconds=100) == dict.fromkeys(costs, Blocks(blocks=20, updates=16))
    # 40 s - 7.98 s = 32.02 s are 8 blocks of 3.8 s.
    short = plan_blocks(costs, blocks=20, seconds=40)
    assert short[64] == Blocks(blocks=20, updates=16)
    assert short[512] == Blocks(blocks=8, updates=16)
    # 10 s - 0.38 s, half of it for each: 12 blocks of 0.38 s; then 5 of 1 s with 2 updates of 5 timed.
    tight = plan_blocks(costs, blocks=20, seconds=10)
    assert tight[64] == Blocks(blocks=12, updates=16)
    assert tight[512] == Blocks(blocks=5, updates=2)
    for seconds in (40, 10):
        plan = plan_blocks(costs, blocks=20, seconds=seconds)
        assert sum(one.blocks * (3 + one.updates) * costs[size] for size, one in plan.items()) <= seconds


def test_a_gpu_is_waited_for_before_each_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Event:
        """A GPU's own clock, which says that 8 ms passed."""

        def __init__(self, *, enable_timing: bool) -> None:
            """Keep time."""
            assert enable_timing

        def record(self) -> None:
            """Take the time."""
            told.append("event")

        def elapsed_time(self, _other: "Event") -> float:
            """Return milliseconds."""
            return 8.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: told.append("wait"))
    monkeypatch.setattr(timing, "perf_counter", lambda: told.append("look") or 0.01 * len(told))
    wall, worked = timing._clocked(lambda _: told.append("work"), 4, "cuda")  # noqa: SLF001
    assert told == ["wait", "look", "event", "work", "event", "wait", "look"]
    assert worked == pytest.approx(0.002)
    assert wall > 0


def test_the_timed_sizes_are_the_swept_ones_and_others_that_are_no_powers_of_two() -> None:
    chosen = experiment("mnist-lenet")
    sizes = timed_batch_sizes(chosen)
    assert set(chosen.sweep.batch_sizes) <= set(sizes)
    assert {48, 192, 384} <= set(sizes)
    assert timed_batch_sizes(chosen, "[3, 5]") == (3, 5)


def test_a_task_is_timed_at_the_sizes_of_all_its_learning_rates_but_a_pilot_only_at_its_own() -> None:
    assert {2, 768, 1024} <= set(timed_batch_sizes(experiment("mnist-error-2")))
    adam = timed_batch_sizes(experiment("mnist-error-2-adam-rate-0.001"))
    assert max(adam) == 2048
    assert timed_batch_sizes(experiment("mnist-error-2").changed(batch_sizes=[8, 32])) == (1, 4, 8, 20, 32)


def test_timings_are_found_again_only_for_just_what_was_timed(tmp_path: Path) -> None:
    store, plain = Store(tmp_path), setting()
    name = plain.workload.name
    with pytest.raises(StoreError, match=f"holds no timings of {name} as it is; measure them"):
        store.timing(plain, own=True)
    records = [
        time_updates(plain, batch_sizes=[4, 8], blocks=1),
        time_updates(ADAM, batch_sizes=[4, 8], blocks=1),
        time_updates(plain, batch_sizes=[4, 8], blocks=1, threads=2),
    ]
    with writing(store.timings_file(name)) as writer:
        for record in records:
            writer.append(record)
    assert store.timing(plain, own=True) == records[0] == store.latest_timing(name, own=True)
    assert store.timing(ADAM, own=True) == records[1]
    assert store.timing(plain, own=True, threads=2) == records[2]
    with pytest.raises(StoreError, match=r"the latest there are of another device"):
        store.timing(plain, own=True, threads=2, device="cuda")
    other = replace(plain, workload=replace(plain.workload, model="another"))
    with pytest.raises(StoreError, match=r"the latest there are of another model"):
        store.timing(other, own=True)
    # The target and the step size do not change what an update takes.
    eased = replace(plain.workload, target=replace(plain.workload.target, value=0.5))
    assert store.timing(replace(plain, workload=eased), own=True) == records[0]
