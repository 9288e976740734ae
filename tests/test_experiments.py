"""Promises of the named sweeps and of how a reader may change them."""

import pytest

from batchtime.experiments import EXPERIMENTS, Experiment, experiment
from batchtime.records import ParameterError
from batchtime.store import Store, data_folder
from batchtime.update_time import BUSY
from batchtime.workloads import build

DIGITS = experiment("digits-mlp")


TASKS = [known for known in EXPERIMENTS.values() if known.variant_of is None]


@pytest.mark.parametrize("known", TASKS, ids=lambda known: known.name)
def test_every_task_seals_two_batch_sizes_inside_its_range(known: Experiment) -> None:
    assert len(known.sealed) == 2
    assert set(known.sealed) <= set(known.sweep.batch_sizes)
    assert min(known.fitted) < min(known.sealed)
    assert max(known.sealed) < max(known.fitted)
    assert set(known.fitted).isdisjoint(known.sealed + known.left_out)


@pytest.mark.parametrize("name", ["digits-mlp", "noisy-quadratic"])
def test_an_experiment_knows_the_number_of_its_training_examples(name: str) -> None:
    known = experiment(name)
    assert len(build(known.workload).train.targets) == known.n_examples


def test_published_results_name_a_commit_that_made_them_and_a_quiet_machine() -> None:
    store = Store(data_folder(), recording=True)
    for path in sorted(data_folder().glob("runs/*.jsonl")):
        runs = store.runs(path.stem)
        assert len({run.spec for run in runs}) == len(runs), f"{path} holds a run twice"
        assert {(run.provenance.dirty, run.provenance.commit is None) for run in runs} == {(False, False)}
    for path in sorted(data_folder().glob("timings/*.jsonl")):
        timing = store.latest_timing(path.stem)
        assert (timing.provenance.dirty, timing.provenance.commit is None) == (False, False)
        assert timing.wall_over_cpu <= BUSY


def test_the_published_mnist_runs_are_the_whole_named_sweep_and_nothing_else() -> None:
    known = experiment("mnist-lenet")
    published = [
        run for run in Store(data_folder(), recording=True).runs("mnist-lenet") if run.spec in set(known.sweep.runs())
    ]
    assert len({run.spec for run in published}) == len(known.sweep.runs())
    assert len(known.fitted + known.sealed) >= 9
    assert {2, 512} <= set(known.fitted)
    assert len(known.sweep.seeds) >= 10


def test_a_published_run_says_what_it_says_of_its_own_evaluations() -> None:
    for run in Store(data_folder()).runs("mnist-lenet"):
        assert run.evaluations.outcome(run.setting.workload.target) == run.outcome


@pytest.mark.parametrize("given", ["[4, 16]", [4, 16], (4, 16)])
def test_batch_sizes_may_be_text_or_a_list(given: str | list[int]) -> None:
    changed = DIGITS.changed(batch_sizes=given)
    assert changed.sweep.batch_sizes == changed.fitted == (4, 16)


@pytest.mark.parametrize("given", [3, "3", [0, 1, 2], "[0, 1, 2]"])
def test_seeds_may_be_a_count_or_a_list(given: int | str | list[int]) -> None:
    assert DIGITS.changed(seeds=given).sweep.seeds == (0, 1, 2)


def test_what_is_not_given_stays() -> None:
    assert DIGITS.changed() == DIGITS
    changed = DIGITS.changed(learning_rate="0.2", target=0.1)
    assert changed.sweep.setting.learning_rate.maximum == 0.2
    assert changed.workload.target.value == 0.1
    assert changed.sealed == DIGITS.sealed


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("batch_sizes", "[0]"),
        ("batch_sizes", "[]"),
        ("batch_sizes", "[1.5]"),
        ("batch_sizes", "[4, 4]"),
        ("batch_sizes", "many"),
        ("batch_sizes", 5),
        ("batch_sizes", "[99999999999999999999]"),
        ("batch_sizes", "[1000001]"),
        ("seeds", 1_000_000_000),
        ("seeds", "[99999999999999999999]"),
        ("seeds", 0),
        ("seeds", "-1"),
        ("seeds", "[-1]"),
        ("seeds", "few"),
        ("learning_rate", 0),
        ("learning_rate", "-0.1"),
        ("learning_rate", "fast"),
        ("target", 5),
        ("target", "nan"),
        ("target", 0),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ParameterError, match=rf"{parameter} = .* is not allowed; allowed: ") as error:
        DIGITS.changed(**{parameter: value})
    assert "\n" not in str(error.value)


def test_a_target_in_no_number_is_answered_with_its_metric_and_range() -> None:
    with pytest.raises(ParameterError, match=r"target = '8%' .* validation error: a fraction of examples, more than 0"):
        DIGITS.changed(target="8%")


def test_a_grid_to_which_no_law_can_be_fitted_is_refused_before_it_is_trained() -> None:
    with pytest.raises(ParameterError, match=r"batch_sizes = \[16\] .* at least two batch sizes"):
        DIGITS.changed(batch_sizes=[16]).check_fittable()
    DIGITS.check_fittable()


def test_an_unknown_workload_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"workload = 'mnits'.*digits-mlp, mnist-lenet, "):
        experiment("mnits")
