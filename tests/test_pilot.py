"""Promises of a pilot: priced before it begins, trained once, and answered as tables are."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchtime import cli
from batchtime.book.pages import own_model
from batchtime.errors import ParameterError
from batchtime.fit.advice import recommend
from batchtime.plan import pilot
from batchtime.plan.price import Estimate
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store
from batchtime.train.own import own_experiment

REGRESSION = "batchtime.train.samples.regression:regression"
pytestmark = pytest.mark.usefixtures("in_this_process")


def test_a_pilot_is_two_ends_and_a_middle_with_three_seeds() -> None:
    chosen = pilot.pilot_of(experiment("mnist-lenet"))
    assert chosen.sweep.batch_sizes == (1, 16, 512)
    assert chosen.sweep.seeds == (0, 1, 2)
    with pytest.raises(ParameterError, match="two ends and a middle"):
        pilot.pilot_of(experiment("mnist-lenet").changed(batch_sizes=[4, 16]))


def test_a_pilot_is_priced_before_it_begins_and_trained_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    chosen = own_experiment(REGRESSION, batch_sizes=[2, 8, 64]).changed(seeds=4)
    told: list[tuple[Estimate, int]] = []

    def tell(price: Estimate) -> None:
        told.append((price, len(store.runs(chosen.name))))

    first = pilot.pilot(chosen, store=store, cpu_time=True, learners=(1, 2), tell_price=tell)
    assert [(price.n_missing, recorded) for price, recorded in told] == [(12, 0)]
    assert told[0][0].cpu_seconds > 0
    assert len(first.records) == len(store.runs(chosen.name)) == 12
    assert [one.learners for one in first.recommendations] == [1, 2]
    again = pilot.pilot(chosen, store=store, cpu_time=True, tell_price=tell)
    assert told[1][0].n_missing == 0
    assert again.records == first.records
    # The answer is that of the same runs and timings given as tables.
    by_cpu = [replace(one, wall_seconds=one.cpu_seconds) for one in chosen.relevant(again.timing.timings)]
    assert again.best == recommend(chosen.fit_observations(again.records), by_cpu)
    assert own_model.in_words(again.best).startswith(("batch size ", "no recommendation. "))


def test_a_pilot_from_the_command_line_tells_its_price_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["recommend", REGRESSION, "--pilot", "--json", "--data", str(tmp_path)])
    out, err = capsys.readouterr()
    assert "this pilot will cost" in err.splitlines()[0]
    assert code == (2 if '"refused": true' in out else 0)
    assert len(Store(tmp_path).runs(own_experiment(REGRESSION).name)) == 9
