"""The rendered book is whole: every page of the table of contents, every link, anchor, image and formula script."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup, Tag

import batchtime
from tests.pages import pages_of


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, BeautifulSoup]:
    """Return every page of the site."""
    return pages_of(site.resolve())


def documents(node: object) -> Iterator[str]:
    """Return every document that a table of contents names."""
    if isinstance(node, dict):
        yield from (str(node[key]) for key in ("root", "file") if key in node)
        for child in node.values():
            yield from documents(child)
    elif isinstance(node, list):
        for child in node:
            yield from documents(child)


def attribute(tag: Tag, name: str) -> str:
    """Return an attribute of an element as text, empty where it is missing."""
    return str(tag.get(name, ""))


def test_every_page_of_the_table_of_contents_is_rendered_with_one_title(
    root: Path, site: Path, pages: dict[Path, BeautifulSoup]
) -> None:
    names = list(documents(yaml.safe_load((root / "book" / "_toc.yml").read_text())))
    assert names
    for name in names:
        # Outside of the article the theme repeats the title, for print alone.
        assert len(pages[(site / f"{name}.html").resolve()].select("article h1")) == 1, name


def test_the_reference_lists_the_face_and_no_more(root: Path) -> None:
    page = (root / "book" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"auto(?:function|class|exception):: batchtime\.[\w.]+\.(\w+)", page)) | {"published"}
    # What `with_timings` returns is described where it is met; the version needs no words.
    assert documented - {"TimedFit", "Watch", "Watched"} == set(batchtime.__all__) - {"__version__"}


def test_every_link_leads_to_a_file_and_an_anchor_that_exist(pages: dict[Path, BeautifulSoup]) -> None:
    anchors = {path: {attribute(tag, "id") for tag in page.find_all(id=True)} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for tag in page.find_all(["a", "link", "script", "img", "source"]):
            for address in (attribute(tag, "href"), attribute(tag, "src")):
                parts = urlsplit(address)
                if not address or parts.scheme or address == "#":
                    continue
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                anchor = unquote(parts.fragment)
                if not target.exists() or (anchor and target in anchors and anchor not in anchors[target]):
                    broken.append(f"{path.name}: {address}")
    assert broken == []


def test_every_image_says_what_it_shows(pages: dict[Path, BeautifulSoup]) -> None:
    # A bare file name is what Sphinx writes where no text was given.
    silent = [
        f"{path.name}: {attribute(image, 'src')}"
        for path, page in pages.items()
        for image in page.find_all("img")
        if len(attribute(image, "alt").split()) < 3
    ]
    assert silent == []


def test_nothing_is_loaded_from_another_address(pages: dict[Path, BeautifulSoup]) -> None:
    outside = [
        f"{path.name}: {attribute(tag, name)}"
        for path, page in pages.items()
        for tags, name in ((["script", "img", "iframe"], "src"), (["link"], "href"))
        for tag in page.find_all(tags)
        if attribute(tag, name).startswith(("http:", "https:", "//")) and "canonical" not in attribute(tag, "rel")
    ]
    assert outside == []


def test_no_cell_shows_a_traceback_or_a_warning(pages: dict[Path, BeautifulSoup]) -> None:
    shown = [path.name for path, page in pages.items() if page.select(".output.traceback, .output.stderr")]
    assert shown == []


def prose(pages: dict[Path, BeautifulSoup], pattern: str) -> list[tuple[str, str]]:
    """Return the page and the start of each text outside of code and formulas in which a pattern is found."""
    return [
        (path.name, str(text)[:80])
        for path, page in pages.items()
        for text in page.find_all(string=re.compile(pattern))
        if text.find_parent(["pre", "code", "script", "textarea"]) is None and not text.find_parent(class_="math")
    ]


def test_no_markup_is_left_in_the_text(pages: dict[Path, BeautifulSoup]) -> None:
    assert prose(pages, r"\{[\w:-]+\}`|\$[^$]+\$|\]\(|^:{3,}|`{3}") == []


def test_a_percent_sign_stands_off_its_number_on_every_page(pages: dict[Path, BeautifulSoup]) -> None:
    assert prose(pages, r"\d%") == []


def test_every_executed_page_says_how_to_run_it_again(site: Path, pages: dict[Path, BeautifulSoup]) -> None:
    executed = [path for path in pages if path.parent == (site / "runs").resolve()]
    assert executed
    for path in executed:
        origin = pages[path].select_one(".origin")
        assert origin is not None, path.name
        assert "batchtime rerun notebooks/" in origin.text, path.name


def test_the_code_of_a_page_is_in_one_control_that_comes_after_what_it_made(
    root: Path, site: Path, pages: dict[Path, BeautifulSoup]
) -> None:
    folded = 0
    for path, page in pages.items():
        assert page.select("article details.hide") == [], path.name
        controls = page.select("article details.all-code")
        if path.parent != (site / "runs").resolve():
            assert controls == [], path.name
            continue
        executed = json.loads((root / "book" / "runs" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))
        hidden = [one for one in executed["cells"] if "hide-input" in one["metadata"].get("tags", [])]
        assert len(controls) == (1 if hidden else 0), path.name
        if hidden:
            assert len(controls[0].select("pre")) == len(hidden), path.name
            assert controls[0].find_next("figure") is None, path.name
            folded += len(hidden)
    assert folded > 100


def test_the_book_names_no_path_of_the_machine_that_made_it(root: Path, site: Path) -> None:
    texts = [
        path for path in site.rglob("*") if path.suffix in {".html", ".js", ".txt"} and "_static" not in path.parts
    ]
    assert [path.name for path in texts if str(root) in path.read_text(encoding="utf-8")] == []
