"""The control at each figure as a reader uses it, and figures and formulas on a phone and in the dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.accessible import violations

SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
CONTROL = "details.provenance"
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# A page of prose, one of recorded runs, one that is trained in the build, one with the most files.
SHOWN = ("tour.html", "runs/law-mnist-lenet.html", "runs/law-digits.html", "runs/rivals.html")


def opened(browser: Browser, name: str, *, viewport: dict[str, int] = DESK, scheme: str = "light") -> Page:
    """Open a page from its file."""
    page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.goto((SITE / name).as_uri())
    return page


@pytest.mark.usefixtures("site")
def test_a_control_is_closed_until_it_is_opened_by_the_keyboard(browser: Browser) -> None:
    page = opened(browser, "tour.html")
    control = page.locator(CONTROL).first
    assert control.get_attribute("open") is None
    assert not control.locator("pre").is_visible()
    summary = control.locator("summary")
    for _ in range(300):
        page.keyboard.press("Tab")
        if summary.evaluate("node => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert control.locator("pre").is_visible()
    assert "batchtime rerun" in control.inner_text()
    page.keyboard.press("Space")
    assert not control.locator("pre").is_visible()


@pytest.mark.usefixtures("site")
def test_the_table_of_a_figure_is_downloaded_also_from_a_page_that_is_a_file(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, "tour.html")
    control = page.locator(CONTROL).first
    control.locator("summary").click()
    with page.expect_download() as waiting:
        control.locator("a.download", has_text="CSV").click()
    name = control.locator("summary code").inner_text()
    waiting.value.save_as(tmp_path / "table.csv")
    assert waiting.value.suggested_filename == f"{name}.csv"
    published = SITE.parents[1] / "book" / "runs" / "figures" / f"{name}.csv"
    assert (tmp_path / "table.csv").read_bytes() == published.read_bytes()


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", [SHOWN[0], *(pytest.param(name, marks=pytest.mark.full) for name in SHOWN[1:])])
# Its colours do not depend on the width, nor its place on the scheme.
@pytest.mark.parametrize(("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def test_an_open_control_is_accessible_and_fits(
    browser: Browser, name: str, viewport: dict[str, int], scheme: str
) -> None:
    page = opened(browser, name, viewport=viewport, scheme=scheme)
    assert page.locator(CONTROL).count() >= 1
    page.evaluate(f"document.querySelectorAll('{CONTROL}').forEach(one => {{ one.open = true }})")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", SHOWN)
def test_a_figure_takes_the_width_of_a_phone_and_is_turned_round_in_the_dark(browser: Browser, name: str) -> None:
    looks = {}
    for scheme in ("light", "dark"):
        page = opened(browser, name, viewport=PHONE, scheme=scheme)
        image = page.locator("article figure img").first
        assert image.evaluate("node => node.getBoundingClientRect().width") >= 350
        looks[scheme] = image.evaluate("node => getComputedStyle(node).filter")
        assert image.evaluate("node => getComputedStyle(node).backgroundColor") in {"rgba(0, 0, 0, 0)", "transparent"}
    assert looks == {"light": "none", "dark": "invert(0.93) hue-rotate(180deg)"}


@pytest.mark.usefixtures("site")
def test_paper_shows_the_figures_and_no_control_that_cannot_be_opened_there(browser: Browser) -> None:
    page = opened(browser, "tour.html")
    page.emulate_media(media="print")
    assert not page.locator(CONTROL).first.is_visible()
    assert page.locator("article img").first.is_visible()
