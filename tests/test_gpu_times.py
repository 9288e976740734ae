"""Forms of an update's seconds: each is found in its own values, and what public timings say of them."""

import numpy as np
import pandas as pd
import pytest

from batchtime.book.beyond import gpu_times
from batchtime.book.beyond.gpu_times import FORMS, fit_exchange, fit_form, lost_by

SIZES = 4.0 * 2.0 ** np.arange(8)


@pytest.fixture(scope="module")
def timed() -> pd.DataFrame:
    return gpu_times.timed_series()


def several(exchange: np.ndarray, *, learners: np.ndarray, nodes: int = 1) -> pd.DataFrame:
    rows = [
        {"learners": count, "nodes": nodes if count > 1 else 1, "local_batch_size": size, "c": more}
        for count, more in zip(learners, exchange, strict=True)
        for size in SIZES[:4]
    ]
    frame = pd.DataFrame(rows)
    frame["batch_size"] = frame["local_batch_size"] * frame["learners"]
    return frame.assign(
        seconds=0.1 + 0.01 * frame["local_batch_size"] + frame["c"], source="made", workload="made", device="made"
    )


@pytest.mark.parametrize(
    ("form", "seconds"),
    [
        ("line", 0.2 + 0.01 * SIZES),
        ("larger of the two", np.maximum(0.2, 0.01 * SIZES)),
        ("power mean", np.hypot(0.2, 0.01 * SIZES)),
        ("tiles", 0.2 + 0.01 * np.ceil(SIZES / 32) * 32),
    ],
)
def test_each_form_is_found_in_its_own_values(form: str, seconds: np.ndarray) -> None:
    assert fit_form(form, SIZES, seconds)(SIZES) == pytest.approx(seconds, rel=0.004)
    others = [np.abs(fit_form(other, SIZES, seconds)(SIZES) / seconds - 1).max() for other in FORMS]
    assert np.argmin(others) == FORMS.index(form) or min(others) == pytest.approx(others[FORMS.index(form)], abs=0.004)


def test_a_form_is_a_function_between_the_timed_sizes() -> None:
    law = fit_form("power mean", SIZES[[0, 4, 7]], np.hypot(0.2, 0.01 * SIZES[[0, 4, 7]]))
    assert law(np.array([24.0, 96.0])) == pytest.approx(np.hypot(0.2, np.array([0.24, 0.96])), rel=0.02)


def test_exact_seconds_cost_nothing_and_wrong_ones_do() -> None:
    seconds = 0.2 + 0.01 * SIZES
    assert lost_by(seconds, SIZES, seconds) == 0
    assert lost_by(np.full_like(SIZES, 0.2), SIZES, seconds) > 0.2  # then the largest batch looks best


@pytest.mark.parametrize(("exchange", "shape"), [("ring", lambda n: 2 * (n - 1) / n), ("tree", np.log2)])
def test_an_exchange_is_recovered_from_its_own_values(exchange: str, shape: object) -> None:
    learners = np.array([1, 2, 4, 8])
    frame = several(0.05 * shape(learners), learners=learners)
    assert fit_exchange(frame, exchange) == pytest.approx(frame["seconds"].to_numpy(), rel=1e-6)
    assert np.abs(fit_exchange(frame, "none") / frame["seconds"] - 1).max() > 0.05


def test_a_free_exchange_is_one_value_for_each_number_of_learners_and_nodes() -> None:
    frame = pd.concat(
        [
            several(np.array([0.0, 0.3, 0.07]), learners=np.array([1, 2, 4])),
            several(np.array([0.9]), learners=np.array([4]), nodes=4),
        ],
        ignore_index=True,
    )
    assert fit_exchange(frame, "free") == pytest.approx(frame["seconds"].to_numpy(), rel=1e-6)
    row = gpu_times.exchanges(frame).set_index("exchange")
    assert row.loc["free", "rms"] == pytest.approx(0, abs=1e-6)
    assert row.loc["none", "rms"] > 0.1
    assert row.loc["free", "lost"] == 0
    assert row.loc["none", "lost_90"] > 0  # one learner's seconds send four to too small a batch


# Public timings


def test_95_series_of_gavel_and_more_than_a_thousand_of_pollux_are_timed(timed: pd.DataFrame) -> None:
    counts = timed.groupby(["source", "workload", "device", "nodes", "learners"], dropna=False).size()
    series = counts.groupby("source").size()
    assert series["gavel"] == 95
    assert series["pollux"] > 1000
    assert counts.min() == 4


def test_a_line_describes_gavel_to_some_percent_and_a_power_mean_better(timed: pd.DataFrame) -> None:
    table = gpu_times.by_form(gpu_times.forms(timed[timed["source"] == "gavel"])).set_index("form")
    assert (table["series"] == 95).all()
    assert table.loc["line", "median_rms"] < 0.08
    assert table.loc["power mean", "median_rms"] < table.loc["line", "median_rms"]
    assert table.loc["larger of the two", "median_rms"] > 0.1
    assert table["best"].sum() == pytest.approx(1.0, abs=0.02)


def test_an_update_does_not_get_faster_because_more_learners_share_their_gradients(timed: pd.DataFrame) -> None:
    gavel = timed[(timed["source"] == "gavel") & timed["device"].str.endswith("spread")]
    wide = gavel.pivot_table(index=["workload", "device", "local_batch_size"], columns="learners", values="seconds")
    ratio = (wide[8] / wide[1]).dropna()
    assert len(ratio) > 40
    assert (ratio > 1).mean() > 0.9


def test_time_over_learners_needs_an_exchange_that_grows(timed: pd.DataFrame) -> None:
    chosen = timed[(timed["workload"] == "pollux-bert") | (timed["workload"] == "gavel-resnet-50")]
    rms = gpu_times.exchanges(chosen).pivot_table(index="source", columns="exchange", values="rms", aggfunc="median")
    assert (rms["free"] < 0.1).all()
    assert (rms["free"] < rms["tree"]).all()
    assert (rms["tree"] < rms["constant"]).all()
    assert (rms["constant"] < rms["none"]).all()
