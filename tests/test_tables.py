"""Promises of the tables and phrases."""

import pytest

from batchtime.records import InverseLaw, TrainingTime, UpdateTime
from batchtime.tables import interval_text, number_text, outcome_table, penalty_table, remarks

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


def test_every_run_is_counted_once() -> None:
    table = outcome_table([record(seed=seed) for seed in range(3)] + [record(batch_size=16)])
    assert table["reached"].tolist() == [3, 1]
    assert table["diverged"].tolist() == [0, 0]


def test_a_factor_off_costs_the_same_below_and_above_the_optimum() -> None:
    time = TrainingTime(
        law=InverseLaw(n_inf=100, alpha=1600), update_time=UpdateTime(fixed_seconds=0.004, seconds_per_example=0.001)
    )
    # s = sqrt(100 * 1600 * 0.004 * 0.001) = 0.8, T_min = 3.6: twice the optimum costs 0.8 / 3.6 * 0.5 = 11.1 %.
    assert penalty_table(time, factors=(2,)).iloc[0].tolist() == ["4 or 16", "11.1%"]
    assert time.seconds(4.0) == pytest.approx(time.seconds(16.0))


def test_no_remark_is_said_in_words() -> None:
    assert remarks([]).data == "The fit raises no warning."
    assert remarks(["a", "b"]).data == "- a\n- b"
