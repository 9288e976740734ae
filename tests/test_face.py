"""The face: what `import batchtime` offers, its examples, and frames in and out."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import batchtime as bt
from batchtime import cli
from batchtime.fit.curve import CurveFit

from .test_wheel import RUNS, TIMING

pytestmark = pytest.mark.usefixtures("in_this_process")
GIVEN = {"fit", "fit_timings", "predict", "recommend", "read_runs", "read_timings", "LawFit", "TimeFit", "InverseLaw"}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a table of runs and one of timings."""
    (tmp_path / "runs.csv").write_text(RUNS)
    (tmp_path / "timing.csv").write_text(TIMING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def law(tables: Path) -> bt.LawFit:  # noqa: ARG001 - its folder
    """Return the law of the table."""
    fitted = bt.fit(bt.read_runs("runs.csv"))
    assert isinstance(fitted, bt.LawFit)
    return fitted


def test_every_name_of_the_face_is_there_typed_and_listed_once() -> None:
    source = ast.parse(Path(str(bt.__file__)).read_text(encoding="utf-8"))
    typed = {
        alias.asname
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert set(bt.__all__) == typed | {"__version__"}
    assert typed >= GIVEN
    assert all(getattr(bt, name) is not None for name in bt.__all__)
    with pytest.raises(AttributeError, match="batchtime has no 'nothing'"):
        bt.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_slow() -> None:
    program = "import sys, batchtime; sys.exit(any(n in sys.modules for n in ('numpy', 'pandas', 'scipy', 'torch')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_law_can_be_fitted_whichever_part_of_the_package_was_imported_before() -> None:
    program = """
import batchtime.fit.inverse_law, batchtime as bt, pandas as pd
print(bt.fit(pd.DataFrame({"batch_size": [4, 64, 256], "updates": [1000, 250, 212]})).n_runs)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "3"


def documented() -> list[Any]:
    """Return the functions and methods of the face that have an example."""
    some = [
        getattr(bt, name) for name in sorted(set(bt.__all__) - {"__version__", "fit", "published", "Task", "Store"})
    ]
    parts = [
        member for one in some if inspect.isclass(one) for _, member in inspect.getmembers(one, inspect.isfunction)
    ]
    from batchtime.fit import face

    return [
        one
        for one in [*some, *parts, face.fit, face.TimedFit.predict, face.TimedFit.recommend]
        if ">>>" in (text := one.__doc__ or "") and "+SKIP" not in text
    ]


@pytest.mark.parametrize("documented", documented(), ids=lambda one: one.__qualname__)
def test_the_example_in_a_docstring_does_what_it_says(documented: Any, tables: Path) -> None:  # noqa: ARG001
    runs, timings = bt.read_runs("runs.csv"), bt.read_timings("timing.csv")
    names = {name: getattr(bt, name) for name in bt.__all__ if name not in ("fit", "Task")}
    names |= {"fit": bt.fit, "runs": runs, "timings": timings, "np": np, "pd": pd}
    examples = doctest.DocTestFinder(recurse=False).find(documented, documented.__name__, globs=names)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    tried = [runner.run(one) for one in examples]
    assert sum(one.attempted for one in tried) > 0
    assert sum(one.failed for one in tried) == 0


def test_enough_of_the_face_has_an_example() -> None:
    have = {one.__name__ for one in documented()}
    assert have >= {
        "fit",
        "fit_timings",
        "predict",
        "recommend",
        "read_runs",
        "read_timings",
        "summary",
        "plot",
        "to_dict",
    }


def test_a_summary_has_the_estimates_and_intervals_of_the_law(law: bt.LawFit) -> None:
    summary = law.summary()
    assert summary.index.name == "quantity"
    assert list(summary.columns) == ["estimate", "low", "high", "unit"]
    assert summary.loc["n_inf", "estimate"] == law.law.n_inf
    assert (summary["low"] < summary["estimate"]).all()
    assert (summary["estimate"] < summary["high"]).all()


def test_what_is_predicted_is_a_frame_with_intervals(law: bt.LawFit) -> None:
    found = law.predict([4, 1000])
    assert list(found.columns) == ["batch_size", "updates", "low", "high"]
    assert found["updates"].tolist() == pytest.approx([law.law.updates(4.0), law.law.updates(1000.0)])
    assert ((found["low"] < found["updates"]) & (found["updates"] < found["high"])).all()
    both = law.with_timings(bt.read_timings("timing.csv")).predict([64])
    assert both["seconds"].item() == pytest.approx(law.law.updates(64.0) * (1e-3 + 2e-5 * 64), rel=0.05)
    assert both["seconds_low"].item() < both["seconds"].item() < both["seconds_high"].item()


def test_a_law_prints_as_the_command_line_does(law: bt.LawFit, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit", "runs.csv"]) == 0
    assert capsys.readouterr().out == f"runs.csv: {law}\n"


def test_a_recommendation_is_the_same_by_method_function_and_command(
    law: bt.LawFit, capsys: pytest.CaptureFixture[str]
) -> None:
    timings = bt.read_timings("timing.csv")
    found = law.with_timings(timings).recommend(learners=2, max_batch_size=40)
    assert bt.recommend(bt.read_runs("runs.csv"), timings, learners=2, max_batch_size=40) == found
    assert cli.main(["recommend", "runs.csv", "timing.csv", "--learners", "2", "--max-batch-size", "40"]) == 0
    assert capsys.readouterr().out.startswith(str(found))


def test_runs_at_several_learning_rates_give_one_curve(tables: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [
        (size, rate, seed, (4 + 3000 * rate / size / (1 - 50 * rate / size)) / rate * np.exp(generator.normal(0, 0.03)))
        for rate, sizes in {0.01: (4, 8, 16, 32), 0.04: (16, 32, 64, 128), 0.16: (64, 128, 256, 512)}.items()
        for size in sizes
        for seed in range(3)
    ]
    runs = pd.DataFrame(rows, columns=["batch_size", "learning_rate", "seed", "updates"])
    curve = bt.fit(runs)
    assert isinstance(curve, CurveFit)
    assert curve.summary().loc["alpha", "estimate"] == pytest.approx(3000, rel=0.1)
    known = (4 + 3000 * 0.04 / 64 / (1 - 50 * 0.04 / 64)) / 0.04
    assert curve.predict([64], learning_rate=0.04)["updates"].item() == pytest.approx(known, rel=0.1)
    assert len(curve.plot().get_legend_handles_labels()[1]) == 4
    advised = curve.with_timings(bt.read_timings(tables / "timing.csv")).recommend()
    assert advised.learning_rate is not None
    assert advised.learning_rate <= 0.16


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({"batch_size": [4, 64]}, "lacks updates"),
        ({"batch_size": [4, 64], "updates": [9, 5], "learning_rate": [0.1, None]}, "1 of 2 runs have no learning_rate"),
        ({"batch_size": [4, 4], "updates": [9, 8]}, "add runs at another batch size"),
    ],
)
def test_a_frame_that_determines_nothing_is_refused_in_one_line(runs: dict[str, list[float]], said: str) -> None:
    with pytest.raises(bt.FitError, match=said) as refusal:
        bt.fit(pd.DataFrame(runs))
    assert "\n" not in str(refusal.value)
