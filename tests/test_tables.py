"""Promises of the tables and phrases."""

from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML, Markdown

from batchtime.book.comparisons import Power, Tuned, arm
from batchtime.book.tables import (
    accuracy_table,
    arms_table,
    cost_table,
    interval_text,
    number_text,
    percent_text,
    pole_table,
    power_text,
    prediction_table,
    ratio_table,
    remarks,
    reports_text,
    runs_table,
    tried_table,
    tuned_table,
    verdict,
)
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome

from .builders import record, runs_on


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((156.2, 194.7), "156 to 195"),
        ((156.2, None), "more than 156"),
        ((None, 194.7), "less than 195"),
        ((None, None), "not bounded"),
    ],
)
def test_an_interval_is_said_as_a_reader_says_it(interval: tuple[float | None, float | None], text: str) -> None:
    assert interval_text(interval) == text


@pytest.mark.parametrize(
    ("value", "text"), [(739.28, "739"), (5035.1, "5,040"), (6.8123, "6.81"), (0.01234, "0.0123"), (1e9, "1e+09")]
)
def test_a_number_keeps_its_significant_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def cells(shown: HTML | Markdown) -> list[list[str]]:
    """Return the text of a table, row by row, its header first."""
    rows = BeautifulSoup(shown.data, "html.parser").find_all("tr")
    return [[cell.get_text().replace("\xa0", " ") for cell in row.find_all(["th", "td"])] for row in rows]


def test_every_run_is_counted_once_under_its_role() -> None:
    chosen = experiment("digits-mlp").changed(batch_sizes=[8, 16], seeds=3)
    records = [record(seed=seed, batch_size=size) for seed in range(3) for size in (8, 16)]
    shown = cells(runs_table(chosen, records, InverseLaw(n_inf=10, alpha=40)))
    assert [row[:3] for row in shown[1:]] == [["8", "fitted", "3 of 3"], ["16", "fitted", "3 of 3"]]
    # The law says 10 + 40 / 8 = 15, and 15 is the middle of every interval (10, 20]; 15 * 8 / 1437 epochs = 0.084.
    assert shown[1][4] == "15"
    assert shown[1][6] == "0.084"


def test_nothing_sealed_is_said_in_words() -> None:
    assert prediction_table([], []).data == "No batch size was sealed for these parameters."


def test_what_is_not_known_is_not_printed_as_a_number() -> None:
    assert percent_text(0.0724) == "7.2 %"
    assert "unknown" in percent_text(None)


def test_no_remark_is_said_in_words() -> None:
    assert remarks([]).data == "The fit raises no warning."
    assert remarks(["a", "b"]).data == "- a\n- b"


CHOSEN = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5)
LAW = InverseLaw(n_inf=100, alpha=1600)


def test_an_arm_is_a_row_with_its_law_or_with_the_word_that_there_is_none() -> None:
    lost = [replace(run, outcome=Outcome(status="censored", lower=9, upper=None)) for run in runs_on(LAW)]
    shown = cells(arms_table([arm(CHOSEN, runs_on(LAW), "one"), arm(CHOSEN, lost, "lost")], "arm"))
    assert shown[0][0] == "arm"
    assert shown[1][:3] == ["one", "15 of 15", "4 to 64"]
    assert shown[1][3].startswith("10")
    assert shown[2][:4] == ["lost", "0 of 15", "", "no law"]


def test_accuracy_and_cost_are_a_row_a_task() -> None:
    sealed = replace(CHOSEN, sealed=(16,))
    one = arm(sealed, runs_on(LAW), "one")
    row = cells(accuracy_table([one]))[1]
    assert row[:3] == ["one", "2, 5 seeds", "4 to 0.25"]
    # Every run was made to need a few updates more than the law of whole numbers.
    assert abs(float(row[6].rstrip("%"))) < 3
    # 15 runs of 20 updates: 20 (4 + 16 + 64) 5 = 8,400 examples in 15 (1 - 0.1) CPU seconds.
    assert cells(cost_table([one]))[1] == ["one", "15", "0", "10.0 %", "622"]


