"""Promises of the tables and drawings of the law under scrutiny: nothing that was asked for is left out."""

from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from batchtime.book import diagnostics
from batchtime.book.comparisons import Arm, arm
from batchtime.book.pages import four_names, rivals, scrutiny, simulation_study
from batchtime.fit import rival_laws
from batchtime.plan.simulation import BIAS, study
from batchtime.runs.catalogue import experiment, swept
from batchtime.runs.records import StudyDesign

from .builders import runs_on
from .test_diagnostics import LAW, SIZES, an_arm
from .test_rivals import TRUE, runs


def cells(shown: HTML) -> list[list[str]]:
    """Return the texts of a table, a list a row."""
    page = BeautifulSoup(str(shown.data), "html.parser")
    return [[cell.get_text().replace("\xa0", " ") for cell in row.find_all("td")] for row in page.find_all("tr")[1:]]


@pytest.fixture
def axes() -> Axes:
    """Return empty axes of a figure that nobody sees."""
    plt.switch_backend("agg")
    plt.close("all")
    return plt.subplots()[1]


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
    rows = cells(rivals.comparison_table(found))
    assert {row[0] for row in rows} == {law.name for law in rival_laws.LAWS} == {
        row[0] for row in cells(rivals.laws_table())
    }  # fmt: skip
    assert rows[0][0] == "inverse law"
    assert rows[0][2] == "0.0"
    assert [row[1] for row in rows].count("not testable: needs 7 batch sizes") == 4


def test_the_table_of_winners_names_ours_and_theirs(small: Arm, large: Arm) -> None:
    contests = rivals.contests([small, large])
    rows = cells(rivals.winners_table(contests))
    assert rows[0][2] == "not testable: too few batch sizes"
    assert rows[1][0] == "some task"
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
    rivals.forest(axes, [small, opened, replace(small, fit=None)])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["small", "open"]
    assert [line.get_marker() for line in axes.lines].count(">") == 1
    assert [line.get_marker() for line in axes.lines].count("<") == 0


def test_diagnostics_are_drawn_for_every_batch_size(axes: Axes, large: Arm) -> None:
    assert large.fit is not None
    found = diagnostics.residuals(large.fit.law, large.observations, SIZES[1:])
    scrutiny.residuals(axes, found, diagnostics.scatter_parts(large.fit.law, large.fitted))
    assert len(axes.containers) == 2  # fitted ones and the hollow one
    spread = diagnostics.spread_test(large.fitted)
    scrutiny.spreads(axes, spread)
    influences = diagnostics.influences(large.fitted)
    scrutiny.influence(axes, influences)
    assert [len(np.asarray(line.get_xdata())) for line in axes.lines[-3:]] == [len(SIZES)] * 3
    assert [row[0] for row in cells(scrutiny.influence_table(influences))] == [f"{size}" for size in SIZES]
    assert "to the power" in scrutiny.spread_text(spread)
    assert scrutiny.p_text(1e-9) == "less than 0.001"
    rivals.laws_over_means(axes, rival_laws.compare(large.fitted))


def test_studies_are_shown_a_row_a_design(axes: Axes) -> None:
    designs = [replace(design, batch_sizes=(2, 16, 128), seeds=3) for design in (StudyDesign(), BIAS[0], BIAS[3])]
    studies = [study(design, replications=3) for design in designs]
    assert (
        len(cells(simulation_study.coverage_table(studies)))
        == len(cells(simulation_study.bias_table(studies, "alpha")))
        == 3
    )
    assert [row[2:4] for row in cells(simulation_study.expected_bias_table(studies))] == [
        ["n_inf", "+50"],
        ["alpha", "+1000"],
    ]
    simulation_study.biases(axes, studies, "alpha")
    assert len(axes.get_yticklabels()) == 3
    assert "Fewer than 500 tables are too few" in str(simulation_study.coverage_verdict(studies).data)
    poor = replace(studies[0], covered=dict.fromkeys(studies[0].covered, (1, 0, 1) * 200))
    assert "Outside of 92 % to 98 %: n_inf with CV 15%" in str(simulation_study.coverage_verdict([poor]).data)
    good = replace(poor, covered=dict.fromkeys(poor.covered, ((1,) * 19 + (0,)) * 30))
    assert simulation_study.coverage_verdict([good]).data == "All lie between 92 % and 98 %."


def test_the_forms_are_shown_with_how_far_they_differ(large: Arm) -> None:
    rows = cells(four_names.forms_table(four_names.four_names(large.fitted, 60_000)))
    assert [row[0] for row in rows] == ["inverse law", "trade-off", "goodput", "epochs"]
    assert len({row[3] for row in rows}) == 1


def test_a_mean_far_off_the_law_stands_at_the_edge_with_its_value(axes: Axes) -> None:
    near = [diagnostics.Residual(batch_size=m, error=0.02, interval=(0.0, 0.05), fitted=True) for m in (4, 8)]
    far = diagnostics.Residual(batch_size=1, error=2.0, interval=(1.5, None), fitted=False)
    scrutiny.residuals(axes, [far, *near], None)
    assert [text.get_text().strip() for text in axes.texts] == ["+200 %"]
    assert axes.get_ylim() == pytest.approx((-10, 10))
