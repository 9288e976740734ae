"""Promises of the lesson plans: their minutes add up, each part is described, their commands and links are good."""

import re
from pathlib import Path

import pytest

from tests.teaching import check_command, commands, shell_lines

BOOK = Path(__file__).parents[1] / "book"
PLANS = {45: BOOK / "teach" / "lesson-45.md", 90: BOOK / "teach" / "lesson-90.md"}
SLIDES = Path(__file__).parents[1] / "slides" / "index.md"
TEACHING = [*sorted((BOOK / "teach").glob("*.md")), SLIDES, Path(__file__).parents[1] / "notebooks" / "class.md"]
ROW = re.compile(r"^\| (\d+) \| (\d+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)


def sections(plan: Path) -> dict[str, str]:
    """Return the parts of a plan that have a heading of the third level, by that heading."""
    parts = re.split(r"^### (.+)$", plan.read_text(encoding="utf-8").split("\n## What they")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("minutes", PLANS)
def test_the_minutes_of_a_plan_add_up(minutes: int) -> None:
    rows = ROW.findall(PLANS[minutes].read_text(encoding="utf-8"))
    starts, lengths = ([int(row[column]) for row in rows] for column in (0, 1))
    assert starts == [sum(lengths[:place]) for place in range(len(rows))]
    assert sum(lengths) == minutes
    assert len(rows) >= 8


@pytest.mark.parametrize("minutes", PLANS)
def test_each_part_of_a_plan_is_described_in_its_order_and_names_slides_that_exist(minutes: int) -> None:
    rows = ROW.findall(PLANS[minutes].read_text(encoding="utf-8"))
    assert [row[2] for row in rows] == list(sections(PLANS[minutes]))
    assert min(len(text) for text in sections(PLANS[minutes]).values()) > 20
    count = len(re.findall(r"^##? ", SLIDES.read_text(encoding="utf-8"), re.MULTILINE))
    named = [int(number) for row in rows for number in re.findall(r"\d+", row[3])]
    assert named == sorted(named)
    assert 1 <= min(named) <= max(named) == (count if minutes == max(PLANS) else count - 1)  # each has an exit question


@pytest.mark.parametrize("minutes", PLANS)
def test_a_plan_has_what_a_teacher_asks_for(minutes: int) -> None:
    text = PLANS[minutes].read_text(encoding="utf-8")
    for heading in ("## Goals", "## Materials", "## Plan", "### Exit question", "## What they will get wrong"):
        assert heading in text
    assert text.count("*Say:*") >= 4
    assert text.count("*Ask") >= 1
    mistakes = text.split("## What they will get wrong")[1].split("|---|---|---|")[1].strip()
    assert len(mistakes.splitlines()) >= 4


@pytest.mark.parametrize("page", TEACHING, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_program_takes_every_command(page: Path) -> None:
    found = commands(page.read_text(encoding="utf-8"))
    assert len(found) == shell_lines(page)
    for words in found:
        check_command(words)


def test_there_are_commands_to_take() -> None:
    assert sum(shell_lines(page) for page in TEACHING) > 10
    with pytest.raises(SystemExit):
        check_command(["class", "--pupil", "3"])
    with pytest.raises(AssertionError):
        check_command(["rerun", "exercises-law", "-p", "no_such", "digits-mlp"])


@pytest.mark.parametrize("page", sorted((BOOK / "teach").glob("*.md")), ids=lambda page: page.stem)
def test_every_page_that_is_linked_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    notebooks = {path.stem for path in (BOOK.parent / "notebooks").glob("*.md")}
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if (linked := (page.parent / target).resolve()).suffix == ".ipynb":
            assert linked.parent == BOOK / "runs"
            assert any(linked.stem == name or linked.stem.startswith(f"{name}-") for name in notebooks), target
        else:
            assert linked.exists(), target
    for target in re.findall(r'href="([^"]+)"', text):
        assert target == "../slides/index.html"
