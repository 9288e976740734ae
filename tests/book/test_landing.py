"""What links to the book show, and what the first page says of itself."""

import json
import struct
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import batchtime_landing as landing

RACE = {
    "metric": "error",
    "target": 0.02,
    "lanes": [
        {"batch_size": 8, "updates": 20, "seconds": 9.0, "points": [[0.1, 0.9], [4.0, 0.1], [9.0, 0.019]]},
        {"batch_size": 32, "updates": 10, "seconds": 3.0, "points": [[0.1, 0.8], [3.0, 0.018]]},
        {"batch_size": 512, "updates": 5, "seconds": 6.0, "points": [[0.2, 0.7], [6.0, 0.02]]},
    ],
}


def tags(site: Path, page: str) -> dict[str, str]:
    """Return the named tags of the head of a page."""
    soup = BeautifulSoup((site / page).read_text(encoding="utf-8"), "html.parser")
    found = [(tag.get("property") or tag.get("name"), tag.get("content")) for tag in soup.select("head meta[content]")]
    assert len({name for name, _ in found if name == "description"}) <= 1
    return {str(name): str(content) for name, content in found}


@pytest.mark.parametrize("page", ["index.html", "calculator.html", "runs/race.html", "bound/curve.html"])
def test_every_page_describes_itself_and_shows_the_preview(site: Path, page: str) -> None:
    found = tags(site, page)
    assert len(found["description"]) > 60
    assert found["og:description"]
    image = (site / page).parent / found["og:image"]
    kind, width, height = struct.unpack(">8s8xII", image.read_bytes()[:24])
    assert (kind, width, height) == (b"\x89PNG\r\n\x1a\n", 1200, 630)
    assert image.stat().st_size < 300_000


def test_a_preview_has_a_whole_address_where_the_book_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTIME_REPOSITORY", "somebody/book")
    found = landing.preview_tags("A title", "a/b.html", "../")
    assert 'content="https://somebody.github.io/book/_static/preview.png"' in found
    assert 'content="https://somebody.github.io/book/a/b.html"' in found
    monkeypatch.delenv("BATCHTIME_REPOSITORY")
    assert 'content="../_static/preview.png"' in landing.preview_tags("A title", "a/b.html", "../")


def test_the_winner_is_good_whatever_its_place() -> None:
    assert landing.kinds(RACE) == ["small", "good", "large"]
    assert landing.kinds({**RACE, "lanes": RACE["lanes"][1:]}) == ["good", "large"]  # type: ignore[index]


def test_the_race_is_drawn_within_its_frame_and_told_in_words() -> None:
    picture = BeautifulSoup(landing.picture_of(RACE), "html.parser")
    assert picture.svg is not None
    assert "batch 32 after 3.0 seconds" in str(picture.svg["aria-label"])
    lanes = picture.select("g.lane")
    assert [lane["class"] for lane in lanes] == [["lane", "small"], ["lane", "good"], ["lane", "large"]]
    for circle in picture.select("circle"):
        assert landing.LEFT < float(str(circle["cx"])) < landing.RIGHT
        assert landing.TOP < float(str(circle["cy"])) < landing.BOTTOM
    ends = {str(circle["cx"]) for circle in picture.select("circle")}
    assert len(ends) == 3


def test_the_first_page_says_what_it_is_true_of(site: Path) -> None:
    text = " ".join(
        BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser").article.text.split()
    )  # type: ignore[union-attr]
    for limit in ("learning rate", "easy ones", "too small", "never", "best error", "off by up to", "whole runs"):
        assert limit in text, limit
    data = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser").find(id="race-data")
    assert data is not None
    raced = json.loads(data.text)
    assert len(raced["lanes"]) == 3
