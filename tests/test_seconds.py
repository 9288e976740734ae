"""Promises of the tables and drawings of seconds, and of what follows from the closed form."""

import math

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime.book import frames
from batchtime.book.pages import implications, seconds_per_update, seconds_to_target, several_learners
from batchtime.book.pages.implications import algorithms, machines, networks, read
from batchtime.book.show import show
from batchtime.fit.measurements import AllReduceTiming, UpdateTiming
from batchtime.fit.training_time import fit_training_time
from batchtime.fit.update_time import fit_forms
from batchtime.laws.scaling import Network, optimal_scaling
from batchtime.laws.time import AllReduceTime, TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.plan.clock import against_the_clock
from batchtime.runs.records import CommunicationMode, LearnersRecord

from .builders import cells, markers, record
from .test_training_time import LAW, runs, timed, timings

TIME = TrainingTime(
    law=InverseLaw(n_inf=100, alpha=1600), update_time=UpdateTime(fixed_seconds=0.004, seconds_per_example=0.001)
)
RING = Network(all_reduce=AllReduceTime(latency_seconds=1e-4, seconds_per_byte=1e-9), payload_bytes=1e6)


def exactly(size: int, seconds: float) -> UpdateTiming:
    return UpdateTiming(batch_size=size, wall_seconds=(seconds,) * 3, cpu_seconds=(seconds,) * 3)


def learners(count: int) -> LearnersRecord:
    """Return timings of 4 ms and 1 ms an example, an all-reduce of 1.2 ms of which buckets hide 0.5."""
    extra: dict[CommunicationMode, float] = {"compute": 0.0}
    if count > 1:
        extra |= {"in turn": 1.2e-3, "overlapped": 0.7e-3}
    return LearnersRecord(
        workload="test",
        learners=count,
        gradient_bytes=1_000_000,
        timings={
            mode: tuple(exactly(m, 4e-3 + 1e-3 * m / count + more) for m in (8, 64)) for mode, more in extra.items()
        },
        all_reduce=tuple(AllReduceTiming(payload_bytes=4**k, seconds=(2e-4 + 4**k * 1e-9,) * 3) for k in range(1, 11)),
        provenance=record().provenance,
    )


def test_every_duration_is_drawn_with_its_median_and_each_form(axes: Axes) -> None:
    seen = timings(0)
    seconds_per_update.update_time(axes, seen, fit_forms(seen))
    assert markers(axes) == 9 * len(seen) + len(seen)
    assert {"line", "power mean", "two lines", "larger of the two"} < set(axes.get_legend_handles_labels()[1])


def test_the_optimum_is_marked_where_the_curve_is_least(axes: Axes) -> None:
    seconds_to_target.training_time(axes, {"here": TIME}, batch_sizes=[1, 256], fitted=(2, 128))
    curve = next(line for line in axes.lines if line.get_label() == "here")
    marked = next(line for line in axes.lines if line.get_marker() == "D" and len(np.asarray(line.get_xdata())))
    least = np.asarray(curve.get_ydata(), float).min()
    assert float(np.asarray(marked.get_ydata(), float)[0]) == pytest.approx(least, rel=1e-3)


def test_every_run_by_the_clock_is_drawn_with_its_mean(axes: Axes) -> None:
    clocked = [timed(size, seed, 600 + 9 * seed) for size in (8, 32) for seed in range(4)]
    rows = against_the_clock(runs(0), timings(0), clocked)
    seconds_to_target.against_the_clock(axes, fit_training_time(runs(0), timings(0)).time, clocked, rows)
    assert markers(axes) == 8 + 2
    frame = frames.clock_frame(rows)
    assert frame[["batch_size", "runs"]].to_numpy().tolist() == [[8, 4], [32, 4]]


def test_every_way_of_communication_and_every_all_reduce_is_drawn(axes: Axes) -> None:
    several_learners.communication(axes, learners(1), learners(2))
    assert markers(axes) == 4 * 2
    other = plt.subplots()[1]
    several_learners.all_reduce(other, learners(2), RING)
    assert markers(other) == 10 * 3 + 10


def test_the_projection_is_named_and_the_measurements_are_marked(axes: Axes) -> None:
    several_learners.scaling(axes, TIME, RING, most=256, measured={1: 3.6, 2: 3.0})
    assert "projection" in " ".join(text.get_text() for text in axes.texts)
    marked = next(line for line in axes.lines if line.get_marker() == "D")
    assert list(np.asarray(marked.get_xdata())) == [1, 2]
    assert axes.get_xlabel() == "workers L"


