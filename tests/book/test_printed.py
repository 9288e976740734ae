"""The printed book is the whole site in one document, whose links and images lead somewhere."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import printed


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=pytest.mark.full)])
def names(root: Path, request: pytest.FixtureRequest) -> list[str]:
    """Return the pages in their order, or some of them: the first ones, and those with exercises."""
    every = printed.pages(root / "book" / "_toc.yml")
    return [name for name in every if request.param == "all" or name in every[:6] or "exercises" in name]


@pytest.fixture(scope="module")
def document(site: Path, names: list[str]) -> BeautifulSoup:
    """Return the book as one document."""
    return BeautifulSoup(printed.one_document(site, names, "A title"), "html.parser")


def test_every_page_is_there_once_and_in_its_order(site: Path, names: list[str], document: BeautifulSoup) -> None:
    assert names[:2] == ["index", "tour"]
    assert [name for name in names if not (site / f"{name}.html").exists()] == []
    shown = [str(part["id"]) for part in document.select("section.printed-page")]
    assert shown == [printed.identifier(name, "") for name in names]


def test_every_link_inside_leads_to_one_place(document: BeautifulSoup) -> None:
    identifiers = Counter(str(node["id"]) for node in document.body.find_all(id=True))  # type: ignore[union-attr]
    inside = [str(link["href"])[1:] for link in document.body.find_all("a", href=True) if link["href"][0] == "#"]  # type: ignore[union-attr]
    assert inside
    # What holds a proof or an exercise has one name on a whole page, in the site too; nothing links there.
    assert [name for name in sorted(set(inside)) if identifiers[name] != 1] == []


def test_every_image_is_a_file_of_the_site(site: Path, document: BeautifulSoup) -> None:
    images = [str(image["src"]) for image in document.body.find_all("img")]  # type: ignore[union-attr]
    assert images
    assert [image for image in images if not (site / image).is_file()] == []


def test_solutions_are_open_and_what_paper_cannot_use_is_left_out(document: BeautifulSoup) -> None:
    assert document.select("article details:not([open])") == []
    assert document.select("article script, article button, article .headerlink") == []
    assert document.select("article .solution")


def test_a_page_without_an_article_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><head></head><body></body></html>")
    with pytest.raises(printed.PrintError, match=r"a\.html has no article; build the book again: make book"):
        printed.one_document(tmp_path, ["a"], "A title")


def test_without_a_browser_one_line_says_what_to_install(
    site: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(printed.PrintError, match="install Chromium, or name it in CHROMIUM"):
        printed.print_book(site, root / "book" / "_toc.yml", tmp_path / "a.pdf", title="A title")
