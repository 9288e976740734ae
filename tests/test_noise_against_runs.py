"""The noise scale against the runs, and the fixed time: known answers, and what the chapter says came out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchtime.book.beyond import fixed_time, noise_against_runs
from batchtime.runs import published
from batchtime.runs.store import Store

STORE = Store(Path(__file__).parents[1] / "data")
RATES = ["mnist-lenet-rate-0.005", "mnist-lenet", "mnist-lenet-rate-0.08", "mnist-lenet-rate-0.32"]


@pytest.fixture(scope="module")
def traces() -> pd.DataFrame:
    return noise_against_runs.in_traces().set_index("series")


def test_the_ratio_is_noise_over_the_runs_own(traces: pd.DataFrame) -> None:
    row = traces.loc["pollux-yolov3-14.9288"]
    noise = published.noise().query("workload == 'pollux-yolov3'")
    assert row["median"] == noise["median"].median()
    assert row["median_off"] == pytest.approx(row["median"] / row["critical_batch_size"])


def test_noise_is_right_for_yolov3_and_hundreds_of_times_off_for_deepspeech2(traces: pd.DataFrame) -> None:
    yolo = traces[traces["workload"] == "pollux-yolov3"]["median_off"]
    speech = traces[traces["workload"] == "pollux-deepspeech2"]["median_off"]
    assert len(yolo) == 4
    assert yolo.between(1 / 2.5, 2.5).all()
    assert speech.min() > 100


def test_the_tuned_step_is_the_best_of_those_whose_runs_all_arrived() -> None:
    frame = noise_against_runs.tuned_means(RATES, STORE).set_index("batch_size")
    assert frame["steps"].min() == 2
    assert frame["learning_rate"].is_monotonic_increasing  # larger batches bear larger steps
    single = noise_against_runs.universal.recorded_means(STORE).query("series == 'mnist-lenet'").set_index("batch_size")
    both = single.index.intersection(frame.index)
    assert len(both) > 5
    assert (frame.loc[both, "updates"] <= single.loc[both, "updates"] * (1 + 1e-12)).all()


def test_noise_over_the_time_of_a_run_is_nearer_to_the_tuned_ratio_than_early_noise() -> None:
    table = noise_against_runs.in_recorded({"mnist-lenet": RATES}, STORE)
    record = STORE.noise("mnist-lenet")[0]
    scale = np.array(record.noise_variance) / np.array(record.gradient_square)
    assert table.loc[0, "at_end"] == pytest.approx(scale[-1])
    assert scale.min() < table.loc[0, "over_time"] < scale.max()
    assert table["tuned"].iloc[0] > 5 * table["fixed"].iloc[0]
    assert table["over_time_off"].median() < table["early_off"].median()


# Fixed time


def test_updates_are_worth_more_at_larger_batches() -> None:
    batch = np.array([100.0, 300.0])
    assert fixed_time.worth(batch, np.array([40.0, 40.0]), 100.0).tolist() == [20.0, 30.0]


@pytest.fixture(scope="module")
def devices() -> pd.DataFrame:
    return fixed_time.devices().set_index("device")


def test_the_law_puts_the_best_batch_of_the_h100_within_a_factor_of_two(devices: pd.DataFrame) -> None:
    row = devices.loc["H100"]
    assert row["best_batch"] == 2**18
    assert row["predicted_low"] < 2**18 < row["predicted_high"]
    assert row["order"] == -1
    total = row["delta"] + row["gamma"] * 262_144
    assert total == pytest.approx(300 / 1660, rel=0.02)


def test_the_law_with_the_same_ratio_does_not_follow_the_shift_to_a_slower_gpu(devices: pd.DataFrame) -> None:
    slow = devices.loc["RTX 3080 Ti"]
    assert slow["best_batch"] == 2**15
    assert slow["predicted_low"] > 3 * slow["best_batch"]
    assert slow["ratio_below"] < 0.1 * fixed_time.language_models()["tokens"].min()
    assert slow["order"] == 1
