"""Promises of several learners: real processes that share batches and do what one does."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from batchtime.errors import LearnersError, ParameterError
from batchtime.runs.spec import Optimizer, RunSpec
from batchtime.train.learners import (
    PAYLOADS,
    compare_learners,
    parameters_after,
    run_together,
    time_learners,
    train_together,
)

from .builders import setting


def spec(batch_size: int = 16, seed: int = 0) -> RunSpec:
    return RunSpec(setting=setting(), batch_size=batch_size, seed=seed)


def gather() -> tuple[int, int, list[float]]:
    """Return this learner's rank, its threads, and what all learners said."""
    said = torch.zeros(dist.get_world_size())
    said[dist.get_rank()] = 10.0 + dist.get_rank()
    dist.all_reduce(said)
    return dist.get_rank(), torch.get_num_threads(), said.tolist()


def serve(asked: Sequence[Any], answers: Any) -> None:
    """Be a learner that does one piece of work after the other."""
    rank = dist.get_rank()
    while (task := asked[rank].get()) is not None:
        work, arguments = task
        answers.put((rank, work(*arguments)))


@pytest.fixture(scope="module")
def team() -> Iterator[Callable[..., list[Any]]]:
    """Return `run_together` with two learners that are started once, for a start takes longer than most of the work."""
    context = multiprocessing.get_context("spawn")
    asked, answers = [context.Queue(), context.Queue()], context.Queue()

    def work_together(work: Callable[..., object], *arguments: object, learners: int) -> list[Any]:
        assert learners == len(asked)
        for queue in asked:
            queue.put((work, arguments))
        found = dict(answers.get(timeout=120) for _ in asked)
        return [found[rank] for rank in range(learners)]

    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(run_together, serve, asked, answers, learners=len(asked))
        yield work_together
        for queue in asked:
            queue.put(None)
        running.result(timeout=60)


@pytest.fixture
def started(
    team: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Let two learners be those that have started, and one be this process."""

    def together(work: Callable[..., object], *arguments: object, learners: int) -> list[Any]:
        if learners > 1:
            return team(work, *arguments, learners=learners)
        meeting = tmp_path_factory.mktemp("alone") / "meet"
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
        try:
            return [work(*arguments)]
        finally:
            dist.destroy_process_group()

    monkeypatch.setattr("batchtime.train.learners.run_together", together)


def fail_on_the_second() -> None:
    if dist.get_rank() == 1:
        raise ValueError("no more\nmemory")


def test_learners_are_processes_of_one_thread_that_hear_each_other(team: Callable[..., list[Any]]) -> None:
    assert team(gather, learners=2) == [(rank, 1, [10.0, 11.0]) for rank in range(2)]


@pytest.mark.full
def test_three_learners_hear_each_other() -> None:
    assert run_together(gather, learners=3) == [(rank, 1, [10.0, 11.0, 12.0]) for rank in range(3)]


@pytest.mark.usefixtures("started")
def test_two_learners_do_the_same_updates_and_need_as_many_as_one() -> None:
    both = compare_learners([spec(16, seed) for seed in range(4)] + [spec(64, 4)], learners=2, updates=100)
    assert both.largest_difference < 1e-5  # float32 sums in another order
    assert both.disagreement == 0
    assert both.same >= 4  # a run may cross at the next evaluation by a rounding
    assert all(run.outcome.status == "reached" for run in both.together)


@pytest.mark.usefixtures("started")
def test_learners_that_do_not_average_would_be_seen() -> None:
    alone = parameters_after(spec(16), updates=5, learners=1)[0]
    other = parameters_after(spec(16, seed=1), updates=5, learners=1)[0]
    together = parameters_after(spec(16), updates=5, learners=2)
    assert np.abs(alone - together[0]).max() < 1e-6
    assert np.abs(alone - other).max() > 1e-3


@pytest.mark.usefixtures("started")
def test_momentum_is_the_same_for_two_learners() -> None:
    one = replace(spec(16), setting=replace(setting(), optimizer=Optimizer(momentum=0.9)))
    alone, together = parameters_after(one, updates=20, learners=1)[0], parameters_after(one, updates=20, learners=2)[0]
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.mark.usefixtures("started")
def test_every_way_of_communication_is_timed_and_so_are_all_reduces() -> None:
    found = time_learners(setting().workload, batch_sizes=[8, 64], learners=2, blocks=3)
    assert set(found.timings) == {"compute", "in turn", "overlapped"}
    for timings in found.timings.values():
        assert [(t.batch_size, len(t.wall_seconds), len(t.cpu_seconds)) for t in timings] == [(8, 3, 3), (64, 3, 3)]
    assert [(one.payload_bytes, len(one.seconds)) for one in found.all_reduce] == [(size, 3) for size in PAYLOADS]
    assert found.all_reduce[-1].median_seconds > found.all_reduce[0].median_seconds
    assert found.gradient_bytes == 4 * (64 * 64 + 64 + 64 * 10 + 10)  # the perceptron's weights, 4 bytes each
    alone = time_learners(setting().workload, batch_sizes=[8], learners=1, blocks=2)
    assert set(alone.timings) == {"compute"}
    assert alone.all_reduce == ()


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"batch_sizes = \[15\] .* multiples of the 2 learners"):
        train_together([spec(15)], learners=2)
    with pytest.raises(ParameterError, match="learners = 0"):
        run_together(gather, learners=0)


@pytest.mark.full
def test_a_learner_that_fails_is_named_in_one_line() -> None:
    with pytest.raises(LearnersError, match=r"learner 1 stopped: ValueError: no more memory; try again"):
        run_together(fail_on_the_second, learners=2)
