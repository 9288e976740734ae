"""Every labelled equation of the chapter has a test of its name, and every test of an equation has an equation."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchtime.theory.bounds import Constants
from batchtime.theory.margins import CASE, MARGINS
from tests.bound import shown
from tests.bound.reading import LOOSE, ROOM, SHOWN, WORDS
from tests.bound.shown import Setting
from tests.bound.unread import KINDS, unread
from tests.latex import LatexError, Relation, Vector, evaluate, relations
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


SETTINGS = [
    Setting(
        constants=Constants(smoothness=2, curvature=0.02, noise_variance=3, distance=1.7, start=1.4, gap=0.003),
        rate=0.1,
        size=50_000,
        first=True,
    ),
    Setting(
        constants=Constants(smoothness=0.5, curvature=0.05, noise_variance=1, distance=3, start=2, gap=0.01),
        rate=0.7,
        size=4000,
        first=False,
    ),
]


def latex(label: str) -> str:
    """Return a displayed equation as it stands on its page, with a name for words that are no expression in numbers."""
    pages = [path.read_text(encoding="utf-8") for path in CHAPTER.glob("*.md")]
    form = rf"```\{{math\}}\n:label: {label}\n(.*?)```"
    (found,) = [text for page in pages for text in re.findall(form, page, flags=re.DOTALL)]
    for words, name in WORDS.items():
        found = found.replace(words, name)
    return str(found)


@cache
def cases(label: str, setting: Setting) -> list[list[dict[str, Any]]]:
    """Return what the names of an equation stand for in each of its relations, then in the case with room if any is."""
    said = len(relations(latex(label)))
    names = SHOWN[label](setting)
    each = names if isinstance(names, list) else [names] * said
    room = {"room": label in ROOM and not any("within" in values for values in each)}
    found = [[setting.names() | room | values for values in each]]
    if label in LOOSE:
        found.append([setting.names() | LOOSE[label](setting) | {"room": True}] * said)
    return found


def agrees(label: str, text: str, setting: Setting) -> bool:
    """Return whether all that an equation states is so, for what its names stand for."""
    said = relations(text)
    return all(
        holds(relation, values) for case in cases(label, setting) for relation, values in zip(said, case, strict=True)
    )


def holds(relation: Relation, values: dict[str, Any]) -> bool:
    """Return whether a relation is so; where an inequality leaves no room, its sides are to be equal."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        left, right = (side(text, values) for text in (relation.left, relation.right))
        equal = bool(np.isclose(left, right, rtol=values.get("within", 1e-6), atol=1e-12).all())
        if relation.sign == r"\propto":
            elsewhere = values | {"M": 3 * values["M"]}
            far = [side(text, elsewhere) for text in (relation.left, relation.right)]
            return bool(np.isclose(far[0] / left, far[1] / right, rtol=1e-6))
        if relation.sign == r"\to":
            return bool(np.isclose(left, right, rtol=1e-3, atol=0.01))
        if relation.sign in {"=", r"\approx"}:
            return equal
        strict = relation.sign in {"<", ">"} and "within" not in values
        low, high = (left, right) if relation.sign in {"<", r"\le"} else (right, left)
        ordered = bool((low <= high + 1e-9 * np.abs(high)).all())
        return ordered and (equal or strict or values["room"])


def side(text: str, values: dict[str, Any]) -> Any:
    """Return one side of a relation as numbers."""
    value = values["="] if text == "=" else evaluate(text, values)
    return value.rows if isinstance(value, Vector) else np.asarray(value, dtype=np.float64)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("label", SHOWN)
def test_the_formula_on_the_page_is_the_one_that_the_code_evaluates(label: str, setting: Setting) -> None:
    assert agrees(label, latex(label), setting)


def seen(label: str, text: str) -> bool:
    """Return whether a text that is not the page's is found to be wrong, or cannot be read at all."""
    try:
        return not all(agrees(label, text, setting) for setting in SETTINGS)
    except (ArithmeticError, LatexError, LookupError, ValueError):
        return True


