"""Every page as a reader sees it in a browser: on a desk and on a phone, light and dark, served and from a file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request

from tests.accessible import COLOURS, violations

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
NAMES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
FOLDERS = sorted({str(Path(name).parent) for name in NAMES})
# The smallest of each folder, and those that are made in other ways.
KINDS = sorted(
    {
        min((name for name in NAMES if str(Path(name).parent) == folder), key=lambda name: (SITE / name).stat().st_size)
        for folder in FOLDERS
    }
    | {"calculator.html", "cheat-sheet.html", "genindex.html", "index.html", "search.html", "teach/in-the-browser.html"}
)
SOME = {*KINDS, *NAMES[::4]}
READERS = sorted(set(NAMES) - {"genindex.html", "search.html", "slides/index.html"})  # slides: test_slides.py
# Pages that cannot do without mathematics: were none found there, the test would look for it in the wrong way.
FORMULAS = {"notation.html", "protocol.html"} | {name for name in NAMES if name.startswith(("runs/", "bound/"))} - {
    "bound/executed.html",
    "bound/margins.html",
    "runs/machines.html",
    "runs/own-model.html",
    "runs/race.html",
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
MOST_BEFORE_PAINT = 1_000_000
MOST_MARKUP = 300_000  # bytes of a page beside its images
# Formulas of which a part lies outside of what encloses them; an italic letter leans out by a few pixels.
SCROLLED = """
    Array.from(document.querySelectorAll("article .math"))
        .filter(node => node.clientWidth > 0 && node.scrollWidth > node.clientWidth + 5)
        .map(node => node.textContent.slice(0, 60))
"""


@dataclass
class Reader:
    """Somebody's browser, and what its page asked for elsewhere and complained about."""

    page: Page
    here: str = ""
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the page."""
        session = self.page.context.new_cdp_session(self.page)  # every visit is a first one
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self.page.on("request", self._asks)
        self.page.on("console", lambda line: self._complains(line.text) if line.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self._complains(str(error)))
        self.page.on("requestfailed", self._failed)

    def _asks(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")) and request.url.split("/", maxsplit=3)[2] != self.here:
            self.outside.append(request.url)

    def _complains(self, text: str) -> None:
        self.complaints.append(text)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # as happens to what an earlier page had asked for
            self._complains(f"failed: {request.url}")

    def open(self, address: str) -> Page:
        """Open a page and wait until it is drawn."""
        self.here = address.split("/", maxsplit=3)[2]
        self.outside.clear()
        self.complaints.clear()
        self.page.goto(address)
        self.page.evaluate("window.MathJax?.startup?.promise")
        return self.page

    def use(self, scheme: str) -> None:
        """Ask for light or for dark, and wait until it has come."""
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        self.page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")


def reader(browser: Browser, viewport: dict[str, int]) -> Reader:
    """Return a new reader."""
    return Reader(browser.new_context(viewport=viewport, color_scheme="light").new_page())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def one_reader(browser: Browser) -> Iterator[Reader]:
    """Return a reader who goes from page to page, which takes a third of the time of as many new ones."""
    found = reader(browser, DESK)
    yield found
    found.page.context.close()


def check_formulas(page: Page, name: str) -> None:
    """Demand that every formula of a page is drawn, and rightly."""
    formulas, drawn = page.locator(".math").count(), page.locator(".math mjx-container svg").count()
    assert drawn >= formulas >= (1 if name in FORMULAS else 0)
    # An unknown command is drawn in red, any other mistake as an error node.
    assert page.locator('mjx-container [data-mml-node="merror"], mjx-container [fill="red"]').count() == 0


def check_phone(page: Page) -> None:
    """Demand that nothing of a page lies beside the screen of a phone, or has to be scrolled for."""
    page.wait_for_timeout(100)  # for the observer of sizes
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(SCROLLED) == []


def check_before_paint(page: Page, name: str) -> None:
    """Demand that a page that is served is soon seen."""
    needed = page.evaluate(BEFORE_PAINT)
    assert (SITE / name).stat().st_size < needed <= MOST_BEFORE_PAINT


def test_the_book_has_pages_to_visit_and_pages_with_formulas(site: Path) -> None:
    assert (site / "index.html").exists()  # or the fixture fails, and says what to do
    assert len(READERS) > len(FORMULAS & set(READERS)) > 2
    assert set(KINDS) <= set(NAMES)


def visited(someone: Reader, address: str) -> Page:
    """Open a page on a desk, in the light; demand that it asks for nothing elsewhere and complains about nothing."""
    someone.page.set_viewport_size(DESK)  # type: ignore[arg-type]
    someone.page.emulate_media(color_scheme="light")
    page = someone.open(address)
    assert (someone.outside, someone.complaints) == ([], [])  # before axe, which fetches style sheets by itself
    return page


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SOME else pytest.mark.full) for name in NAMES])
def test_a_page_is_whole_drawn_and_quiet_and_fits_a_phone_and_each_kind_is_accessible(
    one_reader: Reader, name: str
) -> None:
    page = visited(one_reader, (SITE / name).as_uri())
    if name in READERS:
        check_formulas(page, name)
        if name in KINDS:  # of the others, the larger test below demands it
            assert violations(page) == []
            one_reader.use("dark")
            assert violations(page, rules=COLOURS) == []
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        check_phone(page)


@pytest.mark.parametrize("name", KINDS)
def test_a_page_that_is_served_is_quiet_and_soon_seen(browser: Browser, server: str, name: str) -> None:
    someone = reader(browser, DESK)
    page = someone.open(f"{server}/{name}")
    page.wait_for_load_state("networkidle")
    assert (someone.outside, someone.complaints) == ([], [])
    check_before_paint(page, name)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_page_that_is_served_keeps_every_rule_on_a_desk_and_a_phone_light_and_dark(
    one_reader: Reader, server: str, name: str
) -> None:
    page = visited(one_reader, f"{server}/{name}")
    check_before_paint(page, name)
    if name in READERS:
        check_formulas(page, name)
        assert violations(page) == []
        one_reader.use("dark")
        assert violations(page, rules=COLOURS) == []
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        check_phone(page)
        # What a phone shows beside the text, and a desk does not, is the same on all pages of a kind.
        assert violations(page, but=() if name in KINDS else COLOURS) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_markup_of_a_page_is_small(name: str) -> None:
    assert (SITE / name).stat().st_size <= MOST_MARKUP


@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
def test_the_search_finds_what_a_reader_looks_for(browser: Browser, server: str, *, served: bool) -> None:
    address = f"{server}/search.html" if served else (SITE / "search.html").as_uri()
    someone = reader(browser, DESK)
    page = someone.open(f"{address}?q=critical+batch+size")
    page.wait_for_selector("#search-results .search-summary:has-text('found')")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
    pages = {
        link.split("#")[0].split("?")[0].rsplit("/html/", maxsplit=1)[-1].removeprefix(f"{server}/") for link in found
    }
    assert "glossary.html" in pages
    assert (someone.outside, someone.complaints) == ([], [])
