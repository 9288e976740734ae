"""The reading path: each page opens with its finding and a figure, ends with what to take away and exercises."""

import re
import resource
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup, Tag

from batchtime.book import rerun
from tests.pages import parsed
from tests.teaching import check_command, commands, shell_lines

ROOT = Path(__file__).parents[2]
CONTENTS = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
(STORY,) = [part for part in CONTENTS["parts"] if part["caption"] == "The story"]
PAGES = [str(chapter["file"]) for chapter in STORY["chapters"]]
MOST_NUMBERS = 5
NUMBER = re.compile(r"(?<![\w.,-])[-+]?\d[\d,]*(?:\.\d+)?")
LEVELS = re.compile(r"95\s%(?: intervals?)?")  # of every interval: what is said of a number, and none itself


def article(site: Path, name: str) -> Tag:
    """Return the text of a page as a copy of its own."""
    found = BeautifulSoup(str(parsed(site / f"{name}.html").select_one("article")), "html.parser").select_one("article")
    assert found is not None
    for part in found.select(".provenance, .headerlink, script"):
        part.decompose()
    return found


def source(name: str) -> str:
    """Return the text of a page as it is written."""
    return (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")


def test_the_reading_path_has_about_fourteen_pages_and_none_below_them() -> None:
    assert len(["index", *PAGES]) == 14
    assert all(set(chapter) == {"file"} for chapter in STORY["chapters"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_with_its_finding_and_a_figure_whose_title_says_it(site: Path, name: str) -> None:
    page = article(site, name)
    finding, figure = page.select_one(".finding"), page.select_one("figure img")
    assert finding is not None
    assert figure is not None
    words = finding.text.split()
    assert 8 <= len(words) <= 40
    assert words[-1].endswith(".")
    assert len(re.findall(r"[.?!](?:\s|$)", finding.text.strip())) == 1  # one sentence, to be quoted
    before = [text for text in figure.find_all_previous(["p", "h2", "figure"]) if text not in figure.parents]
    assert len([one for one in before if one.find_parent(class_="finding") is None]) <= 1  # the minutes alone
    assert figure["src"].startswith(("_images/", "../_images/"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_how_many_minutes_it_takes(site: Path, name: str) -> None:
    place = parsed(site / f"{name}.html").select_one("article .margin.minutes")
    assert place is not None
    (minutes,) = re.findall(r"^(\d+) minutes to read$", place.text.strip())
    assert 2 <= int(minutes) <= 12


@pytest.mark.parametrize("name", PAGES)
def test_a_page_ends_with_what_to_take_away_and_two_or_three_exercises(site: Path, name: str) -> None:
    page = article(site, name)
    exercises, solutions = page.select(".exercise"), page.select(".solution.dropdown")
    assert len(exercises) == len(solutions)
    assert 2 <= len(exercises) <= 3
    (taken,) = [box for box in page.select(".admonition") if box.select_one(".admonition-title").text == "Take away"]  # type: ignore[union-attr]
    assert 2 <= len(taken.select("li")) <= 3
    last = [heading.text for heading in page.select("h2")][-1]
    assert last.endswith("Try it")


@pytest.mark.parametrize("name", PAGES)
def test_a_paragraph_has_at_most_five_numbers(site: Path, name: str) -> None:
    page = article(site, name)
    for part in page.select(".exercise, .solution, .math, table, pre, code, figure, .toctree-wrapper"):
        part.decompose()
    counted = {
        " ".join(text.text.split()): len(NUMBER.findall(LEVELS.sub("", " ".join(text.text.split()))))
        for text in page.select("p, li")
    }
    assert {text: count for text, count in counted.items() if count > MOST_NUMBERS} == {}


def test_the_reading_path_is_read_in_an_evening(site: Path) -> None:
    words = 0
    for name in ["index", *PAGES]:
        page = article(site, name)
        for part in page.select(".solution, .math"):
            part.decompose()
        words += len(page.get_text(" ").split())
    assert 11_000 <= words <= 15_000


@pytest.mark.parametrize("name", PAGES)
def test_a_page_speaks_the_words_of_the_field(name: str) -> None:
    text = re.sub(r"```(?:text|sh|python)\n.*?```|`[^`]*`|\]\([^)]*\)", "", source(name), flags=re.DOTALL)
    private = r"\b(?:sealed|step sizes?|stand(?:s)? off|goes with the power|by the clock|is told|arm)\b"
    assert re.findall(private, text) == []
    assert len(re.findall(r"\blearners?\b", text)) <= (1 if name == "chapters/learners" else 0)


@pytest.mark.parametrize("name", PAGES)
def test_every_measured_number_of_a_page_comes_from_the_build(name: str) -> None:
    """A decimal, or a percentage, that is typed: levels, thought experiments and exercises have them, and no more."""
    text = source(name).split("## Try it")[0]
    text = re.sub(
        r"`{3,}(?:text|sh|python|\{figure\}).*?`{3,}|\{num\}`[^`]*`|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL
    )
    typed = set(re.findall(r"\d[\d,]*\.\d+(?: %)?|\d+ %", text))
    assert typed <= {"95 %", "5 %", "90 %", "10 %", "12.5 %", "1 %", "2 %", "30 %", "100 %"}


def test_the_lab_says_how_a_page_is_run_again_in_commands_that_the_program_takes() -> None:
    found = commands(source("lab"))
    assert len(found) == shell_lines(ROOT / "book" / "lab.md") == 2
    for words in found:
        check_command(words)


@pytest.mark.full
def test_a_page_of_the_lab_that_trains_with_other_values_takes_at_most_two_minutes(tmp_path: Path) -> None:
    (given,) = re.findall(r'-p batch_sizes "\[([\d, ]+)\]" -p seeds (\d+)', source("lab"))
    values = {
        "workload": "digits-mlp",
        "batch_sizes": [int(size) for size in given[0].split(",")],
        "seeds": int(given[1]),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    rerun.execute(ROOT / "notebooks" / "inverse-law.md", tmp_path / "page.ipynb", values | {"out_dir": str(tmp_path)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 120  # CPU seconds of the kernel, on one thread
