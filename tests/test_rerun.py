"""A notebook is executed with parameters of one's own; a wrong parameter stops before a kernel starts."""

import json
from pathlib import Path

import pytest

from batchtime import rerun
from batchtime.records import ParameterError

NOTEBOOK = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# A small notebook

```{code-cell} ipython3
:tags: [parameters]

workload: str = "digits"  # name of the workload
batch_sizes: list = [16, 64]  # examples
learning_rate: float = 0.1  # step size
seeds: int = 10  # runs at each batch size
out_dir: str = "nowhere"  # folder of figures
```

```{code-cell} ipython3
from batchtime.records import Target
Target(metric="error", value=learning_rate)
(workload, batch_sizes, learning_rate, seeds, out_dir)
```

Formulas such as $N(M)$ are shown.
"""


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a notebook in a checkout of its own."""
    monkeypatch.setattr(rerun, "ROOT", tmp_path)
    path = tmp_path / "notebooks" / "small.md"
    path.parent.mkdir()
    path.write_text(NOTEBOOK)
    return path


def outputs(path: Path) -> str:
    """Return what the cells of an executed notebook printed."""
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(o["data"]["text/plain"]) for cell in cells for o in cell.get("outputs", []))


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is executed."""
    monkeypatch.setattr("papermill.execute_notebook", lambda *_args, **_options: pytest.fail("it was executed"))


def test_parameters_are_described_with_type_default_and_help(notebook: Path) -> None:
    described = {p.name: (p.kind, p.default, p.help) for p in rerun.describe(notebook)}
    assert described["seeds"] == ("int", 10, "runs at each batch size")
    assert described["batch_sizes"] == ("list", [16, 64], "examples")
    assert list(described) == ["workload", "batch_sizes", "learning_rate", "seeds", "out_dir"]


def test_given_parameters_replace_the_defaults_and_the_others_stay(notebook: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "small.ipynb"
    rerun.execute(notebook, output, {"batch_sizes": [4], "learning_rate": 0.5})
    assert outputs(output) == "('digits', [4], 0.5, 10, 'out/figures')"


def test_an_executed_notebook_says_how_to_make_it_again(notebook: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "small.ipynb"
    rerun.execute(notebook, output, {"batch_sizes": [4]})
    made = json.loads(output.read_text())["metadata"]["batchtime"]
    assert made["command"] == "batchtime rerun notebooks/small.md -p batch_sizes '[4]' --out my-run"
    assert made["seconds"] > 0
    assert str(tmp_path) not in output.read_text()


def test_values_typed_on_a_command_line_become_numbers_lists_and_text() -> None:
    pairs = [
        ("a", "3"),
        ("b", "0.5"),
        ("c", "None"),
        ("d", "mnist-lenet"),
        ("e", "[1, 2]"),
        ("f", "True"),
        ("g", "1e-2"),
    ]
    assert list(rerun.parse(pairs).values()) == [3, 0.5, None, "mnist-lenet", [1, 2], True, 0.01]


@pytest.mark.parametrize(
    ("pairs", "named"),
    [([("sizes", "[1, x")], "[1, x"), ([("seeds", "1"), ("seeds", "2")], "seeds = '2'")],
)
def test_values_that_mean_nothing_are_refused_by_name(pairs: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        rerun.parse(pairs)
    assert named in str(refusal.value)


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"seed": 3}, "no parameter 'seed'; it has workload: str = 'digits'; batch_sizes"),
        ({"seeds": "ten"}, "seeds = 'ten' is not allowed; allowed: a value of type int"),
        ({"seeds": 2.5}, "seeds = 2.5"),
        ({"seeds": True}, "seeds = True"),
        ({"batch_sizes": 16}, "batch_sizes = 16"),
        ({"workload": 3}, "workload = 3"),
    ],
)
def test_a_misspelt_name_or_a_value_of_another_type_stops_before_anything_runs(
    notebook: Path, tmp_path: Path, parameters: dict[str, object], named: str
) -> None:
    with pytest.raises(ParameterError) as refusal:
        rerun.execute(notebook, tmp_path / "out.ipynb", parameters)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_whole_number_may_stand_for_a_fraction(notebook: Path) -> None:
    rate = next(p for p in rerun.describe(notebook) if p.name == "learning_rate")
    rate.check(1)


def test_what_the_package_refuses_in_a_notebook_arrives_as_its_message_alone(notebook: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ipynb"
    with pytest.raises(rerun.NotebookError) as refusal:
        rerun.execute(notebook, output, {"learning_rate": 5.0})
    assert str(refusal.value).startswith("target = 5.0 is not allowed")
    assert not output.exists()


def test_any_other_error_names_the_notebook_the_cell_and_the_error(notebook: Path, tmp_path: Path) -> None:
    notebook.write_text(NOTEBOOK.replace("(workload, batch", "1 / 0\n(workload, batch"))
    with pytest.raises(rerun.NotebookError) as refusal:
        rerun.execute(notebook, tmp_path / "out.ipynb", {})
    assert str(refusal.value).startswith("small.md, cell ")
    assert str(refusal.value).endswith("stopped: ZeroDivisionError: division by zero")


def test_a_failed_run_leaves_the_earlier_result_as_it_was(notebook: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ipynb"
    output.write_text("earlier")
    with pytest.raises(rerun.NotebookError):
        rerun.execute(notebook, output, {"learning_rate": 5.0})
    assert output.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.ipynb"]


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("folder", ["book", "book/runs", "_build/html/mine"])
def test_the_published_book_is_never_written_to(notebook: Path, tmp_path: Path, folder: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        rerun.rerun(notebook, {}, tmp_path / folder)
    assert "the published book" in str(refusal.value)
    with pytest.raises(ParameterError, match="out_dir"):
        rerun.rerun(notebook, {"out_dir": folder}, tmp_path / "mine")


def test_a_rerun_page_stands_where_it_was_asked_for_and_shows_the_changed_value(tmp_path: Path) -> None:
    notebook = tmp_path / "small.md"  # somebody's own, outside of the checkout
    notebook.write_text(NOTEBOOK)
    page = rerun.rerun(notebook, {"batch_sizes": [3, 5]}, tmp_path / "mine")
    assert page == tmp_path / "mine" / "small.html"
    assert "[3, 5]" in page.read_text()
    assert (tmp_path / "mine" / "_static" / "tex-svg.js").exists()


def test_a_notebook_is_found_by_its_name_and_an_unknown_one_is_refused_with_the_list(root: Path) -> None:
    known = sorted(path.stem for path in (root / "notebooks").glob("*.md"))
    assert rerun.find_notebook(known[0]) == root / "notebooks" / f"{known[0]}.md"
    with pytest.raises(ParameterError, match=known[0]):
        rerun.find_notebook("nothing-of-this-name")