def test_a_verdict_says_how_well_the_law_describes_and_whether_an_arm_is_cut_short() -> None:
    good = arm(CHOSEN, runs_on(LAW), "good")
    cut = arm(CHOSEN, runs_on(InverseLaw(n_inf=400, alpha=1600)), "cut")
    lost = arm(
        CHOSEN, [replace(run, outcome=Outcome(status="censored", lower=9, upper=None)) for run in runs_on(LAW)], "lost"
    )
    lines = verdict([good, cut, lost]).data.split("\n")
    assert lines[0].startswith("- good: within ")
    assert "cut short" not in lines[0]
    assert lines[1].endswith("; its small-batch arm is cut short by the pole.")
    assert lines[2].startswith("- lost: no law (")


def test_what_was_tried_is_what_is_recorded_beside_the_named_runs() -> None:
    named = [replace(run, setting=CHOSEN.sweep.setting) for run in runs_on(LAW)]
    assert "No run with another setting" in tried_table(CHOSEN, named).data
    other = replace(CHOSEN.sweep.setting, learning_rate=LearningRate(maximum=0.5))
    tried = replace(named[0], setting=other, outcome=Outcome(status="diverged", lower=1200, upper=None))
    shown = cells(tried_table(CHOSEN, [*named, tried, replace(named[0], seed=100)]))
    assert shown[1:] == [
        ["0.1", "4", "100", "0.08", "reached", "500 to 501"],
        ["0.5", "4", "0", "0.08", "diverged", "1,200"],
    ]


def test_reports_are_summed_up_and_nothing_is_said_of_none() -> None:
    runs = runs_on(LAW)[:3]
    assert reports_text(runs) is None
    with_scores = [replace(run, reports={"bleu": score}) for run, score in zip(runs, (1.0, 2.0, 6.0), strict=True)]
    said = reports_text(with_scores)
    assert said is not None
    assert "BLEU score was 3.0 on average (1.0 to 6.0, 3 runs)" in said.data


def test_the_pole_is_told_by_the_batch_sizes_at_which_runs_were_lost() -> None:
    lost = Outcome(status="censored", lower=9, upper=None)
    some = [
        replace(run, outcome=lost) if run.batch_size == 4 or (run.batch_size, run.seed) == (16, 0) else run
        for run in runs_on(LAW)
    ]
    shown = cells(pole_table([arm(CHOSEN, some, "some"), arm(CHOSEN, runs_on(LAW), "all")]))
    assert shown[1][:4] == ["some", "4", "16", "4"]
    assert shown[2][2:4] == ["every run reached it", "at least half did everywhere"]


def test_a_power_is_said_with_its_interval_and_its_points() -> None:
    assert power_text(Power(power=-1.02, interval=(-1.1, -0.94), points=4)) == "-1.02 (-1.10 to -0.94; 4 step sizes)"


def test_two_arms_are_compared_run_by_run() -> None:
    shown = cells(ratio_table(arm(CHOSEN, runs_on(LAW), "one"), arm(CHOSEN, runs_on(LAW), "same")))
    assert shown[1:] == [[size, "5", "1.000", "1.00 to 1.00"] for size in ("4", "16", "64")]


def test_a_tuned_step_size_is_compared_with_the_fixed_one() -> None:
    fixed = arm(CHOSEN, runs_on(LAW), "fixed")
    best = [run for run in runs_on(InverseLaw(n_inf=50, alpha=800)) if run.batch_size == 16]
    tuned = [Tuned(batch_size=16, rate=0.5, runs=tuple(best), at_the_edge=True)]
    row = cells(tuned_table(tuned, fixed))[1]
    assert row[:3] == ["16", "0.5 (at the edge)", "5"]
    assert row[5] == "2"
