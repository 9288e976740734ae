"""The page on the state of the build says what the executed notebooks say of themselves."""

import copy
import json
import re
from importlib import metadata
from pathlib import Path

from bs4 import BeautifulSoup

from .test_extension import NOTEBOOK, build

ENVIRONMENT = {
    "commit": "0123456789abcdef",
    "dirty": True,
    "versions": {"python": "3.11.7", "numpy": "9.8.7"},
    "cpu": "a machine (3 processors)",
    "date": "2026-01-02T03:04:05+00:00",
}


def text_of(page: Path) -> str:
    """Return the article of a page as one line."""
    return " ".join(BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select("article")[0].text.split())


def test_every_executed_page_has_its_row_with_time_commit_and_parameters(root: Path, site: Path) -> None:
    rows = BeautifulSoup((site / "status.html").read_text(encoding="utf-8"), "html.parser").select("tbody tr")
    by_page = {str(link["href"]).split("#")[0]: row for row in rows for link in row.select("a")}
    executed = {f"runs/{page.name}": page.stem for page in (site / "runs").glob("*.html")}
    assert set(by_page) == set(executed)
    for address, name in executed.items():
        notebook = root / "book" / "runs" / f"{name}.ipynb"
        made = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["batchtime"]
        cells = [" ".join(cell.text.split()) for cell in by_page[address].select("td")]
        assert float(cells[1].split()[0]) == round(made["seconds"], 1) or made["seconds"] >= 100, name
        assert cells[2] == made["environment"]["date"][:16].replace("T", " ")
        assert cells[3].startswith(made["environment"]["commit"][:10])
        assert ("not committed" in cells[3]) == made["environment"]["dirty"]
        for key, value in made["parameters"].items():
            assert (f"{key} = {value!r}" in cells[4]) == (key != "out_dir"), cells


def test_the_tools_are_told_with_the_versions_that_are_installed_and_how_long_the_rendering_took(site: Path) -> None:
    text = text_of(site / "status.html")
    for name in ("sphinx", "jupyter-book", "papermill", "matplotlib", "torch", "doit"):
        assert f"{name} {metadata.version(name)}" in text
    assert re.search(r"rendered on [-\d]+, at commit [^.]* in (\d+\.\d s|\d+ min \d+ s)\.", text), text[:600]


def test_a_notebook_executed_elsewhere_is_told_as_such(tmp_path: Path, root: Path) -> None:
    notebook = copy.deepcopy(NOTEBOOK)
    # Without figures beside it, as a notebook has that draws none.
    made = {
        "figures": [],
        "parameters": {"seeds": 3},
        "seconds": 123.4,
        "requirements_sha256": "feed",
        "environment": ENVIRONMENT,
    }
    notebook["metadata"]["batchtime"] |= made
    notebook["cells"].insert(0, {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# The law"})
    built = build(tmp_path, root, "```{status}\n```", notebook=notebook, shown=True)
    assert built.returncode == 0, built.stderr
    text = text_of(tmp_path / "_build" / "html" / "index.html")
    assert "Executed pages: 1, in 2 min 3 s together." in text
    assert "1 page on a machine (3 processors): python 3.11.7, numpy 9.8.7; SHA-256 of requirements.lock feed." in text
    row = "The law 2 min 3 s 2026-01-02 03:04 0123456789, with changes that are not committed seeds = 3"
    assert row in text
