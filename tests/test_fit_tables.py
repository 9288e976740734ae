"""Promises of the tables and drawings of the law under scrutiny: nothing that was asked for is left out."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

from batchtime.book import diagnostics, frames
from batchtime.book.comparisons import Arm, arm
from batchtime.book.pages import four_names, rivals, scrutiny, simulation_study
from batchtime.fit import rival_laws
from batchtime.plan.simulation import BIAS, study
from batchtime.runs.catalogue import experiment, swept
from batchtime.runs.records import StudyDesign

from .builders import runs_on
from .test_diagnostics import LAW, SIZES, an_arm
from .test_rivals import TRUE, runs


@pytest.fixture(scope="module")
def small() -> Arm:
    """Return an arm with three batch sizes."""
    return arm(experiment("digits-mlp").changed(batch_sizes=[4, 16, 64], seeds=5), runs_on(LAW), "small")


@pytest.fixture(scope="module")
def large() -> Arm:
    """Return an arm with nine batch sizes."""
    return an_arm({size: 100 * LAW.updates(float(size)) for size in SIZES})


def test_every_law_is_listed_the_best_first_and_those_not_testable_say_so() -> None:
    sizes = np.array([2, 4, 8, 16, 32, 64], dtype=np.float64)
    found = rival_laws.compare(runs(rival_laws.INVERSE.updates(sizes, *TRUE["inverse law"]), sizes=sizes, spread=0.02))
    frame = rivals.comparison_frame(found)
    assert set(frame["law"]) == {law.name for law in rival_laws.LAWS} == set(rivals.laws_frame()["law"])
    assert tuple(frame[["law", "aicc_above"]].iloc[0]) == ("inverse law", 0)
    assert list(frame["fitted"]).count("not testable: needs 7 batch sizes") == 4


def test_the_table_of_winners_names_ours_and_theirs(small: Arm, large: Arm) -> None:
    contests = rivals.contests([small, large])
    frame = rivals.winners_frame(contests)
    assert frame["least_aicc"].iloc[0] == "not testable: too few batch sizes"
    assert frame["sweep"].iloc[1] == "some task"
    assert "In 1 of 1 tests the inverse law has the least AICc" in rivals.verdict_text(contests)
    sizes = np.array(SIZES, dtype=np.float64)
    knee = rival_laws.compare(runs(rival_laws.hard_knee(sizes, *TRUE["hard knee"]), spread=0.01))
    lost = rivals.verdict_text([rivals.Contest(label="a knee", fitted=knee, every=None)])
    assert "In 0 of 1 tests" in lost
    assert "a knee (fitted batch sizes): " in lost
    assert "knee, by" in lost
    assert knee.winner is not None
    assert knee.ours is not None
    errors = knee.winner.leave_one_out_error, knee.ours.leave_one_out_error
    assert f"(left-out error {100 * errors[0]:.1f} %, the inverse law's {100 * errors[1]:.1f} %)" in lost


def test_sweeps_are_named_as_tasks_and_their_variants() -> None:
    names = ["mnist-lenet-rate-0.08", "cifar10-cnn", "mnist-lenet-rate-0.005", "mnist-lenet", "unknown"]
    assert list(swept(names)) == ["MNIST", "MNIST, rate 0.005", "MNIST, rate 0.08", "CIFAR-10"]


def test_a_forest_has_a_row_a_law_and_arrows_at_open_sides(axes: Axes, small: Arm) -> None:
    assert small.fit is not None
    intervals = replace(small.fit.intervals, critical_batch_size=(50.0, None))
    opened = replace(small, label="open", fit=replace(small.fit, intervals=intervals))
    rivals.forest(axes, frames.laws([small, opened, replace(small, fit=None)]))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["small", "open"]
    assert [line.get_marker() for line in axes.lines].count(">") == 1
    assert [line.get_marker() for line in axes.lines].count("<") == 0


def test_diagnostics_are_drawn_for_every_batch_size(axes: Axes, large: Arm) -> None:
    assert large.fit is not None
    found = diagnostics.residuals(large.fit.law, large.observations, SIZES[1:])
    scrutiny.residuals(axes, found, diagnostics.scatter_parts(large.fit.law, large.fitted))
    assert len(axes.containers) == 2  # fitted ones and the hollow one
    spread = diagnostics.spread_test(large.fitted)
    assert list(scrutiny.spreads(axes, spread)["batch_size"]) == list(SIZES)
    influences = diagnostics.influences(large.fitted)
    changes = scrutiny.influence(axes, influences)
    assert changes.groupby("quantity", sort=False).size().to_list() == [len(SIZES)] * 3
    assert list(scrutiny.influence_frame(influences)["batch_size"]) == list(SIZES)
    assert "to the power" in scrutiny.spread_text(spread)
    drawn = rivals.laws_over_means(axes, rival_laws.compare(large.fitted))
    assert "inverse law" in set(drawn["law"])


def test_studies_are_shown_a_row_a_design(axes: Axes) -> None:
    designs = [replace(design, batch_sizes=(2, 16, 128), seeds=3) for design in (StudyDesign(), BIAS[0], BIAS[3])]
    studies = [study(design, replications=3) for design in designs]
    assert len(simulation_study.coverage_frame(studies)) == len(simulation_study.bias_frame(studies, "alpha")) == 3
    expected = simulation_study.expected_bias_frame(studies)
    assert expected[["quantity", "expected"]].to_numpy().tolist() == [["n_inf", 50], ["alpha", 1000]]
    drawn = simulation_study.biases(axes, studies, "alpha")
    assert len(axes.get_yticklabels()) == 3
    assert len(drawn) == 3 * 3  # each estimator on each design
    (few,) = simulation_study.coverage_verdict(studies)
    assert "Fewer than 500 tables are too few" in few
    poor = replace(studies[0], covered=dict.fromkeys(studies[0].covered, (1, 0, 1) * 200))
    assert "Outside of 92 % to 98 %: n_inf with CV 15%" in simulation_study.coverage_verdict([poor])[0]
    good = replace(poor, covered=dict.fromkeys(poor.covered, ((1,) * 19 + (0,)) * 30))
    assert simulation_study.coverage_verdict([good]) == ["All lie between 92 % and 98 %."]


def test_the_forms_are_shown_with_how_far_they_differ(large: Arm) -> None:
    frame = four_names.forms_frame(four_names.four_names(large.fitted, 60_000))
    assert list(frame["form"]) == ["inverse law", "trade-off", "goodput", "epochs"]
    assert frame["as_n_inf"].to_numpy() == pytest.approx([frame["as_n_inf"].iloc[0]] * 4, rel=1e-5)


def test_a_mean_far_off_the_law_stands_at_the_edge_with_its_value(axes: Axes) -> None:
    near = [diagnostics.Residual(batch_size=m, error=0.02, interval=(0.0, 0.05), fitted=True) for m in (4, 8)]
    far = diagnostics.Residual(batch_size=1, error=2.0, interval=(1.5, None), fitted=False)
    scrutiny.residuals(axes, [far, *near], None)
    assert [text.get_text().strip() for text in axes.texts] == ["+200 %"]
    assert axes.get_ylim() == pytest.approx((-10, 10))
