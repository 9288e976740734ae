"""Promises of the tables and phrases: a frame of numbers is shown by what its numbers are, and nothing is made up."""

from dataclasses import replace

import pandas as pd
import pytest

from batchtime.book import comparisons, frames
from batchtime.book.comparisons import Power, Tuned, arm, power_text
from batchtime.book.show import UNKNOWN, either_or, listed, p_text, percent_text, show
from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.quantity import estimate_text, interval_text, number_text
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome

from .builders import cells, record, runs_on

CHOSEN = experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5)
LAW = InverseLaw(n_inf=100, alpha=1600)
LOST = [replace(run, outcome=Outcome(status="censored", lower=9, upper=None)) for run in runs_on(LAW)]


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
    assert estimate_text(170.2, interval) == f"170 ({text})"


@pytest.mark.parametrize(
    ("value", "text"), [(739.28, "739"), (5035.1, "5,040"), (6.8123, "6.81"), (0.01234, "0.0123"), (1e9, "1e+09")]
)
def test_a_number_keeps_its_significant_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_column_is_written_by_what_its_numbers_are() -> None:
    frame = pd.DataFrame(
        {
            "batch_size": [8],
            "n_inf": [739.28],
            "n_inf_low": [691.0],
            "n_inf_high": [None],
            "error": [0.0724],
            "evaluation_share": [0.0724],
            "least_seconds": [12.345],
            "median_milliseconds": [0.0012],
            "budget": [20000],
            "holds": [True],
        }
    )
    head, row = cells(show(frame))
    assert row == [
        "8", "739 (more than 691)", "+7.2 %", "7.2 %", "12.3", "1.2", "20,000", "yes"
    ]  # fmt: skip
    assert head[0] == "M"
    assert head[1].startswith("n\N{INFINITY}")  # the letter of the text, and not the name of a variable
    assert "n_inf" not in "".join(head)
    assert cells(show(frame, batch_size="examples"))[0][0] == "examples"


def test_two_sides_without_a_middle_are_an_interval() -> None:
    frame = pd.DataFrame({"within_5_percent_low": [8.0, None], "within_5_percent_high": [26.1, 7.0]})
    assert cells(show(frame)) == [["within 5 percent"], ["8 to 26.1"], ["less than 7"]]


def test_what_is_not_known_is_not_printed_as_a_number() -> None:
    frame = pd.DataFrame({"updates": [None, 15.0], "updates_low": [None, 9.0], "updates_high": [None, None]})
    assert cells(show(frame))[1:] == [[UNKNOWN], ["15 (more than 9)"]]
    assert percent_text(0.0724) == "7.2 %"
    assert "unknown" in percent_text(None)
    assert (p_text(None), p_text(1e-9)) == ("not known", "less than 0.001")


def test_words_of_a_table_are_text_and_no_markup() -> None:
    shown = show(pd.DataFrame({"task": ["<b>&"], "quantity": ["alpha"]}))
    assert "<b>" not in shown.data
    assert cells(shown)[1] == ["<b>&", "\N{GREEK SMALL LETTER ALPHA}"]


def test_no_remark_is_said_in_words() -> None:
    assert listed([]).data == "The fit raises no warning."
    assert listed(["a", "b"]).data == "- a\n- b"
    assert either_or(["a", "b", "c"]) == "a, b or c"


def test_every_run_is_counted_once_under_its_role() -> None:
    chosen = experiment("digits-mlp").changed(batch_sizes=[8, 16], seeds=3)
    records = [record(seed=seed, batch_size=size) for seed in range(3) for size in (8, 16)]
    frame = frames.by_batch_size(chosen, records, InverseLaw(n_inf=10, alpha=40))
    assert list(frame["runs_are"]) == ["fitted", "fitted"]
    assert list(frame["reached"]) == [3, 3]
    # The law says 10 + 40 / 8 = 15, and 15 is the middle of every interval (10, 20]; 15 * 8 / 1437 epochs = 0.084.
    first = frame.iloc[0]
    assert (first["law"], round(first["epochs"], 3)) == (15, 0.084)
    assert first["error"] == pytest.approx(15 / first["updates"] - 1)


def test_a_frame_of_runs_has_every_run_with_what_is_known_of_it() -> None:
    seen = [run.observation() for run in (*runs_on(LAW)[:2], LOST[0])]
    frame = frames.runs({"fitted": seen[:2], "left out": seen[2:]})
    assert list(frame["updates_lower"]) == [run.lower for run in seen]
    assert list(frame["censored"]) == [False, False, True]
    assert frame["updates"].iloc[2] == 9
    assert pd.isna(frame["updates_upper"].iloc[2])
    assert frames.runs({"fitted": []}).empty


def test_an_arm_is_a_row_with_its_law_or_without_one() -> None:
    frame = frames.laws([arm(CHOSEN, runs_on(LAW), "one"), arm(CHOSEN, LOST, "lost")])
    assert list(frame["reached"]) == [15, 0]
    assert frame["n_inf"].iloc[0] == pytest.approx(100, rel=0.1)
    assert frame["n_inf_low"].iloc[0] < 100 < frame["n_inf_high"].iloc[0] + 5
    assert cells(show(frame, label="arm"))[2] == ["lost", "15", "0", *[UNKNOWN] * 5]


