"""A stage runs again when something that it depends on has changed in content, and only then.

The stages are the real ones, on a small tree: two pages, of which one reads a recorded run and reaches a module through
another one, inside of a function.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import grimp  # noqa: F401 - for the forks of this process, as are the next two
import jupytext  # noqa: F401
import nbformat  # noqa: F401
import pytest
from doit.doit_cmd import DoitMain

TREE = {
    "src/batchtime/__init__.py": "",
    "src/batchtime/errors.py": "class BatchtimeError(Exception): ...",
    "src/batchtime/book/__init__.py": "",
    "src/batchtime/book/rerun.py": """
import json
def execute(notebook, output, parameters, *, title=None, engine=None):
    output.parent.mkdir(parents=True, exist_ok=True)
    figures = ["law"] if output.stem == "measured" else []
    made = {"title": title, "parameters": parameters, "figures": figures}
    output.write_text(json.dumps({"metadata": {"batchtime": made}}))
    for name in figures:
        folder = output.parent / "figures"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.svg").write_text("<svg/>")
        (folder / f"{name}.csv").write_text("x")
        facts = {"svg_sha256": "SVG", "csv_sha256": "CSV"}
        (folder / f"{name}.json").write_text(json.dumps(facts))
    with open("executed", "a") as log:
        log.write(output.stem + " ")
""".replace("SVG", hashlib.sha256(b"<svg/>").hexdigest()).replace("CSV", hashlib.sha256(b"x").hexdigest()),
    "src/batchtime/book/forked.py": "NAME = 'forked'",
    "src/batchtime/middle.py": "def middle():\n    from batchtime.fit import deep\n",
    "src/batchtime/fit/__init__.py": "",
    "src/batchtime/fit/deep.py": "",
    "src/batchtime/other.py": "",
    "src/batchtime/unused.py": "",
    "notebooks/measured.md": "```{code-cell}\nfrom batchtime.middle import middle\n```\n",
    "notebooks/live.md": "```{code-cell}\nimport numpy as np\nfrom batchtime import other\n```\n",
    "data/runs/mnist.jsonl": "{}\n",
    "requirements.lock": "",
}
HEADER = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
batchtime: BATCHTIME
---
"""
HEADERS = {
    "measured": "{data: ['runs/{workload}*.jsonl'], pages: {measured: {parameters: {workload: mnist}}}}",
    "live": "{pages: {live: {title: Live, parameters: {seeds: 3}}}}",
}


