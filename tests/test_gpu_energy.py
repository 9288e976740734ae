"""Seconds, joules and money over batch sizes and power limits."""

import numpy as np
import pandas as pd
import pytest

from batchtime.book.beyond import gpu_energy
from batchtime.book.beyond.gpu_energy import Prices
from batchtime.errors import FitError


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    return gpu_energy.measured("zeus-cifar100-0.5")


def test_the_grid_has_every_batch_size_at_every_limit(grid: pd.DataFrame) -> None:
    assert len(grid) == 10 * 7
    row = grid.set_index(["batch_size", "power_limit"]).loc[(512, 250)]
    assert row["joules"] == pytest.approx(row["seconds"] * row["watts"])
    assert row["seconds"] == pytest.approx(16.4 * 8.2767, rel=1e-4)  # epochs times seconds of an epoch


def test_joules_have_another_optimum_than_seconds(grid: pd.DataFrame) -> None:
    fastest, thriftiest = grid.loc[grid["seconds"].idxmin()], grid.loc[grid["joules"].idxmin()]
    assert fastest[["batch_size", "power_limit"]].tolist() == [512, 250]
    assert thriftiest[["batch_size", "power_limit"]].tolist() == [128, 100]
    assert 1 - thriftiest["joules"] / fastest["joules"] > 0.4


def test_nothing_beats_the_frontier_and_something_beats_all_else(grid: pd.DataFrame) -> None:
    for _, row in grid.iterrows():
        better = (grid["seconds"] < row["seconds"]) & (grid["joules"] < row["joules"])
        assert better.any() != row["frontier"]
    assert 2 <= grid["frontier"].sum() < len(grid) / 2


def test_a_prediction_uses_the_pilots_rows_only(grid: pd.DataFrame) -> None:
    seen = gpu_energy.pilot(grid)
    assert seen.power_limits == (100.0, 250.0)
    assert seen.batch_sizes[0::2] == (8.0, 4096.0)
    own = grid["batch_size"].isin(seen.batch_sizes) & grid["power_limit"].isin(seen.power_limits)
    changed = grid.copy()
    changed.loc[~own, ["updates", "update_seconds", "watts", "seconds", "joules"]] *= 3
    # updates do not depend on the limit, and are taken at the largest
    before, after = gpu_energy.predicted(grid, seen), gpu_energy.predicted(changed, seen)
    pd.testing.assert_frame_equal(before, after)


def test_a_grid_made_by_the_model_is_predicted_exactly(grid: pd.DataFrame) -> None:
    size, limit = grid["batch_size"].to_numpy(dtype=float), grid["power_limit"].to_numpy(dtype=float)
    fast, draw, share = np.hypot(0.04, 1e-4 * size), np.full(len(grid), 200.0), 0.9
    bound = np.maximum(1.0, draw / share / limit)  # seconds go inversely with a limit that binds
    made = grid.assign(
        updates=500 * (1 + 300 / size), update_seconds=fast * bound, watts=np.minimum(draw, share * limit)
    )
    guess = gpu_energy.predicted(made)
    for column in ("updates", "update_seconds", "watts"):
        assert guess[column].to_numpy() == pytest.approx(made[column].to_numpy(), rel=0.01), column


def test_money_is_rent_and_electricity() -> None:
    grid = pd.DataFrame({"seconds": [3600.0], "joules": [3.6e6]})
    assert gpu_energy.cost(grid, Prices(per_hour=2.0, per_kilowatt_hour=0.3)).tolist() == [2.3]


def test_six_targets_of_cifar100_are_predicted_from_three_sizes_and_two_limits() -> None:
    names = [f"zeus-cifar100-{target}" for target in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65)]
    table = gpu_energy.optima(names, Prices(per_hour=0.2, per_kilowatt_hour=0.3))
    assert len(table) == 18
    assert table[table["wanted"] != "money"]["lost"].max() < 0.25
    assert table["lost"].max() < 0.4  # of money, at the hardest target
    joules = table[table["wanted"] == "joules"]
    assert (joules["saved"] > 0.2).all()
    assert table[table["wanted"] == "seconds"]["lost"].median() < 0.1


@pytest.mark.parametrize(
    ("prices", "like"),
    [(Prices(per_hour=1.0, per_kilowatt_hour=0.0), "seconds"), (Prices(per_hour=0.0, per_kilowatt_hour=1.0), "joules")],
)
def test_the_optimum_of_money_is_that_of_what_alone_is_paid_for(prices: Prices, like: str) -> None:
    table = gpu_energy.optima(["zeus-cifar100-0.5"], prices).set_index("wanted")
    columns = ["batch_size", "power_limit", "predicted_batch_size"]
    assert table.loc["money", columns].tolist() == table.loc[like, columns].tolist()


def test_a_series_without_power_limits_is_refused() -> None:
    with pytest.raises(FitError, match=r"0 power limits.*Zeus"):
        gpu_energy.measured("pollux-yolov3-14.9288")
