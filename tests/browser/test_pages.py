"""Every page as a reader sees it in a browser: on a desk and on a phone, light and dark, served and from a file."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
NAMES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
READERS = sorted(set(NAMES) - {"genindex.html", "search.html", "slides/index.html"})  # slides: test_slides.py
# Pages that cannot do without mathematics: were none found there, the test would look for it in the wrong way.
FORMULAS = {"notation.html", "protocol.html"} | {name for name in NAMES if name.startswith(("runs/", "bound/"))} - {
    "bound/executed.html",
    "bound/margins.html",
    "runs/own-model.html",
}
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# Tables and code of which a part lies outside of what encloses it, to be scrolled for.
CUT_OFF = """
    Array.from(document.querySelectorAll("article pre, article table"), node => node.closest("div"))
        .concat(...document.querySelectorAll("article pre"))
        .filter(node => node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)
        .map(node => node.textContent.trim().slice(0, 60))
"""


# Bytes that a page waits for before it can draw anything: itself, its style sheets, and scripts that are not deferred.
BEFORE_PAINT = """
    performance.getEntriesByType("navigation")[0].decodedBodySize
    + performance.getEntriesByType("resource")
        .filter(entry => entry.renderBlockingStatus === "blocking")
        .reduce((sum, entry) => sum + entry.decodedBodySize, 0)
"""
MOST_BEFORE_PAINT = 1_500_000
MOST_MARKUP = 300_000  # bytes of a page beside its images


@dataclass
class Visit:
    """A page that was opened, and what it asked for and complained about."""

    page: Page
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def visit(browser: Browser, address: str, *, viewport: dict[str, int], scheme: str = "light") -> Visit:
    """Open a page and wait until it is drawn."""
    page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    seen = Visit(page)
    here = address.split("/", maxsplit=3)[2]
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("data:", "blob:")) or request.url.split("/", maxsplit=3)[2] == here
            else seen.outside.append(request.url)
        ),
    )
    page.on("console", lambda line: seen.complaints.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("requestfailed", lambda request: seen.complaints.append(f"failed: {request.url}"))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.evaluate("window.MathJax?.startup?.promise")
    return seen


def test_the_book_has_pages_to_visit_and_pages_with_formulas(site: Path) -> None:
    assert (site / "index.html").exists()  # or the fixture fails, and says what to do
    assert len(READERS) > len(FORMULAS & set(READERS)) > 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("served", "viewport"), [(True, DESK), (False, PHONE)], ids=["served-desk", "file-phone"])
def test_a_page_is_whole_drawn_quiet_and_accessible_light_and_dark(
    browser: Browser, server: str, name: str, viewport: dict[str, int], *, served: bool
) -> None:
    address = f"{server}/{name}" if served else (SITE / name).as_uri()
    seen = visit(browser, address, viewport=viewport)
    page = seen.page
    assert (seen.outside, seen.complaints) == ([], [])  # before axe, which fetches style sheets by itself
    if served:
        needed = page.evaluate(BEFORE_PAINT)
        assert (SITE / name).stat().st_size < needed <= MOST_BEFORE_PAINT
    if name in READERS:
        formulas, drawn = page.locator(".math").count(), page.locator(".math mjx-container svg").count()
        assert drawn >= formulas >= (1 if name in FORMULAS else 0)
        # An unknown command is drawn in red, any other mistake as an error node.
        assert page.locator('mjx-container [data-mml-node="merror"], mjx-container [fill="red"]').count() == 0
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
            # Colours on their way from one scheme to the other are nobody's.
            page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
            assert violations(page) == []
        if viewport == PHONE:
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert page.evaluate(CUT_OFF) == []


def violations(page: Page) -> list[str]:
    """Return what breaks the rules of accessibility, A and AA."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = Axe().run(page, options={"runOnly": tags}).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_markup_of_a_page_is_small(name: str) -> None:
    assert (SITE / name).stat().st_size <= MOST_MARKUP


@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
def test_the_search_finds_what_a_reader_looks_for(browser: Browser, server: str, *, served: bool) -> None:
    address = f"{server}/search.html" if served else (SITE / "search.html").as_uri()
    seen = visit(browser, f"{address}?q=critical+batch+size", viewport=DESK)
    seen.page.wait_for_selector("#search-results .search-summary:has-text('found')")
    found = seen.page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
    pages = {
        link.split("#")[0].split("?")[0].rsplit("/html/", maxsplit=1)[-1].removeprefix(f"{server}/") for link in found
    }
    assert "glossary.html" in pages
    assert (seen.outside, seen.complaints) == ([], [])
