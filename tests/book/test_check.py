"""Exercises that check themselves have an answer of the build, and one that cannot be had fails it."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import batchtime_check


def directive(book: Path, answer: str) -> batchtime_check.Check:
    """Return the directive in a book with one executed page."""
    (book / "runs").mkdir(exist_ok=True)
    outputs = [
        {"data": {"text/plain": printed}, "metadata": {"scrapbook": {"name": name, "mime_prefix": ""}}}
        for name, printed in (("best", "41.5"), ("none", "0"), ("words", "'many'"))
    ]
    (book / "runs" / "law.ipynb").write_text(json.dumps({"cells": [{"outputs": outputs}]}))
    env = SimpleNamespace(srcdir=str(book), note_dependency=lambda _: None, new_serialno=lambda _: 3)
    state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    machine = SimpleNamespace(reporter=SimpleNamespace(), get_source_and_line=lambda _=None: ("page", 1))
    options = {"label": "How many <examples>?"}
    return batchtime_check.Check("check", [answer], options, [], 1, 0, "", state, machine)  # type: ignore[arg-type]


@pytest.mark.parametrize(("answer", "wanted"), [("law:best", "41.5"), ("32", "32.0")])
def test_an_answer_is_a_number_or_one_that_a_page_glued(tmp_path: Path, answer: str, wanted: str) -> None:
    (node,) = directive(tmp_path, answer).run()
    form = BeautifulSoup(node.astext(), "html.parser").form
    assert form is not None
    assert form["data-answer"] == wanted
    assert form.label is not None
    assert form.label.text == "How many <examples>?"
    assert form.input is not None
    assert form.label["for"] == form.input["id"]


@pytest.mark.parametrize("answer", ["law:worst", "law:none", "law:words", "other:best", "much", "0"])
def test_an_answer_that_cannot_be_had_fails_the_build(tmp_path: Path, answer: str) -> None:
    with pytest.raises((LookupError, OSError, ValueError)):
        directive(tmp_path, answer).answer(answer)


def test_most_chapters_have_an_exercise_that_checks_itself(site: Path) -> None:
    pages = [site / "tour.html", *(site / "chapters").glob("*.html")]
    with_field = [page.stem for page in pages if 'class="check-answer"' in page.read_text(encoding="utf-8")]
    assert len(with_field) >= 8
