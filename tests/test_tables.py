"""Promises of the tables and phrases."""

import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML, Markdown

from batchtime.experiments import experiment
from batchtime.records import InverseLaw, TrainingTime, UpdateTime
from batchtime.tables import (
    interval_text,
    largest_deviation,
    number_text,
    penalty_table,
    percent_text,
    prediction_table,
    remarks,
    runs_table,
)

from .builders import record


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
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in rows]


def test_every_run_is_counted_once_under_its_role() -> None:
    chosen = experiment("digits-mlp").changed(batch_sizes=[8, 16], seeds=3)
    records = [record(seed=seed, batch_size=size) for seed in range(3) for size in (8, 16)]
    shown = cells(runs_table(chosen, records, InverseLaw(n_inf=10, alpha=40)))
    assert [row[:3] for row in shown[1:]] == [["8", "fitted", "3 of 3"], ["16", "fitted", "3 of 3"]]
    # The law says 10 + 40 / 8 = 15, and 15 is the middle of every interval (10, 20]; 15 * 8 / 1437 epochs = 0.084.
    assert shown[1][4] == "15"
    assert shown[1][6] == "0.084"


def test_the_largest_deviation_is_that_of_the_batch_size_described_worst() -> None:
    chosen = experiment("digits-mlp").changed(batch_sizes=[8, 16], seeds=3)
    records = [record(seed=seed, batch_size=size) for seed in range(3) for size in (8, 16)]
    # Every mean is 15 (the middle of (10, 20]): the law says 15 at M = 8 and 12.5 at M = 16, a sixth too low.
    assert largest_deviation(chosen, records, InverseLaw(n_inf=10, alpha=40)) == pytest.approx(1 / 6, rel=0.02)


def test_nothing_sealed_is_said_in_words() -> None:
    assert prediction_table([], []).data == "No batch size was sealed for these parameters."


def test_what_is_not_known_is_not_printed_as_a_number() -> None:
    assert percent_text(0.0724) == "7.2%"
    assert "unknown" in percent_text(None)


def test_a_factor_off_costs_the_same_below_and_above_the_optimum() -> None:
    time = TrainingTime(
        law=InverseLaw(n_inf=100, alpha=1600), update_time=UpdateTime(fixed_seconds=0.004, seconds_per_example=0.001)
    )
    # s = sqrt(100 * 1600 * 0.004 * 0.001) = 0.8, T_min = 3.6: twice the optimum costs 0.8 / 3.6 * 0.5 = 11.1 %.
    assert cells(penalty_table(time, factors=(2,)))[1] == ["2", "4 or 16", "11.1%"]
    assert time.seconds(4.0) == pytest.approx(time.seconds(16.0))


def test_no_remark_is_said_in_words() -> None:
    assert remarks([]).data == "The fit raises no warning."
    assert remarks(["a", "b"]).data == "- a\n- b"