def test_a_factor_off_costs_the_same_below_and_above_the_optimum() -> None:
    # s = sqrt(100 * 1600 * 0.004 * 0.001) = 0.8, T_min = 3.6: twice the optimum costs 0.8 / 3.6 * 0.5 = 11.1 %.
    assert cells(show(seconds_to_target.penalties(TIME, factors=(2,))))[1] == ["2", "4", "11.1 %", "16", "11.1 %"]


def test_exposed_communication_is_what_is_taken_beyond_the_work() -> None:
    rows = cells(show(several_learners.communication_frame(learners(2))))
    # At M = 8: 4 + 8 / 2 = 8 ms of work, 9.2 in turn and 8.7 overlapped.
    assert rows[0][1] == "work alone, ms"
    assert rows[1] == ["8", "8", "9.2", "8.7", "1.2", "0.7"]
    predicted = seconds_to_target.predicted_updates(TIME.update_time, learners(2), RING).iloc[0]
    # c(2) = 2 x 0.1 ms + 1 ms = 1.2 ms: 9.2 ms as measured.
    assert predicted["predicted_milliseconds"] == pytest.approx(9.2e-3)
    assert predicted["error"] == pytest.approx(0, abs=1e-9)


def test_the_forms_are_listed_with_their_optima() -> None:
    some = timings(0, scatter=0.005)
    frame = seconds_per_update.forms_frame(some, fit_forms(some), LAW)
    assert list(frame["form"]) == ["line", "larger of the two", "power mean", "two lines"]
    assert frame["aicc_above"].min() == 0
    assert frame["optimal_batch_size"].iloc[0] == pytest.approx(20, rel=0.05)


def test_the_scaling_table_says_what_the_closed_form_says() -> None:
    frame = several_learners.scaling_frame(TIME, [1, 1024], RING)
    assert tuple(frame[["optimum", "for_each"]].iloc[0]) == pytest.approx((8, 8))
    assert frame["optimal_seconds"].iloc[1] == optimal_scaling(TIME, 1024, RING)


def test_other_machines_and_algorithms_want_the_batch_sizes_that_theory_says() -> None:
    there = machines(TIME)
    assert there["twice as fast per example"].optimal_batch_size == pytest.approx(8 * math.sqrt(2))
    assert there["half the fixed cost"].optimal_batch_size == pytest.approx(8 / math.sqrt(2))
    assert there["both"].least_seconds == pytest.approx(1.8)
    with_less = algorithms(TIME)
    # T = (sqrt(n_inf delta) + sqrt(alpha gamma))^2: 0.4 and 1.6 s; half of alpha: (sqrt(0.4) + sqrt(0.8))^2.
    assert with_less["half of alpha (less noise)"].least_seconds == pytest.approx((0.4**0.5 + 0.8**0.5) ** 2)
    assert with_less["half of both"].least_seconds == pytest.approx(1.8)
    over = networks(TIME, RING, 16)
    times = [one.least_seconds for one in over.values()]
    assert times[0] == max(times)
    assert times[-1] == min(times) == pytest.approx(optimal_scaling(TIME, 16))


def test_what_the_closed_form_says_of_a_task_is_read_in_numbers() -> None:
    found = read({"here": TIME}, largest_batch=512, learners=16)["here"]
    # An epoch per example: 4/512 + 1 = 1.0078 ms against 4/8 + 1 = 1.5 ms; T(512) = 103.125 x 516 ms.
    assert found.epoch_gain == pytest.approx(1.0078125 / 1.5)
    assert found.training_loss == pytest.approx(103.125 * 0.516 / 3.6)
    assert found.noise_share == pytest.approx(2 / 3)  # sqrt(1.6) is twice sqrt(0.4)
    assert found.most_speedup == pytest.approx(9)
    assert found.weak_excess == pytest.approx(0.8 * (1 - 1 / 4) ** 2 / optimal_scaling(TIME, 16))
    frame = implications.readings_frame({"here": found})
    assert (frame["noise_share"].iloc[0], frame["most_speedup"].iloc[0]) == pytest.approx((2 / 3, 9))