@pytest.fixture(scope="module")
def finished_tree(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Return a small tree, every page of which has been executed."""
    folder = tmp_path_factory.mktemp("tree")
    for name, text in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = HEADER.replace("BATCHTIME", HEADERS[path.stem]) if path.suffix == ".md" else ""
        path.write_text(header + text)
    shutil.copy(root / "dodo.py", folder)
    assert executed(folder) == {"measured", "live"}
    return folder


@pytest.fixture
def tree(finished_tree: Path, tmp_path: Path) -> Path:
    """Return a copy of the small tree, to change something in it."""
    return Path(shutil.copytree(finished_tree, tmp_path / "tree"))


def executed(tree: Path) -> set[str]:
    """Run the page stages, and return the pages that were executed.

    In a fork of this process, which has imported what the stages need: that takes ten times as long as they.
    """
    (tree / "executed").write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: this one uses none of theirs
        child = os.fork()
    if child == 0:
        os._exit(run_pages(tree))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return set((tree / "executed").read_text().split())


def run_pages(tree: Path) -> int:
    """Do as `doit page` in a tree; return the exit code."""
    os.chdir(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "batchtime"]:
        del sys.modules[name]
    sys.path.insert(0, str(tree / "src"))
    sys.dont_write_bytecode = True
    with (tree / "told").open("w") as told, contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            return int(DoitMain().run(["page"]))
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            return 1


def change(path: Path, old: str = "", new: str = "") -> None:
    """Add a comment to a file, or replace something in it."""
    text = path.read_text()
    path.write_text(text.replace(old, new) if old else text + "\n# changed\n")


def test_nothing_runs_when_nothing_changed_even_if_files_are_newer(tree: Path) -> None:
    for path in tree.rglob("*.*"):
        if path.is_file():
            path.touch()
    assert executed(tree) == set()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("notebooks/measured.md", {"measured"}),
        ("notebooks/live.md", {"live"}),
        ("data/runs/mnist.jsonl", {"measured"}),
        ("src/batchtime/middle.py", {"measured"}),
        ("src/batchtime/fit/deep.py", {"measured"}),
        ("src/batchtime/fit/__init__.py", {"measured"}),
        ("src/batchtime/other.py", {"live"}),
        ("src/batchtime/unused.py", set()),
        ("src/batchtime/book/rerun.py", {"measured", "live"}),
        ("requirements.lock", {"measured", "live"}),
    ],
)
def test_a_change_executes_exactly_the_pages_that_depend_on_it(tree: Path, changed: str, expected: set[str]) -> None:
    change(tree / changed)
    assert executed(tree) == expected


def test_a_changed_parameter_executes_its_page(tree: Path) -> None:
    change(tree / "notebooks" / "live.md", "seeds: 3", "seeds: 4")
    assert executed(tree) == {"live"}
    assert '"seeds": 4' in (tree / "book" / "runs" / "live.ipynb").read_text()


def test_a_changed_title_executes_its_page_alone(tree: Path) -> None:
    change(tree / "notebooks" / "live.md", "title: Live", "title: Alive")
    assert executed(tree) == {"live"}
    assert (tree / "book" / "runs" / "live.ipynb").read_text().count('"Alive"') == 1


@pytest.mark.parametrize("name", ["law.svg", "law.csv", "law.json"])
def test_a_published_figure_that_is_gone_or_changed_is_made_again_by_its_page(tree: Path, name: str) -> None:
    part = tree / "book" / "runs" / "figures" / name
    whole = part.read_text()
    part.unlink()
    assert executed(tree) == {"measured"}
    assert part.read_text() == whole
    part.write_text(whole.replace("x", "y").replace("svg", "swg"))
    assert executed(tree) == {"measured"}
    assert part.read_text() == whole
    assert executed(tree) == set()


def test_a_new_recording_that_a_page_asks_for_executes_it(tree: Path) -> None:
    (tree / "data" / "runs" / "mnist-rate-2.jsonl").write_text("{}\n")
    (tree / "data" / "runs" / "cifar.jsonl").write_text("{}\n")
    assert executed(tree) == {"measured"}


def test_each_stage_is_one_line_with_its_number_and_the_page_to_open_comes_last(tree: Path) -> None:
    (tree / "book" / "runs" / "live.ipynb").unlink()
    (tree / "_build" / "html").mkdir(parents=True)
    (tree / "_build" / "html" / "index.html").write_text("")
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "doit", "page"]
    told = subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, text=True).stdout
    first, *_, last = told.splitlines()
    assert first in {"[1/2] live", "[2/2] live"}
    assert "measured" not in told
    assert last == "Open _build/html/index.html"


def test_a_page_that_is_gone_is_executed_again(tree: Path) -> None:
    (tree / "book" / "runs" / "live.ipynb").unlink()
    assert executed(tree) == {"live"}


def test_notebooks_for_colab_fetch_the_repository_that_is_named_and_without_one_a_line_says_so(tree: Path) -> None:
    command = [sys.executable, "-m", "doit", "colab"]
    bare = {name: value for name, value in os.environ.items() if name != "BATCHTIME_REPOSITORY"}
    refused = subprocess.run(command, cwd=tree, env=bare, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "BATCHTIME_REPOSITORY=OWNER/NAME" in refused.stdout + refused.stderr
    subprocess.run(command, cwd=tree, env=bare | {"BATCHTIME_REPOSITORY": "a/b"}, check=True, capture_output=True)
    notebook = json.loads((tree / "_build" / "colab" / "live.ipynb").read_text())
    first, second = ("".join(cell["source"]) for cell in notebook["cells"][:2])
    assert "git clone --quiet https://github.com/a/b " in first
    assert "import numpy" in second
