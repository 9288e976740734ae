"""Machines that wait for their loader, for launches or for memory, told apart by their timed updates."""

import pytest

from batchtime.fit.bound_by import bound_by
from batchtime.fit.measurements import UpdateTiming


def timed(seconds: dict[int, float], loading: float = 0.0) -> list[UpdateTiming]:
    """Return timings whose loading takes a share of each update."""
    return [
        UpdateTiming(
            batch_size=size,
            wall_seconds=(one, one, one),
            cpu_seconds=(one, one, one),
            loading_seconds=(loading * one,) if loading else (),
        )
        for size, one in seconds.items()
    ]


LINE = {size: 0.001 + 0.001 * size for size in (1, 4, 16, 64, 256)}


def test_a_machine_that_works_for_each_example_has_no_name() -> None:
    assert bound_by(timed(LINE)) == []
    assert bound_by([]) == []


@pytest.mark.parametrize(("share", "kinds"), [(0.6, ["loader-bound"]), (0.4, [])])
def test_a_loader_that_takes_half_of_an_update_is_named(share: float, kinds: list[str]) -> None:
    found = bound_by(timed(LINE, loading=share))
    assert [one.kind for one in found] == kinds
    assert all(f"{100 * share:.0f} %" in one.text for one in found)


def test_updates_that_stay_flat_over_eight_times_the_batch_are_launch_bound() -> None:
    gpu = {1: 0.010, 8: 0.0102, 64: 0.0108, 128: 0.014, 512: 0.04}
    (found,) = bound_by(timed(gpu))
    assert (found.kind, found.batch_sizes) == ("launch-bound", (1, 128))
    assert "128 examples takes 1.40 times" in found.text
    assert bound_by(timed({1: 0.010, 4: 0.0102, 64: 0.1})) == []


def test_examples_that_become_slower_are_memory_bound() -> None:
    (found,) = bound_by(timed({**LINE, 1024: 1.4 * 1.025}))
    assert (found.kind, found.batch_sizes) == ("memory-bound", (256, 1024))
    assert "1.40 times" in found.text
    assert bound_by(timed({**LINE, 1024: 1.1 * 1.025})) == []