CHANGES = (
    (r"(?<![_{\d])[1-9]", "7"),
    (r"\+(?! \\dots)", "-"),
    (r"(?<!\{)-(?! \\dots)", "+"),
    (r"\\le(?![a-z])", r"\ge"),
    (r"\\ge(?![a-z])", r"\le"),
    (r"f\(x_t\)", "f(x^*)"),
    (r"(?<=\\approx )", "2 "),
    (r"\\(mu|alpha|eta|sigma|varepsilon|delta|tau|Lambda)(?![_a-z])", r"\pi"),
)
TRUE_AS_WELL = {
    "noise-meets-step": 1,  # the noise has no direction: + x* is as true as - x*
    "rest-balance": 1,  # nor has the slope, at rest
    "best-limits": 1,  # at m = 5 / 2, where its condition is an equality
    "last-step": 1,  # 7 / L is more than 2 / L
}
"""How many changes of an equation leave what it says true."""


@pytest.mark.parametrize("label", SHOWN)
def test_a_number_a_sign_or_a_letter_that_is_changed_on_the_page_is_seen(label: str) -> None:
    text = latex(label)
    others = [
        text[: place.start()] + instead + text[place.end() :]
        for what, instead in CHANGES
        for place in re.finditer(what, text)
        if place.group() != instead
    ]
    unseen = [other for other in others if not seen(label, other)]
    assert len(unseen) < len(others)
    assert label in ROOM or len(unseen) == TRUE_AS_WELL.get(label, 0)


def test_every_equation_is_read_off_its_page() -> None:
    assert SHOWN.keys() == set(labels())


def test_what_no_machine_reads_stands_inside_sentences_and_has_a_kind() -> None:
    found = list(unread())
    assert ("averaged.md", r"D = \| x_0 - x^* \|", KINDS[2][1]) in found
    assert ("weighted.md", r"P \ge \eta s^2 / (2 M)", KINDS[3][1]) in found
    assert {kind for _, _, kind in found} == {kind for _, kind in KINDS}
    assert not any("$" in formula for _, formula, _ in found)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_reading_page_states_the_theorem_and_the_curve_that_are_proved(setting: Setting) -> None:
    page = (CHAPTER.parent / "chapters" / "bound.md").read_text(encoding="utf-8")
    law, constants, curve = re.findall(r"^\$\$$\n(.*?)^\$\$$", page, flags=re.DOTALL | re.MULTILINE)
    (step,) = re.findall(r"with \$(\\frac1\\eta = .*?)\$", page)
    proved = setting.names() | shown.weighted_theorem(setting) | {"room": False}
    stated = [*relations(law), *relations(constants), *relations(step)]
    assert len(stated) == 4
    assert all(holds(relation, proved) for relation in stated)
    assert not any(holds(relation, proved | {r"\mu": 1.01 * proved[r"\mu"]}) for relation in stated[1:3])
    (relation,) = relations(curve)
    assert holds(relation, setting.names() | shown.curve_law(setting) | {"room": False})


def test_the_reading_page_has_800_words_and_one_figure(site: Path) -> None:
    article = parsed(site / "chapters" / "bound.html").select_one("article")
    assert article is not None
    assert len(article.select("figure")) == 1
    for part in article.select(".math, .exercise, .solution"):  # exercises are counted with those of other pages
        part.decompose()
    assert len(article.get_text(" ").split()) <= 800


def test_each_rendered_equation_links_to_the_source_of_its_test(site: Path) -> None:
    pages = [parsed(path) for path in (site / "bound").glob("*.html")]
    links = [(link, site / "bound") for page in pages for link in page.select("p.executed a")]
    by_test = {link.text.split("::")[-1]: folder / str(link["href"]) for link, folder in links}
    assert len(links) == len(by_test)
    assert sorted(by_test) == sorted(f"test_{label.replace('-', '_')}" for label in labels())
    for test, source in by_test.items():
        assert f"def {test}(" in source.read_text(encoding="utf-8")


def test_one_page_lists_every_equation_with_its_test_and_prints_none(site: Path) -> None:
    page = parsed(site / "bound" / "executed.html")
    items = [item.text for item in page.select("article li")]
    for label in labels():
        (item,) = [text for text in items if f"test_{label.replace('-', '_')} " in f"{text} "]
        assert ("(with room)" in item) == (label in ROOM)
    assert "assert" not in page.text


@pytest.mark.full  # at the step and batch of the page, each equation's own test holds them
@pytest.mark.parametrize("batch_size", [64, 4096])
@pytest.mark.parametrize("rate", [0.02, 0.9])
def test_inequalities_also_hold_at_other_steps_and_batches(batch_size: int, rate: float) -> None:
    case = type(CASE)(constants=CASE.constants, rate=rate, batch_size=batch_size)
    broken = [margin for sides in MARGINS.values() for margin in sides(case) if not margin.holds]
    assert broken == []
