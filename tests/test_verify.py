"""Promises of verification: what is wrong with recorded runs is named, and a rerun that differs is seen."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from batchtime.errors import VerificationError
from batchtime.plan import verify
from batchtime.plan.verify import check_runs, rerun_sample
from batchtime.runs.records import Evaluations, Outcome, RunRecord
from batchtime.runs.spec import SweepSpec
from batchtime.runs.store import Store
from batchtime.train.sweep import complete

from .builders import setting

SWEEP = SweepSpec(setting=setting(), batch_sizes=(8, 32), seeds=tuple(range(6)))
pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def trained(in_this_process: None, tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:  # noqa: ARG001
    """Return real runs, as if made from a clean checkout."""
    runs = complete(SWEEP, name="a", store=Store(tmp_path_factory.mktemp("data")))
    return [published(run) for run in runs]


def published(run: RunRecord) -> RunRecord:
    """Return a run that names a commit."""
    return replace(run, provenance=replace(run.provenance, commit="0" * 40, dirty=False))


@pytest.fixture
def _any_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every commit for known."""
    monkeypatch.setattr(verify, "_known_commits", lambda records: {str(r.provenance.commit) for r in records})


def test_runs_that_are_trained_again_on_the_same_machine_come_out_the_same(trained: list[RunRecord]) -> None:
    found = rerun_sample(trained, runs=4, seed=1, workers=2)
    assert [seen.verdict for seen in found] == ["the same"] * 4
    assert len({seen.recorded.spec for seen in found}) == 4
    assert all(seen.again.spec == seen.recorded.spec for seen in found)


def on_another_machine(run: RunRecord) -> RunRecord:
    """Return a run as another processor made it."""
    return replace(run, provenance=replace(run.provenance, cpu="another one"))


def shifted(run: RunRecord, factor: float) -> RunRecord:
    """Return a run that needed another number of updates."""
    updates = tuple(round(n * factor) + k for k, n in enumerate(run.evaluations.updates))
    evaluations = Evaluations(updates=updates, metrics=run.evaluations.metrics)
    return replace(run, evaluations=evaluations, outcome=evaluations.outcome(run.setting.workload.target))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda run: shifted(run, 1.02), "not the same"),
        (lambda run: on_another_machine(shifted(run, 1.02)), "within the spread"),
        (lambda run: on_another_machine(shifted(run, 10)), "not the same"),
        (on_another_machine, "the same"),
    ],
)
def test_a_run_that_comes_out_otherwise_is_judged_by_the_machine_that_made_it(
    trained: list[RunRecord], change: Callable[[RunRecord], RunRecord], verdict: str
) -> None:
    first, others = trained[0], trained[1:]
    (found,) = rerun_sample([change(first), *others], runs=1, seed=seed_that_draws(0, len(trained)), workers=1)
    assert found.recorded.spec == first.spec
    assert found.verdict == verdict


def seed_that_draws(position: int, count: int) -> int:
    """Return a seed with which a sample of one is this one."""
    seeds = range(10_000)
    return next(seed for seed in seeds if random.Random(seed).sample(range(count), 1) == [position])  # noqa: S311


def test_a_run_that_is_no_longer_reached_on_another_machine_is_not_within_the_spread(trained: list[RunRecord]) -> None:
    lost = replace(on_another_machine(trained[0]), outcome=replace(trained[0].outcome, status="censored", upper=None))
    changed = replace(lost, evaluations=replace(lost.evaluations, updates=(0, *lost.evaluations.updates[1:])))
    (found,) = rerun_sample([changed, *trained[1:]], runs=1, seed=seed_that_draws(0, len(trained)), workers=1)
    assert found.verdict == "not the same"


@pytest.mark.usefixtures("_any_commit")
def test_whole_runs_are_passed(trained: list[RunRecord]) -> None:
    check_runs("a", trained)


@pytest.mark.usefixtures("_any_commit")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda runs: [*runs, runs[3]], "batch size 8, seed 3 is there twice"),
        (
            lambda runs: [replace(runs[0], outcome=Outcome(status="reached", lower=1, upper=2)), *runs[1:]],
            "batch size 8, seed 0 says reached at 2, which its evaluations do not",
        ),
        (
            lambda runs: [*runs[:-1], replace(runs[-1], provenance=replace(runs[-1].provenance, commit=None))],
            "batch size 32, seed 5 names no commit",
        ),
        (
            lambda runs: [*runs[:-1], replace(runs[-1], provenance=replace(runs[-1].provenance, dirty=True))],
            "batch size 32, seed 5 names no commit",
        ),
    ],
)
def test_what_is_wrong_with_recorded_runs_is_named(
    trained: list[RunRecord], damage: Callable[[Sequence[RunRecord]], Sequence[RunRecord]], reason: str
) -> None:
    with pytest.raises(VerificationError, match=rf"runs of a: {reason}.*; restore the file"):
        check_runs("a", damage(trained))


@pytest.mark.usefixtures("_any_commit")
def test_a_named_sweep_with_a_line_deleted_is_refused() -> None:
    published_runs = Store(Path(__file__).parents[1] / "data", recording=True).runs("mnist-lenet")
    check_runs("mnist-lenet", published_runs)
    with pytest.raises(VerificationError, match="1 of 280 are missing"):
        check_runs("mnist-lenet", published_runs[1:])


def test_a_commit_that_is_not_in_the_history_is_named(root: Path, trained: list[RunRecord]) -> None:
    if not (root / ".git").exists():
        pytest.fail("the tests run in a checkout, whose history says which commits there are")
    with pytest.raises(VerificationError, match=f"the commit {'0' * 40} that made some is not in"):
        check_runs("a", trained)
