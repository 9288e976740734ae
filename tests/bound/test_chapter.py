"""Every labelled equation of the chapter has a test of its name, and every test of an equation has an equation."""

import re
from pathlib import Path

import pytest

from batchtime.theory.margins import CASE, MARGINS
from tests.pages import parsed

HERE = Path(__file__)
CHAPTER = HERE.parents[2] / "book" / "bound"


def labels() -> list[str]:
    """Return the labels of all displayed equations of the chapter."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(CHAPTER.glob("*.md"))]
    return [label for page in pages for label in re.findall(r"^```\{math\}\n:label: (\S+)$", page, flags=re.MULTILINE)]


def executed() -> list[str]:
    """Return the labels that the names of the tests beside this file stand for."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(HERE.parent.glob("test_*.py")) if path != HERE]
    names = [name for source in sources for name in re.findall(r"^def test_(\w+)\(", source, flags=re.MULTILINE)]
    return [name.replace("_", "-") for name in names]


def test_each_equation_has_one_test_of_its_name_and_each_test_one_equation() -> None:
    assert len(labels()) > 50
    assert sorted(labels()) == sorted(executed())


def test_every_displayed_equation_of_the_chapter_has_a_label() -> None:
    for path in CHAPTER.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.count("```{math}") == len(re.findall(r"```\{math\}\n:label: \S+\n", text)), path.name
        assert "$$" not in text, path.name


def test_every_margin_is_one_of_an_equation() -> None:
    assert set(MARGINS) <= set(labels())


@pytest.mark.parametrize("label", labels())
def test_each_rendered_equation_links_to_the_source_of_its_test(site: Path, label: str) -> None:
    test = f"test_{label.replace('-', '_')}"
    source = parsed(site / "bound" / "executed.html")
    assert source.find(id=test.replace("_", "-")) is not None
    assert f"def {test}(" in source.text
    pages = [parsed(path) for path in (site / "bound").glob("*.html")]
    links = [link for page in pages for link in page.select("p.executed a") if link.text.endswith(f"::{test}")]
    assert [str(link["href"]) for link in links] == [f"executed.html#{test.replace('_', '-')}"]


@pytest.mark.parametrize("batch_size", [64, 4096])
@pytest.mark.parametrize("rate", [0.02, 0.9])
def test_inequalities_also_hold_at_other_steps_and_batches(batch_size: int, rate: float) -> None:
    case = type(CASE)(constants=CASE.constants, rate=rate, batch_size=batch_size)
    broken = [margin for sides in MARGINS.values() for margin in sides(case) if not margin.holds]
    assert broken == []
