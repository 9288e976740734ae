"""Promises of the named sweeps and of how a reader may change them."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from batchtime.errors import ParameterError
from batchtime.fit.update_time import BUSY
from batchtime.plan.verify import check_runs, compare
from batchtime.runs.catalogue import (
    EXPERIMENTS,
    changed_all,
    experiment,
    optimizer_arms,
    rate_arms,
    sampling_arms,
    tasks,
)
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import total_cost
from batchtime.runs.store import Store, data_folder
from batchtime.train.sweep import recorded, train
from batchtime.train.workloads import build

DIGITS = experiment("digits-mlp")


TASKS = [known for known in EXPERIMENTS.values() if known.variant_of is None]


@pytest.mark.parametrize("known", TASKS, ids=lambda known: known.name)
def test_every_task_seals_two_batch_sizes_inside_its_range(known: Experiment) -> None:
    assert len(known.sealed) == 2
    assert set(known.sealed) <= set(known.sweep.batch_sizes)
    # Inside of what was swept: where sizes near the pole are left out, the least sealed one may lie below the fit.
    assert min(known.sweep.batch_sizes) < min(known.sealed)
    assert max(known.sealed) < max(known.fitted)
    assert set(known.fitted).isdisjoint(known.sealed + known.left_out)


@pytest.mark.parametrize(
    "known",
    # The other two are read in some seconds each.
    [
        pytest.param(known, marks=pytest.mark.full if known.name in ("cifar100-cnn", "europarl-gru") else ())
        for known in TASKS
    ],
    ids=lambda known: known.name,
)
def test_a_task_knows_its_examples_and_parameters(known: Experiment, request: pytest.FixtureRequest) -> None:
    if known.workload.dataset.startswith(("mnist", "cifar", "europarl")):
        request.getfixturevalue("data_sets")
    assert len(build(known.workload).train.targets) == known.n_examples
    assert known.description
    for number in re.findall(r"[0-9,]+(?= parameters)", known.description):
        parameters = sum(parameter.numel() for parameter in build(known.workload).model().parameters())
        assert parameters == int(number.replace(",", ""))


@pytest.mark.parametrize("known", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_a_variant_differs_from_its_task_in_the_step_and_in_nothing_else(known: Experiment) -> None:
    if known.variant_of is not None:
        task, own = experiment(known.variant_of), known.sweep.setting
        same = replace(own, **{name: getattr(task.sweep.setting, name) for name in ("optimizer", "sampling")})
        assert replace(same, learning_rate=task.sweep.setting.learning_rate) == task.sweep.setting
        assert own != task.sweep.setting
        assert set(known.sweep.seeds) <= set(task.sweep.seeds)


def test_published_results_name_a_commit_that_made_them_and_a_quiet_machine() -> None:
    store = Store(data_folder(), recording=True)
    for path in sorted(data_folder().glob("runs/*.jsonl")):
        runs = store.runs(path.stem)
        assert len({run.spec for run in runs}) == len(runs), f"{path} holds a run twice"
        assert {(run.provenance.dirty, run.provenance.commit is None) for run in runs} == {(False, False)}
    for name in sorted(EXPERIMENTS.keys() & {path.stem for path in data_folder().glob("timings/*.jsonl")}):
        timing = store.latest_timing(name)
        assert (timing.provenance.dirty, timing.provenance.commit is None) == (False, False)
        assert timing.wall_over_cpu <= BUSY


PUBLISHED = sorted(path.stem for path in data_folder().glob("runs/*.jsonl"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_sweep_is_whole_and_says_what_its_evaluations_say(name: str) -> None:
    check_runs(name, Store(data_folder(), recording=True).runs(name))


@pytest.mark.parametrize(("title", "known"), tasks().items())
def test_a_recorded_task_spans_two_decades_with_nine_batch_sizes_and_at_least_six_seeds(
    title: str, known: Experiment
) -> None:
    assert known.name in PUBLISHED
    assert len(known.sweep.batch_sizes) >= 9
    assert max(known.sweep.batch_sizes) >= 100 * min(known.sweep.batch_sizes)
    assert len(known.sweep.seeds) >= (6 if title == "Europarl" else 10)
    assert known.sweep.setting.learning_rate.half_batch_size == 0


@pytest.mark.parametrize(("title", "known"), tasks().items())
def test_evaluation_took_at_most_a_tenth_of_a_recorded_task(title: str, known: Experiment) -> None:
    cost = total_cost(recorded(known.sweep, name=known.name, store=Store(data_folder(), recording=True)))
    assert cost.evaluation_share <= 0.105, title  # a tenth, to the digit that is said


@pytest.mark.usefixtures("data_sets")
@pytest.mark.parametrize(
    "name",
    # Runs of a second or two; the others take minutes together.
    [
        name if name in ("mnist-lenet", "mnist-logistic") else pytest.param(name, marks=pytest.mark.full)
        for name in PUBLISHED
    ],
)
def test_a_published_run_comes_out_again(name: str) -> None:
    runs = Store(data_folder(), recording=True).runs(name)
    often = Counter((run.setting, run.batch_size) for run in runs)
    # Beside three others a run on another processor can be judged.
    judged = [run for run in runs if often[run.setting, run.batch_size] > 3 and run.outcome.status == "reached"]
    cheapest = min(judged, key=lambda run: run.cost.cpu_seconds)
    assert compare(cheapest, train(cheapest.spec), runs) in ("the same", "within the spread")


@pytest.mark.parametrize(
    ("arms", "known"),
    [(rate_arms, "cifar10-cnn, .*mnist-lenet"), (optimizer_arms, "mnist-lenet"), (sampling_arms, "mnist")],
)
def test_a_task_that_was_not_swept_in_some_way_is_answered_with_those_that_were(
    arms: Callable[[str], dict[str, Experiment]], known: str
) -> None:
    with pytest.raises(ParameterError, match=rf"workload = 'digits-mlp' .* allowed: swept .*{known}"):
        arms("digits-mlp")
    found = arms("mnist-lenet")
    assert experiment("mnist-lenet") in found.values()
    assert {one.variant_of for one in found.values()} == {None, "mnist-lenet"}


def test_the_arms_of_step_sizes_go_up() -> None:
    rates = [one.sweep.setting.learning_rate.maximum for one in rate_arms("mnist-lenet").values()]
    assert rates == sorted(set(rates))
    assert len(rates) >= 3
    assert all(len(one.sweep.seeds) == 2 for one in changed_all(rate_arms("mnist-lenet"), seeds=2).values())


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


def test_an_unknown_workload_is_refused_with_those_of_like_names() -> None:
    with pytest.raises(
        ParameterError, match=r"workload = 'mnist-lent'.*`batchtime workloads` lists \(mnist-lenet.*\?\)"
    ):
        experiment("mnist-lent")
