"""Pairs that were predicted and then clocked, two machines, and what the models are worth on test images."""

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot as plt

from batchtime.book import one_curve
from batchtime.book.pages import pairs_by_the_clock as page
from batchtime.errors import FitError
from batchtime.plan.clock import Clocked
from batchtime.plan.promises import Promise
from batchtime.runs.store import Store, data_folder


def clocked(role: str, measured: float | None, *, width: float = 0.1) -> Clocked:
    """Return a pair of 10 predicted seconds."""
    interval = (None, None) if measured is None else (measured * math.exp(-width), measured * math.exp(width))
    return Clocked(
        batch_size=64,
        predicted=10.0,
        predicted_interval=(9.0, 11.0),
        measured=measured,
        measured_interval=interval,
        n_runs=20,
        updates_error=0.0,
        seconds_error=0.0,
        wall_over_cpu=1.0,
        learning_rate=0.1,
        role=role,
    )


def promise(role: str, seconds: float) -> Promise:
    """Return what was predicted of one pair."""
    return Promise(
        role=role,
        batch_size=64,
        learning_rate=0.1,
        updates=1000.0,
        seconds_per_update=seconds / 1000,
        seconds=seconds,
        interval=(0.9 * seconds, 1.1 * seconds),
        runs=20,
    )


def test_a_slower_pair_is_told_by_its_factor_and_both_means_count_for_its_interval() -> None:
    rows = [clocked("joint optimum", 10.0, width=0.03), clocked("optimum at learning rate 0.1", 25.0, width=0.04)]
    factor, (low, high) = page.slower_by(rows, "optimum at learning rate")
    assert factor == pytest.approx(2.5)
    assert math.log(high / factor) == pytest.approx(0.05)
    assert math.log(factor / low) == pytest.approx(0.05)


def test_a_pair_that_never_arrived_has_no_factor() -> None:
    with pytest.raises(FitError, match="optimum at"):
        page.slower_by([clocked("joint optimum", 10.0), clocked("optimum at learning rate 0.1", None)], "optimum at")
    with pytest.raises(FitError, match="half of it"):
        page.slower_by([clocked("joint optimum", 10.0)], "half of it")


def test_words_count_what_lies_inside_and_name_the_worst() -> None:
    rows = [clocked("joint optimum", 10.5), clocked("optimum at learning rate 0.1", 12.5)]
    said = page.in_words([promise("joint optimum", 10.0), promise("optimum at learning rate 0.1", 20.0)], rows)
    assert "2 pairs" in said
    assert "20 fresh seeds" in said
    assert "1 of the means" in said
    assert "miss is 20 %" in said
    assert "predicted to take 2.00 times" in said
    assert "it took 1.19 times" in said
    assert "by the clock yet" in page.in_words([], [])


def test_recorded_pairs_are_drawn_with_their_predictions_of_before() -> None:
    store = Store(data_folder())
    promises = page.promised("mnist-error-2")
    rows = page.by_the_clock("mnist-error-2", promises, store)
    assert {row.role for row in rows} >= {"joint optimum", "half of it", "twice it"}
    made = {run.provenance.date for run in store.timed_runs("mnist-error-2")}
    written = page.dates("mnist-error-2")
    assert max(written) < min(made)
    _, axes = plt.subplots()
    drawn = page.draw(axes, rows)
    assert len(drawn) == len(rows)
    assert (drawn["measured_seconds"] > 0).all()


def test_both_machines_have_runs_at_the_optimum_of_each() -> None:
    store = Store(data_folder())
    for count in (1, 2):
        rows = page.of_threads("mnist-error-2", store, count)
        assert {row.role.split(", ")[1] for row in rows} == {"optimum of 1 threads", "optimum of 2 threads"}
    timings = page.machines("mnist-error-2", store, threads=(1, 2))
    _, axes = plt.subplots()
    assert "2 threads do an update" in page.machines_text(page.draw_machines(axes, timings))


def test_the_trend_of_the_test_error_is_that_of_a_regression_with_a_group_for_each_sweep() -> None:
    task = one_curve.swept("mnist-error-2", Store(data_folder()))
    slope, (low, high) = page.trend(task)
    some = [(k, r) for k, name in enumerate(task.records) for r in task.records[name] if "test_error" in r.reports]
    groups = np.eye(len(task.records))[[k for k, _ in some]]
    design = np.column_stack([[math.log2(r.batch_size) for _, r in some], groups[:, groups.any(axis=0)]])
    wanted = np.linalg.lstsq(design, np.array([r.reports["test_error"] for _, r in some]))[0][0]
    assert slope == pytest.approx(wanted)
    assert low < slope < high


def test_a_trend_says_what_its_interval_allows() -> None:
    assert "larger test error" in page.trend_text((0.1, 0.2))
    assert "smaller test error" in page.trend_text((-0.2, -0.1))
    assert "no trend" in page.trend_text((-0.1, 0.1))
    rows = [replace(clocked("1 thread, optimum of 1 threads", 11.0), batch_size=32)]
    assert page.two_optima_text([replace(row, role="1 threads, optimum of 1 threads") for row in rows]).startswith(
        "Best batch sizes 32;"
    )


def test_a_machine_says_which_optimum_was_faster_or_that_its_runs_cannot_tell() -> None:
    fast = replace(clocked("1 threads, optimum of 1 threads", 10.0), batch_size=96)
    slow = replace(clocked("1 threads, optimum of 2 threads", 16.0), batch_size=182)
    near = replace(slow, measured=10.5, measured_interval=(9.5, 11.6))
    assert page.machines_in_words({1: [fast, slow]}) == (
        "On 1 thread 96 examples, its own optimum, took 10.0 s and 182 took 16.0 s."
    )
    assert "20 runs each cannot tell apart" in page.machines_in_words({1: [near, fast]})
    assert "the other machine's optimum" in page.machines_in_words({2: [replace(fast), slow]})