def test_accuracy_and_cost_are_a_row_a_task() -> None:
    one = arm(replace(CHOSEN, sealed=(16,)), runs_on(LAW), "one")
    row = frames.accuracy([one]).iloc[0]
    assert (row["batch_sizes"], row["seeds"]) == (2, 5)
    # alpha / M over n_inf is 16 / 4 at the least and 16 / 64 at the greatest batch size.
    assert (row["noise_over_floor_high"], row["noise_over_floor_low"]) == pytest.approx((4, 0.25), rel=0.05)
    # Every run was made to need a few updates more than the law of whole numbers.
    assert abs(row["sealed_error_low"]) < 0.03
    # 15 runs of 20 updates: 20 (4 + 16 + 64) 5 = 8,400 examples in 15 (1 - 0.1) CPU seconds.
    cost = frames.costs([one]).iloc[0]
    assert (cost["runs"], cost["CPU minutes"], cost["evaluation_share"]) == (15, 0.25, pytest.approx(0.1))
    assert cost["examples a CPU second"] == pytest.approx(8400 / 13.5)


def test_a_verdict_says_how_well_the_law_describes_and_whether_an_arm_is_cut_short() -> None:
    good = arm(CHOSEN, runs_on(LAW), "good")
    cut = arm(CHOSEN, runs_on(InverseLaw(n_inf=400, alpha=1600)), "cut")
    lines = comparisons.verdict([good, cut, arm(CHOSEN, LOST, "lost")])
    assert lines[0].startswith("good: within ")
    assert "cut short" not in lines[0]
    assert lines[1].endswith("; its small-batch arm is cut short by the pole.")
    assert lines[2].startswith("lost: no law (")


def test_what_was_tried_is_what_is_recorded_beside_the_named_runs() -> None:
    named = [replace(run, setting=CHOSEN.sweep.setting) for run in runs_on(LAW)]
    assert frames.tried(CHOSEN, named).empty
    other = replace(CHOSEN.sweep.setting, learning_rate=LearningRate(maximum=0.5))
    tried = replace(named[0], setting=other, outcome=Outcome(status="diverged", lower=1200, upper=None))
    frame = frames.tried(CHOSEN, [*named, tried, replace(named[0], seed=100)])
    assert list(frame["learning_rate"]) == [0.1, 0.5]
    assert list(frame["seed"]) == [100, 0]
    assert [row[-1] for row in cells(show(frame))[1:]] == ["500 to 501", "more than 1,200"]


def test_reports_are_summed_up_and_nothing_is_said_of_none() -> None:
    runs = runs_on(LAW)[:3]
    assert comparisons.reports(runs) == []
    with_scores = [replace(run, reports={"bleu": score}) for run, score in zip(runs, (1.0, 2.0, 6.0), strict=True)]
    (said,) = comparisons.reports(with_scores)
    assert "BLEU score was 3.0 on average (1.0 to 6.0, 3 runs)" in said


def test_the_pole_is_told_by_the_batch_sizes_at_which_runs_were_lost() -> None:
    lost = Outcome(status="censored", lower=9, upper=None)
    some = [
        replace(run, outcome=lost) if run.batch_size == 4 or (run.batch_size, run.seed) == (16, 0) else run
        for run in runs_on(LAW)
    ]
    frame = frames.poles([arm(CHOSEN, some, "some"), arm(CHOSEN, runs_on(LAW), "all")])
    assert (frame["some_lost"].iloc[0], frame["most_lost"].iloc[0]) == (16, 4)
    assert frame[["some_lost", "most_lost"]].iloc[1].isna().all()


def test_a_power_is_said_with_its_interval_and_its_points() -> None:
    found = Power(power=-1.02, interval=(-1.1, -0.94), points=4)
    assert power_text(found) == "-1.02 (-1.10 to -0.94; 4 learning rates)"


def test_two_arms_are_compared_run_by_run() -> None:
    frame = frames.ratios(arm(CHOSEN, runs_on(LAW), "one"), arm(CHOSEN, runs_on(LAW), "same"))
    assert list(frame["pairs"]) == [5, 5, 5]
    assert cells(show(frame))[1] == ["4", "5", "1.000", "1.00 to 1.00"]


def test_a_tuned_step_size_is_compared_with_the_fixed_one() -> None:
    fixed = arm(CHOSEN, runs_on(LAW), "fixed")
    best = [run for run in runs_on(InverseLaw(n_inf=50, alpha=800)) if run.batch_size == 16]
    tuned = [Tuned(batch_size=16, rate=0.5, runs=tuple(best), at_the_edge=True)]
    row = frames.tuned(tuned, fixed).iloc[0]
    assert (row["learning_rate"], row["at_the_edge"], row["runs"]) == (0.5, True, 5)
    assert row["saved_ratio"] == pytest.approx(2, rel=0.05)
