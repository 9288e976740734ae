"""Promises of the pages on one curve: errors beyond sampling, the best pair, what rules cost."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from batchtime.book import one_curve
from batchtime.book.pages import scale_the_rate
from batchtime.errors import FitError, ParameterError
from batchtime.fit.curve import Cell, CurveFit, fit_curve
from batchtime.fit.measurements import UpdateTiming
from batchtime.laws.curve import CurveLaw
from batchtime.runs.store import Store, data_folder

LAW = CurveLaw(A=10.0, alpha=4000.0, pole=0.02, lift=1.3, largest_learning_rate=0.32)
RATES, SIZES = (0.02, 0.08, 0.32), (8, 16, 32, 64, 128, 256, 512)
TIMINGS = [
    UpdateTiming(batch_size=m, wall_seconds=(1e-3 + 2e-5 * m,) * 5, cpu_seconds=(1e-3 + 2e-5 * m,) * 5)
    for m in (4, *SIZES, 1024)
]


@pytest.fixture(scope="module")
def curve() -> CurveFit:
    """Return the curve through exact means of a known law."""
    return fit_curve(
        [
            Cell(batch_size=m, learning_rate=r, mean=LAW.updates(m, r), error=0.01, runs=5, censored=0)
            for r in RATES
            for m in SIZES
            if r / m < 0.9 * LAW.pole
        ],
        full=False,
    )


def test_error_beyond_sampling_is_recovered() -> None:
    """Errors drawn with 5 % beyond 3 % of sampling give 5 %, and the interval holds it in 95 of 100 draws."""
    rng = np.random.default_rng(0)
    held = 0
    found = []
    for _ in range(100):
        drawn = rng.normal(0, math.hypot(0.03, 0.05), 12)
        one = one_curve.beyond_sampling(list(drawn), [0.03] * 12)
        low, high = one.interval
        assert low is not None
        assert high is not None
        held += low <= 0.05 <= high
        found.append(one.estimate)
    assert np.median(found) == pytest.approx(0.05, rel=0.1)
    assert held >= 88


def test_no_error_beyond_sampling_is_zero_and_none_is_refused() -> None:
    """Errors as small as their sampling have nothing beyond it; no error at all is refused."""
    assert one_curve.beyond_sampling([0.01, -0.01, 0.005], [0.05] * 3).estimate == 0
    with pytest.raises(FitError, match="no cell was predicted"):
        one_curve.beyond_sampling([], [])


def test_the_best_pair_is_that_of_a_search_over_all_pairs(curve: CurveFit) -> None:
    """No pair of a fine grid is faster by more than seconds between timed sizes are off, read on straight lines."""
    found = one_curve.surface(curve, TIMINGS)
    rates = np.geomspace(RATES[0], RATES[-1], 400)
    sizes = np.geomspace(8, 512, 400)
    times = LAW.updates(sizes[None, :], rates[:, None]) * (1e-3 + 2e-5 * sizes)[None, :]
    assert found.best.seconds == pytest.approx(float(np.min(times)), rel=0.02)
    low, high = found.within()["batch_size"]
    assert low is not None
    assert high is not None
    assert low < found.best.batch_size < high


def test_the_best_batch_size_grows_with_the_root_of_the_learning_rate() -> None:
    """Without lift and far from the pole the power is one half."""
    straight = CurveLaw(A=10.0, alpha=4000.0, largest_learning_rate=0.32)
    means = [
        Cell(batch_size=m, learning_rate=r, mean=straight.updates(m, r), error=0.01, runs=5, censored=0)
        for r in RATES
        for m in SIZES
    ]
    fitted = fit_curve(means, full=False)
    rows = one_curve.by_rate(one_curve.surface(fitted, TIMINGS))
    assert one_curve.power_of_rate(rows) == pytest.approx(0.5, abs=0.05)


def test_no_habit_is_faster_than_the_best_pair_and_the_root_costs_more_than_proportion(curve: CurveFit) -> None:
    """The best pair costs nothing, every habit at least as much; the root stops short of the largest rate."""
    found = one_curve.habits(one_curve.surface(curve, TIMINGS), curve, TIMINGS)
    assert found["cost_share"].iloc[0] == 0
    assert (found["cost_share"] >= -0.005).all()
    assert found["cost_share"].iloc[3] > found["cost_share"].iloc[2]


def test_the_best_learning_rate_grows_in_proportion_and_then_not() -> None:
    """By a curve without lift the best rate is a constant quotient times the batch, until the largest."""
    bare = fit_curve(
        [
            Cell(batch_size=m, learning_rate=r, mean=law.updates(m, r), error=0.01, runs=5, censored=0)
            for law in (CurveLaw(A=10.0, alpha=4000.0, pole=0.02, largest_learning_rate=0.32),)
            for r in RATES
            for m in SIZES
            if r / m < 0.9 * law.pole
        ],
        full=False,
    )
    sizes = np.array([4.0, 8.0, 16.0, 32.0, 1024.0, 2048.0])
    rates = scale_the_rate.by_curve(bare, sizes)
    assert rates[1:4] / sizes[1:4] == pytest.approx(rates[0] / sizes[0], rel=0.02)
    assert rates[-1] == rates[-2] == pytest.approx(0.32)
    assert scale_the_rate.regimes(bare)["end"] == pytest.approx(0.32 / (rates[0] / sizes[0]), rel=0.1)


@pytest.mark.parametrize(("power", "name"), [(1.0, "1"), (0.5, "1/2"), (0.0, "0")])
def test_the_quotient_that_rules_is_found(power: float, name: str) -> None:
    """Means made on a curve of eta / M^p lie on it, and on no other; the words name it, and what was not run."""
    made = tuple(
        Cell(batch_size=m, learning_rate=r, mean=(10 + 3000 * r / m**power) / r, error=0.01, runs=5, censored=0)
        for r in RATES
        for m in SIZES
    )
    found = scale_the_rate.collapse(made).set_index("power")["rms_share"]
    assert found[power] < 1e-6
    assert (found.drop(power) > 0.05).all()
    columns = ["optimizer", "pairs", "none_share", "half_share", "one_share"]
    said = scale_the_rate.adam_text(pd.DataFrame([("made", 21, *found)], columns=columns), ["made", "Adam"])
    assert f"made: p = {name} is the best" in said
    assert said.endswith("No sweeps with Adam at several learning rates are recorded yet.")


def test_held_out_pairs_stand_beside_what_was_written_before_them() -> None:
    """Each predicted pair has the number of the committed file, and its runs are not among those fitted."""
    task = one_curve.swept("mnist-error-2", Store(data_folder()))
    written = pd.read_csv(data_folder() / "predictions" / "mnist-error-2.csv")
    held = one_curve.held_out(task)
    assert len(held) >= 6
    for row in held.dropna(subset=["predicted"]).to_dict("records"):
        same = written[(written["sweep"] == row["sweep"]) & (written["batch_size"] == row["batch_size"])]
        assert row["predicted"] == same["updates"].item()
    fitted = {(one.batch_size, one.learning_rate) for one in one_curve.fitted(task).cells}
    assert not fitted & set(zip(held["batch_size"], held["learning_rate"], strict=True))


def test_a_task_without_a_curve_is_refused_by_name() -> None:
    """A name that is none is answered with the nearest; a task of one learning rate with how many it has."""
    with pytest.raises(ParameterError, match=r"mnist-eror-2.*mnist-error-2"):
        one_curve.swept("mnist-eror-2", Store(data_folder()))
    with pytest.raises(FitError, match="1 constant learning rates"):
        one_curve.swept("europarl-gru", Store(data_folder()))


def test_every_mean_stands_beside_the_curve_of_its_task_in_its_units(curve: CurveFit) -> None:
    """A mark's height over the curve is what the mean is over the curve, for each task wherever it is drawn."""
    rows = [
        {
            "learning_rate": one.learning_rate,
            "batch_size": one.batch_size,
            "quotient": one.tau,
            "distance": one.learning_rate * (one.mean or math.nan),
            "distance_low": None,
            "distance_high": None,
            "cell": "held out" if one.batch_size == 64 else "fitted",
            "runs": one.runs,
        }
        for one in curve.cells
        if one.learning_rate < 0.32  # the curve is drawn without its lift
    ]
    seen = pd.DataFrame(rows)
    _, axes = plt.subplots()
    drawn = scale_the_rate.on_one_curve_each(axes, {"low": seen, "high": seen}, {"low": curve, "high": curve})
    low, high = (drawn[drawn["series"] == name] for name in ("low", "high"))
    x = low["x"].to_numpy()
    assert low["y"].to_numpy() == pytest.approx(1 + x / (1 - x * LAW.A / LAW.alpha / LAW.pole), rel=0.02)
    assert high["y"].to_numpy() / low["y"].to_numpy() == pytest.approx(6.0)
