"""Promises of the notebooks: prose first, short cells, logic in the package."""

import ast
import functools
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

# Those in notebooks/exercises are for learners, who write functions: the rules for the book's own cells are not theirs.
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.md"))


@functools.cache
def cells(notebook: Path) -> list[nbformat.NotebookNode]:
    """Return the code cells."""
    return [cell for cell in jupytext.read(notebook).cells if cell.cell_type == "code"]


@functools.cache
def prose(book: Path) -> str:
    """Return the text of all pages that are not executed."""
    return " ".join(path.read_text(encoding="utf-8") for path in book.rglob("*.md"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_what_takes_more_belongs_to_the_package(notebook: Path) -> None:
    for source in (cell.source for cell in cells(notebook)):
        assert len([line for line in source.splitlines() if line.strip()]) <= 15, source
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.While)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, forbidden)], source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_has_a_caption_and_says_what_is_seen(notebook: Path) -> None:
    for cell in cells(notebook):
        if "figures.publish" in cell.source:
            assert cell.metadata["mystnb"]["figure"]["caption"].strip()
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 60


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_number_that_is_glued_is_used_and_one_that_is_used_is_glued(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    quantities = set(re.findall(r'quantity\(\s*f?"[\w{}-]+\.(\w+)"', text))
    glued = set(re.findall(r'glue\("(\w+)"', text)) | quantities | {f"{name}_interval" for name in quantities}
    used = {name.split(":")[0] for name in re.findall(r"\{glue:text\}`([^`]+)`", text)}
    assert used <= glued
    elsewhere = prose(notebook.parents[1] / "book")
    unused = {name for name in glued - used if f":{name}:" not in elsewhere}
    assert not {name for name in unused if name.removesuffix("_interval") not in quantities}
