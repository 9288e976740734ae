"""The slides as a class sees them: offline, without complaint, within the screen, with notes and words for figures."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.accessible import violations

ROOT = Path(__file__).resolve().parents[2]
SLIDES = ROOT / "_build" / "html" / "slides" / "index.html"
SOURCE = (ROOT / "slides" / "index.md").read_text(encoding="utf-8")
COUNT = len(re.findall(r"^##? ", SOURCE, re.MULTILINE))
SCREEN = {"width": 1280, "height": 720}
# What of the current slide lies outside of the screen, but for notes and what is only read aloud.
OUTSIDE = """
    Array.from(Reveal.getCurrentSlide().querySelectorAll("*"))
        .filter(node => !node.closest("aside, mjx-assistive-mml, mjx-container svg"))
        .map(node => [node, node.getBoundingClientRect()])
        .filter(([_, box]) => box.width > 0
            && (box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1))
        .map(([node, _]) => node.outerHTML.slice(0, 80))
"""


@pytest.fixture(params=["served", "file"])
def opened(request: pytest.FixtureRequest, browser: Browser, server: str) -> tuple[Page, list[str]]:
    """Open the slides, served and from a file, and collect what they ask for outside and complain about."""
    wrong: list[str] = []
    address = f"{server}/slides/index.html" if request.param == "served" else SLIDES.as_uri()
    here = address.split("/", maxsplit=3)[2]
    page = browser.new_context(viewport=SCREEN).new_page()  # type: ignore[arg-type]
    page.on("console", lambda line: wrong.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}"))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith(("data:", "blob:")) or asked.url.split("/", maxsplit=3)[2] == here
            else wrong.append(f"outside: {asked.url}")
        ),
    )
    page.goto(address)
    page.evaluate("window.MathJax.startup.promise")
    return page, wrong


def test_every_slide_fits_the_screen_offline_and_without_complaint(opened: tuple[Page, list[str]]) -> None:
    page, wrong = opened
    assert page.evaluate("Reveal.getTotalSlides()") == COUNT
    assert 12 <= COUNT <= 18
    for number in range(COUNT):
        page.evaluate(f"Reveal.slide({number})")
        page.wait_for_function(f"Reveal.getIndices().h === {number}")
        assert page.evaluate("Reveal.getCurrentSlide().querySelector('h1, h2').textContent.length") > 4
        assert page.evaluate("Reveal.getSlideNotes().length") > 60, number
        assert page.evaluate(OUTSIDE) == []
    assert page.locator(".math mjx-container > svg").count() == page.locator(".math").count() > 5
    assert page.locator('mjx-container [data-mml-node="merror"]').count() == 0
    assert wrong == []


def test_a_slide_that_is_too_long_would_be_seen(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened
    page.evaluate("Reveal.getCurrentSlide().insertAdjacentHTML('beforeend', '<p>line</p>'.repeat(20))")
    assert page.evaluate(OUTSIDE)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.full)])
def test_slides_are_accessible(browser: Browser, server: str, every: int) -> None:
    page = browser.new_context(viewport=SCREEN).new_page()  # type: ignore[arg-type]
    page.goto(f"{server}/slides/index.html")
    page.evaluate("window.MathJax.startup.promise")
    for number in range(0, COUNT, every):
        page.evaluate(f"Reveal.slide({number})")
        assert violations(page) == [], number


def test_figures_are_the_books_own_and_have_words(site: Path) -> None:
    shown = sorted((site / "slides" / "_images").iterdir())
    assert len(shown) == SOURCE.count(":::{image} ../book/runs/figures/") >= 7
    for figure in shown:
        assert figure.read_bytes() == (ROOT / "book" / "runs" / "figures" / figure.name).read_bytes()
    words = re.findall(r"^:alt: (.+)$", SOURCE, re.MULTILINE)
    assert len(words) == len(shown)
    assert min(map(len, words)) > 60


def test_the_teaching_page_leads_to_the_slides(site: Path) -> None:
    text = (site / "teach" / "index.html").read_text(encoding="utf-8")
    assert '"../slides/index.html"' in text
    assert (site / "slides" / "index.html").exists()
