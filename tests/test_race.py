"""Promises of the race on the first page: the run in the middle, its own seconds, and a refusal where none arrived."""

import json
from dataclasses import replace

import pytest

from batchtime.book.pages import machines, race
from batchtime.errors import FitError, ParameterError
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome, RunRecord
from batchtime.runs.store import Store, data_folder

SECONDS = {8: 1e-3, 32: 2e-3, 256: 8e-3}


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    """Return the recorded runs of the race's sweep."""
    wanted = set(experiment("mnist-error-2").sweep.runs())
    return [one for one in Store(data_folder(), recording=True).runs("mnist-error-2") if one.spec in wanted]


def test_a_lane_is_the_run_in_the_middle_with_the_seconds_of_its_batch_size(records: list[RunRecord]) -> None:
    for lane in race.lanes(records, SECONDS, [8, 32, 256]):
        counts = sorted(one.outcome.upper or 0 for one in records if one.batch_size == lane.batch_size)
        assert lane.runs == len(counts)
        assert lane.updates == counts[(len(counts) - 1) // 2]
        assert lane.seconds == pytest.approx(lane.updates * SECONDS[lane.batch_size])
        assert lane.points[-1][0] == pytest.approx(lane.seconds)
        assert lane.points[-1][1] <= records[0].setting.workload.target.value
        assert list(lane.points) == sorted(lane.points)


def test_a_batch_size_whose_middle_run_never_arrived_is_refused(records: list[RunRecord]) -> None:
    lost = [replace(one, outcome=Outcome(status="censored", lower=9, upper=None)) for one in records]
    with pytest.raises(FitError, match=r"batch size 8 has .* runs and is timed; race one whose median run"):
        race.lanes(lost, SECONDS, [8])
    with pytest.raises(FitError, match=r"batch size 16 has .* not timed"):
        race.lanes(records, SECONDS, [16])
    with pytest.raises(FitError, match="batch size 7 has 0 runs"):
        race.lanes(records, {7: 1.0}, [7])


def test_the_data_of_the_picture_are_those_of_the_table(records: list[RunRecord]) -> None:
    raced = race.lanes(records, SECONDS, [8, 32, 256])
    told = json.loads(race.data(raced, records[0].setting.workload.target))
    frame = race.table(raced)
    assert [lane["seconds"] for lane in told["lanes"]] == pytest.approx(list(frame["seconds"]))
    assert frame["times_the_winner"].min() == 1.0
    assert told["target"] == records[0].setting.workload.target.value


def test_published_machines_have_both_costs_and_name_their_source() -> None:
    found = machines.fitted({"A card": ("gavel-resnet-50", "V100"), "Another": ("zeus-cifar100-0.5", "V100 at 250 W")})
    assert (found["fixed_seconds"] > 0).all()
    assert (found["seconds_per_example"] > 0).all()
    assert list(found["licence"]) == ["MIT", "Apache-2.0"]
    told = json.loads(machines.data(found))
    assert [one["name"] for one in told] == ["a-card", "another"]
    assert [one["title"] for one in told] == ["published: A card", "published: Another"]


def test_machines_that_nobody_published_are_refused() -> None:
    with pytest.raises(ParameterError, match="no published seconds of 'gavel-resnet-50' on 'abacus'"):
        machines.seconds_of("gavel-resnet-50", "abacus")
