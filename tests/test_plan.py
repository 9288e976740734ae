"""Promises of the price of a sweep: it is about what the sweep then costs, and says when it knows only a bound."""

import pytest

from batchtime.plan.price import estimate
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import RunRecord, total_cost
from batchtime.runs.store import Store
from batchtime.train.sweep import complete

DIGITS = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=4)


@pytest.fixture(scope="module")
def records(in_this_process: None, tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:  # noqa: ARG001
    """Return the runs of the sweep."""
    return complete(DIGITS.sweep, name="digits-mlp", store=Store(tmp_path_factory.mktemp("data")))


def test_without_recorded_runs_the_budget_bounds_the_price() -> None:
    found = estimate(DIGITS, [])
    assert found.at_most
    assert found.n_runs == found.n_missing == 12
    assert found.cpu_seconds == found.missing_cpu_seconds > 0


def test_a_recorded_sweep_is_priced_by_its_updates_and_costs_nothing_more(records: list[RunRecord]) -> None:
    found = estimate(DIGITS, records)
    assert not found.at_most
    assert (found.n_missing, found.missing_cpu_seconds) == (0, 0)
    # A factor of three: the machine may be busy with something else in one of the two measurements.
    assert 1 / 3 < found.cpu_seconds / total_cost(records).cpu_seconds < 3


def test_batch_sizes_without_runs_are_priced_by_the_law_of_the_others(records: list[RunRecord]) -> None:
    wider = DIGITS.changed(batch_sizes=[4, 8, 16, 64])
    found = estimate(wider, records)
    assert not found.at_most
    assert found.n_missing == 4
    assert 0 < found.missing_cpu_seconds < found.cpu_seconds


def test_a_sweep_of_one_batch_size_has_a_price() -> None:
    found = estimate(DIGITS.changed(batch_sizes=[16]), [])
    assert found.cpu_seconds == pytest.approx(found.missing_cpu_seconds)
