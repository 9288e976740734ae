"""Promises of the exercises: enough of them for each chapter, hidden solutions that are right, commands that run."""

import re
from pathlib import Path

import pytest

from batchtime.book import rerun
from batchtime.book.pages import implications
from batchtime.laws import scaling
from batchtime.laws.time import AllReduceTime, TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.plan.simulation import expected_bias
from batchtime.runs.records import Evaluations, StudyDesign
from batchtime.runs.spec import Target
from batchtime.theory import bounds
from tests.teaching import check_command, commands, shell_lines

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "notebooks").glob("exercises-*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
CHAPTERS = {
    *("trade-off", "updates", "tasks", "converged", "scrutiny"),
    *("update-time", "training-time", "learners"),
    *("bound", "noise-scale"),
    *("implications", "limits"),
}
STATEMENT = re.compile(r"`{3,}\{exercise(?:-start)?\} ([ABC])\. (.+)\n:label: (ex-[\w-]+)\n")


def test_every_chapter_has_exercises_and_all_grades_occur() -> None:
    groups = re.split(r"^\(exercises-([\w-]+)\)=$", TEXT, flags=re.MULTILINE)[1:]
    grades = {chapter: STATEMENT.findall(text) for chapter, text in zip(groups[::2], groups[1::2], strict=True)}
    assert set(grades) == CHAPTERS
    assert min(len(found) for found in grades.values()) >= 2
    assert len(STATEMENT.findall(TEXT)) >= 24
    each = [grade for grade, _, _ in STATEMENT.findall(TEXT)]
    assert min(each.count(grade) for grade in "ABC") >= 8


def test_every_exercise_has_a_title_with_a_grade_and_one_hidden_solution() -> None:
    labels = [label for _, _, label in STATEMENT.findall(TEXT)]
    assert len(re.findall(r"`{3,}\{exercise(?:-start)?\}", TEXT)) == len(labels) == len(set(labels))
    solved = re.findall(r"`{3,}\{solution(?:-start)?\} (ex-[\w-]+)\n:label: sol-[\w-]+\n:class: dropdown\n", TEXT)
    assert sorted(solved) == sorted(labels)


def test_every_prediction_comes_with_a_command_or_a_page_to_compare_with() -> None:
    predictions = [part for part in re.split(r"`{3,}\{exercise", TEXT) if "*Predict" in part.split("{solution")[0]]
    assert len(predictions) >= 8
    assert sum("```sh" in part for part in predictions) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_program_takes_every_command(page: Path) -> None:
    found = commands(page.read_text(encoding="utf-8"))
    assert len(found) == shell_lines(page) > 0
    for words in found:
        check_command(words)


@pytest.mark.parametrize(
    ("sheet", "parameters"),
    [
        ("exercises-seconds", {"workload": "cifar10-cnn"}),
        ("exercises-law", {"workload": "cifar10-cnn", "easy": 0.6}),  # as the page for teachers says
    ],
)
def test_a_teacher_can_make_the_sheet_for_another_task(
    sheet: str, parameters: dict[str, object], tmp_path: Path
) -> None:
    executed = tmp_path / "sheet.ipynb"
    rerun.execute(ROOT / "notebooks" / f"{sheet}.md", executed, parameters)
    assert "cifar10-cnn" in executed.read_text(encoding="utf-8")


# The answers that are exact consequences of the numbers in a statement, each by another way than its page


def test_twice_the_batch() -> None:
    law = InverseLaw(n_inf=100, alpha=100 * 8)
    saved = [1 - law.updates(2 * size) / law.updates(size) for size in (4.0, 8.0, 16.0)]
    assert saved == pytest.approx([1 / 3, 1 / 4, 1 / 6])


def test_at_the_critical_batch_size_both_are_twice_their_least() -> None:
    law = InverseLaw(n_inf=100, alpha=800)
    assert (law.updates(8.0), law.examples(8.0)) == (200, 1600)


def test_three_rules_read_one_run_in_three_ways() -> None:
    errors = (0.30, 0.12, 0.09, 0.13, 0.095, 0.09, 0.11)
    run = Evaluations(updates=(100, 105, 110, 116, 122, 128, 134), metrics={"error": errors})
    read = [run.outcome(Target(metric="error", value=0.10, hold=hold)) for hold in (1, 2, 3)]
    assert [(one.lower, one.upper) for one in read] == [(105, 110), (116, 122), (134, None)]


def test_rare_evaluations_add_half_their_distance() -> None:
    assert expected_bias(StudyDesign(evaluated="by updates", every=50)) == ("n_inf", 25)
    assert expected_bias(StudyDesign(evaluated="by examples", every=1000)) == ("alpha", 500)
    assert round(4000 / (300 + 25), 1) == 12.3
    assert (4000 + 500) / 300 == 15


def four_numbers() -> TrainingTime:
    """Return the training time of the exercises' four round numbers."""
    return TrainingTime(
        law=InverseLaw(n_inf=1000, alpha=16_000), update_time=UpdateTime(fixed_seconds=4e-3, seconds_per_example=1e-5)
    )


def test_four_numbers_have_the_optimum_that_a_search_finds() -> None:
    times = {size: (1000 + 16_000 / size) * (4e-3 + 1e-5 * size) for size in range(1, 1000)}
    assert min(times, key=lambda size: times[size]) == 80
    assert [times[40], times[80], times[160]] == pytest.approx([6.16, 5.76, 6.16])
    assert four_numbers().least_seconds == pytest.approx(5.76)


def test_a_factor_costs_at_most_what_is_said() -> None:
    assert max((k + 1 / k - 2) / 4 for k in (0.5, 2.0)) == 0.125
    k = 1.558
    assert (k + 1 / k - 2) / 4 == pytest.approx(0.05, abs=1e-4)


def test_four_learners_tie_and_the_ring_eats_the_saving() -> None:
    def seconds(size: float, exchange: float) -> float:
        return (1000 + 16_000 / size) * (4e-3 + exchange + 1e-5 * size / 4)

    assert [seconds(80, 0), seconds(320, 0), seconds(160, 0)] == pytest.approx([5.04, 5.04, 4.84])
    exchange = 6 * 20e-6 + 1.5e-3
    ring = scaling.Network(all_reduce=AllReduceTime(latency_seconds=20e-6, seconds_per_byte=1e-9), payload_bytes=1e6)
    joined = scaling.with_learners(four_numbers(), 4, ring)
    assert joined.optimal_batch_size == pytest.approx(189.65, abs=0.01)
    assert joined.least_seconds == pytest.approx(min(seconds(size, exchange) for size in range(100, 300)), rel=1e-5)
    assert joined.least_seconds > 5.76


def test_the_bound_by_hand() -> None:
    constants = bounds.Constants(smoothness=1, curvature=0.05, noise_variance=1, distance=1, start=1, gap=0.01)
    theorem = bounds.AveragedIterate(constants=constants)
    assert theorem.updates(5, 0.1) == float("inf")
    assert theorem.updates(11, 0.1) == pytest.approx(500 / (1 - 5.5 / 11))
    assert theorem.law(0.1).updates(11.0) == pytest.approx(500 + 2750 / 11)
    enough, needed = bounds.LastIterate(constants=constants).harmonic()[1], bounds.necessary(constants)
    assert (enough.n_inf / needed.n_inf, enough.alpha / needed.alpha) == pytest.approx((5.1, 184), rel=0.01)


def test_two_offers() -> None:
    offers = implications.machines(four_numbers())
    assert offers["twice as fast per example"].least_seconds == pytest.approx((2 + 0.4 / 2**0.5) ** 2)
    assert offers["half the fixed cost"].least_seconds == pytest.approx((2 / 2**0.5 + 0.4) ** 2)
    assert [one.optimal_batch_size for one in offers.values()] == pytest.approx([80, 113.1, 56.6, 80], abs=0.05)
