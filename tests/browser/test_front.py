"""The first page, the sheets to print and the class in a browser, as readers use them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_pages import PHONE

DESK = {"width": 1280, "height": 720}


@pytest.fixture
def page(browser: Browser, site: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page of the site from its file, as somebody does who prefers less motion, and listen to it."""
    name, motion = getattr(request, "param", ("index.html", "reduce"))
    context = browser.new_context(viewport=DESK, reduced_motion=motion, offline=True)  # type: ignore[arg-type]
    found = context.new_page()
    complaints: list[str] = []
    found.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.goto((site / name).as_uri())
    yield found
    assert complaints == []
    context.close()


# The race


def clock(page: Page) -> float:
    """Return what the clock of the race says."""
    return float(page.locator("#race-clock").inner_text().removesuffix(" s"))


def test_the_race_is_the_recorded_one_and_still_for_who_prefers_that(page: Page, root: Path) -> None:
    raced = json.loads(page.locator("#race-data").inner_text())
    notebook = (root / "book" / "runs" / "race.ipynb").read_text(encoding="utf-8")
    for lane in raced["lanes"]:
        assert str(lane["updates"]) in notebook
        expect(page.locator("#race svg")).to_contain_text(f"batch {lane['batch_size']}")
        expect(page.locator("#race svg")).to_contain_text(f"{lane['seconds']:.1f} s")
    longest = max(lane["seconds"] for lane in raced["lanes"])
    assert clock(page) == pytest.approx(longest, abs=0.06)
    picture = page.locator("#race svg").inner_html()
    page.wait_for_timeout(400)
    assert page.locator("#race svg").inner_html() == picture
    assert page.locator("#race .running").count() == 0


def test_the_keyboard_plays_the_race_and_stops_it(page: Page) -> None:
    button = page.locator("#race-play")
    button.focus()
    assert page.evaluate("getComputedStyle(document.activeElement)['outline-style']") != "none"
    page.keyboard.press("Enter")
    expect(button).to_have_text("Pause")
    page.wait_for_timeout(600)
    page.keyboard.press("Enter")
    expect(button).to_have_text("Go on")
    stopped = clock(page)
    page.wait_for_timeout(300)
    assert 0 < clock(page) == stopped
    assert page.locator("#race .running").count() > 0


@pytest.mark.parametrize("page", [("index.html", "no-preference")], indirect=True)
def test_the_race_plays_by_itself_and_the_good_batch_wins(page: Page) -> None:
    expect(page.locator("#race-play")).to_have_text("Pause")
    page.wait_for_selector("#race .good:not(.running)", timeout=15_000)
    assert page.locator("#race .running").count() == page.locator("#race .lane").count() - 1
    cost = page.evaluate("""
        new Promise(done => {
            const took = [], real = window.requestAnimationFrame;
            window.requestAnimationFrame = frame => real(time => {
                const before = performance.now();
                frame(time);
                took.push(performance.now() - before);
                if (took.length === 20) done(took);
            });
            document.getElementById("race-play").click();
            document.getElementById("race-play").click();
        })
    """)
    assert sorted(cost)[10] < 16


def test_the_first_screen_has_the_question_and_the_race(page: Page) -> None:
    box = page.locator("#race svg").bounding_box()
    assert box is not None
    assert box["y"] < DESK["height"] / 2
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    sizes = page.evaluate("""
        Array.from(document.querySelectorAll("#race text"), text =>
            text.getCTM().a * parseFloat(getComputedStyle(text).fontSize))
    """)
    assert min(sizes) >= 10


def test_three_doors_lead_on_with_the_formula_before_them(page: Page) -> None:
    links = page.locator("article .sd-card a.sd-stretched-link").evaluate_all("all => all.map(one => one.href)")
    assert len(links) == 3
    assert any(link.endswith("calculator.html") for link in links)
    assert page.locator("article .math").count() >= 1


# Sheets to print


@pytest.mark.parametrize(
    ("page", "most"),
    [(("cheat-sheet.html", "reduce"), 1), (("teach/worksheet.html", "reduce"), 1)],
    indirect=["page"],
    ids=["cheat sheet", "worksheet"],
)
def test_a_sheet_prints_on_one_page(page: Page, most: int) -> None:
    page.evaluate("window.MathJax?.startup?.promise")
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == most
    page.emulate_media(media="print")
    shown = page.evaluate("""
        Array.from(document.querySelectorAll("button, nav, footer, .bd-sidebar-primary"))
            .filter(node => node.getClientRects().length).map(node => node.outerHTML.slice(0, 80))
    """)
    assert shown == []


@pytest.mark.parametrize("page", [("cheat-sheet.html", "reduce")], indirect=True)
def test_a_second_page_would_be_seen(page: Page) -> None:
    page.evaluate(
        "document.querySelector('article section').insertAdjacentHTML('beforeend', '<p>a line</p>'.repeat(120))"
    )
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 1


# The class in a browser


@pytest.mark.parametrize("page", [("teach/in-the-browser.html", "reduce")], indirect=True)
def test_the_class_in_a_browser_fits_each_students_law_and_checks_answers(page: Page) -> None:
    taught = json.loads(page.locator("#lesson-data").inner_text())
    assert len(taught["students"]) >= 6
    page.locator("#lesson-student").select_option("3")
    runs = next(one["runs"] for one in taught["students"] if one["student"] == 3)
    law = page.evaluate("runs => batchtimeModel.fit(runs)", runs)
    for name, answer, wrong in (
        ("bend", law["critical"], 3 * law["critical"]),
        ("best", page.evaluate(BEST, [law, taught["seconds"]]), 1),
    ):
        form, said = page.locator(f"#lesson-{name}"), page.locator(f"#lesson-{name} output")
        page.locator(f"#lesson-{name}-value").fill(str(wrong))
        form.get_by_role("button").click()
        expect(said).to_contain_text("too large" if wrong > answer else "too small")
        page.locator(f"#lesson-{name}-value").fill(f"{1.05 * answer:.3g}")
        form.get_by_role("button").click()
        expect(said).to_contain_text("Right")
    for name in ("rate", "exit"):
        form = page.locator(f"#lesson-{name}")
        form.get_by_role("button").click()
        expect(form.locator("output")).to_have_text("Choose one.")
        form.locator("input[value=right]").check()
        form.get_by_role("button").click()
        expect(form.locator("output.right")).to_contain_text("Right")
    page.locator("#lesson-guess input[value='2']").check()
    page.locator("#lesson-guess").get_by_role("button").click()
    expect(page.locator("#lesson-guess output")).to_contain_text("times as long as the best of the three")
    assert page.locator("#lesson-class tr").count() == len(taught["students"])


BEST = """
    ([law, seconds]) => batchtimeModel.optimum(
        { n_inf: law.n_inf, alpha: law.alpha, ...batchtimeModel.fitSeconds(seconds), p: 1 })
"""


# Exercises


@pytest.mark.parametrize("page", [("chapters/updates.html", "reduce")], indirect=True)
def test_an_exercise_checks_itself(page: Page) -> None:
    form = page.locator("form.check-answer").first
    answer = float(form.get_attribute("data-answer") or "nan")
    for written, told in (
        (f"{answer:,.0f}", "Right."),
        (f"{2 * answer:g}", "Not yet: that is too large."),
        (f"{answer / 2:g}", "Not yet: that is too small."),
        ("many", "Write a number."),
    ):
        form.locator("input").fill(written)
        page.keyboard.press("Enter")
        expect(form.locator("output")).to_have_text(told)
