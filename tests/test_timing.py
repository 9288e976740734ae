"""Promises of the measurement of seconds per update."""

import pytest

from batchtime.errors import ParameterError
from batchtime.runs.catalogue import experiment, timed_batch_sizes
from batchtime.train.timing import time_updates

from .builders import setting

WORKLOAD = setting().workload


def test_every_duration_of_every_size_is_kept_in_wall_and_cpu_time() -> None:
    record = time_updates(WORKLOAD, batch_sizes=[64, 1, 48], repeats=4)
    assert [timing.batch_size for timing in record.timings] == [1, 48, 64]
    for timing in record.timings:
        assert len(timing.wall_seconds) == len(timing.cpu_seconds) == 4
        assert min(timing.wall_seconds + timing.cpu_seconds) > 0
    assert record.provenance.threads == 1


def test_a_much_larger_batch_takes_longer() -> None:
    small, large = time_updates(WORKLOAD, batch_sizes=[1, 4096], repeats=5).timings
    assert min(large.cpu_seconds) > min(small.cpu_seconds)


def test_timing_leaves_the_number_of_threads_as_it_was() -> None:
    import torch

    before = torch.get_num_threads()
    time_updates(WORKLOAD, batch_sizes=[1], repeats=1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("sizes", [[], [0], [4, 4]])
def test_impossible_batch_sizes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ParameterError, match="batch_sizes"):
        time_updates(WORKLOAD, batch_sizes=sizes, repeats=1)


def test_the_timed_sizes_are_the_swept_ones_and_others_that_are_no_powers_of_two() -> None:
    chosen = experiment("mnist-lenet")
    sizes = timed_batch_sizes(chosen)
    assert set(chosen.sweep.batch_sizes) <= set(sizes)
    assert {48, 192, 384} <= set(sizes)
    assert timed_batch_sizes(chosen, "[3, 5]") == (3, 5)
