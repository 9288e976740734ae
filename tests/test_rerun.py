"""A notebook is executed with parameters of one's own; a wrong parameter stops before a kernel starts."""

import contextlib
import hashlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup

from batchtime.book import rerun
from batchtime.errors import NotebookError, ParameterError

from .builders import at_a_terminal

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
from batchtime.runs.spec import Optimizer
Optimizer(momentum=learning_rate)
(workload, batch_sizes, learning_rate, seeds, out_dir)
```

Formulas such as $N(M)$ are shown.
"""
DRAWING = """
```{code-cell} ipython3
from matplotlib import pyplot as plt
import pandas as pd
from batchtime.book import figures
from batchtime.book.quantities import quantity
drawn = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
figure, axes = plt.subplots()
axes.plot(drawn["x"], drawn["y"])
quantity(f"{workload}.slope", 1.0, interval=(0.5, None), unit="y an x")
figures.publish(figure, out_dir, "two points", data=drawn)
```
"""
# Its kernel needs a moment to end: long enough to answer that it was interrupted.
SLEEPING = """
```{code-cell} ipython3
import os, time
from pathlib import Path
Path(out_dir).write_text(str(os.getpid()))
try:
    time.sleep(600)
finally:
    time.sleep(0.5)
```
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
    return "\n".join("".join(o["data"].get("text/plain", "")) for cell in cells for o in cell.get("outputs", []))


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is executed."""
    monkeypatch.setattr("papermill.execute_notebook", lambda *_args, **_options: pytest.fail("it was executed"))


def test_parameters_are_described_with_type_default_and_help(notebook: Path) -> None:
    described = {p.name: (p.kind, p.default, p.help) for p in rerun.describe(notebook)}
    assert described["seeds"] == ("int", 10, "runs at each batch size")
    assert described["batch_sizes"] == ("list", [16, 64], "examples")
    assert list(described) == ["workload", "batch_sizes", "learning_rate", "seeds", "out_dir"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small notebook with a figure, executed once for all that look at it."""
    checkout = tmp_path_factory.mktemp("checkout")
    notebook, output = checkout / "notebooks" / "small.md", checkout / "out" / "small.ipynb"
    notebook.parent.mkdir()
    notebook.write_text(NOTEBOOK + DRAWING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rerun, "ROOT", checkout)
        rerun.execute(notebook, output, {"batch_sizes": [4], "learning_rate": 0.5})
    return output


COMMAND = ".venv/bin/batchtime rerun notebooks/small.md -p batch_sizes '[4]' -p learning_rate 0.5 --out my-run"


def test_given_parameters_replace_the_defaults_and_the_others_stay(drawn: Path) -> None:
    assert outputs(drawn).splitlines()[0] == "('digits', [4], 0.5, 10, 'out/figures')"


def test_an_executed_notebook_says_how_to_make_it_again(drawn: Path) -> None:
    made = json.loads(drawn.read_text())["metadata"]["batchtime"]
    assert made["command"] == COMMAND
    assert made["seconds"] > 0
    assert str(drawn.parents[1]) not in drawn.read_text()


def test_a_figure_is_told_with_what_it_was_made_of_and_the_command_that_makes_it_again(drawn: Path) -> None:
    output = drawn
    facts = json.loads((output.parent / "figures" / "two points.json").read_text())
    for kind in ("svg", "csv"):
        content = (output.parent / "figures" / f"two points.{kind}").read_bytes()
        assert hashlib.sha256(content).hexdigest() == facts[f"{kind}_sha256"]
    made = json.loads(output.read_text())["metadata"]["batchtime"]
    assert made.pop("figures") == ["two points"]
    registered = {"name": "digits.slope", "value": 1.0, "interval": [0.5, None], "unit": "y an x"}
    assert made.pop("quantities") == [registered]
    assert made.items() <= facts.items()
    assert "batchtime_quantity" not in output.read_text()  # no page shows an output for it
    assert facts["page"] == "small"
    assert facts["command"] == COMMAND
    assert {"python", "numpy", "matplotlib", "torch"} <= set(facts["environment"]["versions"])


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


def test_what_the_package_refuses_in_a_notebook_is_its_message_alone_and_leaves_the_earlier_result(
    notebook: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.ipynb"
    output.write_text("earlier")
    with pytest.raises(NotebookError) as refusal:
        rerun.execute(notebook, output, {"learning_rate": 5.0})
    assert str(refusal.value).startswith("momentum = 5.0 is not allowed")
    assert output.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.ipynb"]


def test_any_other_error_names_the_notebook_the_cell_and_the_error(notebook: Path, tmp_path: Path) -> None:
    notebook.write_text(NOTEBOOK.replace("(workload, batch", "1 / 0\n(workload, batch"))
    with pytest.raises(NotebookError) as refusal:
        rerun.execute(notebook, output := tmp_path / "out.ipynb", {})
    assert not output.exists()
    assert str(refusal.value).startswith("small.md, cell ")
    assert str(refusal.value).endswith("stopped: ZeroDivisionError: division by zero")


def test_a_kernel_that_dies_is_told_as_such(notebook: Path, tmp_path: Path) -> None:
    notebook.write_text(NOTEBOOK.replace("(workload, batch", "import os; os._exit(1)\n(workload, batch"))
    with pytest.raises(NotebookError, match=r"small.md stopped with its kernel: Kernel died"):
        rerun.execute(notebook, tmp_path / "out.ipynb", {})


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


@pytest.mark.usefixtures("no_kernel")
def test_a_folder_that_cannot_be_written_stops_before_anything_runs(notebook: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(ParameterError) as refusal:
            rerun.rerun(notebook, {}, out)
        assert str(refusal.value).startswith(
            f"out = {str(out)!r} is not allowed; allowed: a folder that can be written"
        )
        assert "\n" not in str(refusal.value)


def alive(process: int) -> bool:
    """Return whether a process of this number runs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def until(condition: object, *, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_ctrl_c_stops_a_rerun_with_one_line_and_leaves_no_kernel(tmp_path: Path) -> None:
    notebook, marker = tmp_path / "sleeping.md", tmp_path / "kernel"
    notebook.write_text(NOTEBOOK + SLEEPING)
    command = [str(Path(sys.executable).with_name("batchtime")), "rerun", str(notebook)]
    options = ["-p", "out_dir", str(marker), "--out", str(tmp_path / "mine")]
    running = at_a_terminal([*command, *options])
    try:
        until(lambda: marker.exists() and marker.read_text())
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        out, told = running.communicate(timeout=60)
    finally:
        running.kill()
    assert (running.returncode, out) == (130, "")
    assert told.startswith("batchtime: stopped")
    assert len(told.splitlines()) == 1, told
    until(lambda: not alive(int(marker.read_text())), seconds=10)
    assert not (tmp_path / "mine").exists()


def fingerprints(*folders: Path) -> dict[Path, str]:
    """Return a hash of every file of these folders."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def own_data(root: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty data folder that the notebooks use; the published book must stay as it is, byte by byte."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BATCHTIME_DATA", str(folder))
    published = fingerprints(root / "book" / "runs", site)
    yield folder
    assert fingerprints(root / "book" / "runs", site) == published


@pytest.mark.full  # the small notebook above goes the same way, and the book's own are executed by its build
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("inverse-law", {"workload": "digits-mlp", "batch_sizes": [16, 64, 256], "seeds": 2, "target": 0.3}),
        ("known-answer", {"seeds": 2}),
    ],
)
def test_a_notebook_of_the_book_makes_a_whole_page_of_other_runs(
    own_data: Path, tmp_path: Path, name: str, parameters: dict[str, object]
) -> None:
    path = rerun.rerun(rerun.find_notebook(name), parameters, tmp_path / "mine")
    page = BeautifulSoup(path.read_text(), "html.parser")
    glued = [number.text for number in page.select(".pasted-text, .pasted-inline")]
    assert len(glued) > 5
    assert [text for text in glued if re.fullmatch(r"\W*|.*\bnan\b.*", text)] == []
    assert re.findall(r"\bnan\b", page.select_one("article").text) == []  # type: ignore[union-attr]
    loaded = [str(tag.get("src") or tag.get("href") or "") for tag in page.select("script, img, link")]
    beside = [urlsplit(address).path for address in loaded if address.startswith("_")]
    assert len(beside) > 5
    assert [address for address in beside if not (path.parent / address).is_file()] == []
    assert (own_data / "cache" / "runs").is_dir()


@pytest.mark.full
@pytest.mark.parametrize(
    "constants",
    [
        {"smoothness": 4, "curvature": 0.4, "sigma": 1, "epsilon": 0.02, "learning_rate": 0.05, "batch_size": 256},
        {"smoothness": 0.5, "curvature": 0.01, "sigma": 10, "epsilon": 0.001, "learning_rate": 0.5},
    ],
)
def test_the_page_of_the_bound_holds_for_constants_of_ones_own(tmp_path: Path, constants: dict[str, object]) -> None:
    path = rerun.rerun(rerun.find_notebook("bound"), constants, tmp_path / "mine")
    page = BeautifulSoup(path.read_text(), "html.parser")
    (margins,) = [table for table in page.select("table") if "larger side" in table.text]
    assert len(margins.select("tr")) > 80
    assert {row.select("td")[-1].text for row in margins.select("tbody tr")} == {"yes"}
    assert re.findall(r"\bnan\b", page.select_one("article").text) == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parameter", "value", "allowed"),
    [
        ("batch_sizes", [0], "distinct whole numbers from 1"),
        pytest.param("target", 5, "an error is a fraction", marks=pytest.mark.full),
        pytest.param("workload", "nowhere", "`batchtime workloads` lists", marks=pytest.mark.full),
    ],
)
def test_a_value_that_the_book_cannot_run_is_refused_in_one_line_before_any_run(
    own_data: Path, tmp_path: Path, parameter: str, value: object, allowed: str
) -> None:
    with pytest.raises(NotebookError) as refusal:
        rerun.rerun(rerun.find_notebook("inverse-law"), {parameter: value}, tmp_path / "mine")
    assert str(refusal.value).startswith(f"{parameter} = ")
    assert allowed in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert [path for path in own_data.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "mine").exists()
