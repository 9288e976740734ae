"""A number in the prose is the one that its notebook glued, and a missing one fails the build."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK: dict[str, Any] = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"batchtime": {"notebook": "notebooks/law.md", "seconds": 3.2, "command": "batchtime rerun law"}},
    "cells": [
        {
            "cell_type": "code",
            "id": "glue",
            "metadata": {},
            "execution_count": 1,
            "source": "",
            "outputs": [
                {
                    "output_type": "display_data",
                    "data": {"application/papermill.record/text/plain": "1234.5678"},
                    "metadata": {"scrapbook": {"name": "n_inf", "mime_prefix": "application/papermill.record/"}},
                }
            ],
        }
    ],
}


def build(
    tree: Path, root: Path, prose: str, *, notebook: dict[str, Any] = NOTEBOOK, shown: bool = False
) -> subprocess.CompletedProcess[str]:
    """Render a book of one page, and of its notebook's if that is to be shown, with the real configuration."""
    (tree / "book" / "runs").mkdir(parents=True)
    (tree / "notebooks").mkdir()
    (tree / "notebooks" / "law.md").write_text("# The law\n")
    (tree / "book" / "runs" / "law.ipynb").write_text(json.dumps(notebook))
    (tree / "book" / "index.md").write_text(f"# A page\n\n{prose}\n")
    chapters = "chapters:\n  - file: runs/law\n" if shown else ""
    (tree / "book" / "_toc.yml").write_text(f"format: jb-book\nroot: index\n{chapters}")
    (tree / "book" / "references.bib").write_text("")
    for folder in ("_ext", "_assets"):
        shutil.copytree(root / "book" / folder, tree / "book" / folder)
    shutil.copy(root / "_config.yml", tree)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "book", "--config", "_config.yml"]
    options = ["--path-output", ".", "-W", "-n", "--keep-going"]
    return subprocess.run([*command, *options], cwd=tree, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, root: Path) -> str:
    """Return a page that states a published quantity and a glued number."""
    tree = tmp_path_factory.mktemp("book")
    (tree / "_build").mkdir()
    known = {"name": "law.n_inf", "value": 739.35, "interval": [691.3, None], "unit": "updates", "source": "law"}
    (tree / "_build" / "quantities.json").write_text(json.dumps([known]))
    prose = (
        "```{minutes}\n```\n\n"
        + 300 * "word "
        + "\n\nIt is {num}`law.n_inf:.0f` ({num}`law.n_inf.interval:s`).\n\nIt takes {num}`law:n_inf:,.1f` updates."
    )
    built = build(tree, root, prose)
    assert built.returncode == 0, built.stderr
    return (tree / "_build" / "html" / "index.html").read_text()


def test_a_published_quantity_appears_on_any_page_with_its_interval(page: str) -> None:
    assert "It is 739 (more than 691)." in page


def test_a_page_says_in_its_margin_how_long_it_takes_to_read(page: str) -> None:
    assert page.count("2 minutes to read") == 1  # 300 words and some, at 200 a minute


def test_a_glued_number_appears_in_the_prose_of_any_page_in_the_asked_format(page: str) -> None:
    assert "It takes 1,234.6 updates." in page


def test_each_number_that_cannot_be_written_fails_the_build_and_is_named_with_its_line(
    tmp_path: Path, root: Path
) -> None:
    told = {
        "law:alpha:.1f": "the page glues no 'alpha', only n_inf",
        "other:n_inf:.1f": "other.ipynb",
        "law:n_inf": "write name:format or page:name:format",
        "law:n_inf:.1q": "Unknown format code",
    }
    built = build(tmp_path, root, "\n\n".join(f"{{num}}`{role}`" for role in told))
    assert built.returncode != 0
    for line, (role, reason) in zip((3, 5, 7, 9), told.items(), strict=True):
        warnings = [text for text in built.stderr.splitlines() if role in text]
        assert any(reason in text and f"index.md:{line}" in text for text in warnings), built.stderr


def test_a_page_leads_to_binder_and_colab_where_the_repository_is_named_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
    import batchtime_book

    monkeypatch.delenv("BATCHTIME_REPOSITORY", raising=False)
    assert batchtime_book.launchers("law") == {}
    monkeypatch.setenv("BATCHTIME_REPOSITORY", "a/b")
    assert batchtime_book.launchers("law") == {
        "Binder": "https://mybinder.org/v2/gh/a/b/main?labpath=notebooks%2Flaw.ipynb",
        "Colab": "https://colab.research.google.com/github/a/b/blob/colab/law.ipynb",
    }


def test_a_docstring_is_shown_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
    import batchtime_book

    lines = ["`code` and |x - w*|", "a ` alone"]
    batchtime_book.plain_docstring(None, "function", "", None, None, lines)
    assert lines == ["``code`` and \\|x - w\\*\\|", "a ` alone"]
    batchtime_book.plain_docstring(None, "data", "", None, None, value := ["At least: no type."])
    assert value == ["", "At least: no type."]
