"""Each figure of the book comes with what made it, and what it says of itself is so."""

import csv
import hashlib
import json
import os
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from bs4 import Tag

from batchtime import cli
from batchtime.book import plots
from tests.pages import pages_of

Facts = dict[str, Any]
CHEAP = ("four-tasks", "clock-mnist-lenet")
KINDS = ("svg", "csv", "json")


def facts_of(figures: Path) -> dict[str, Facts]:
    """Return what is known of each figure of a folder."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(figures.glob("*.json"))}


@pytest.fixture(scope="module")
def published(root: Path, site: Path) -> dict[str, Facts]:
    """Return what is known of each figure that the rendered pages show."""
    known = facts_of(root / "book" / "runs" / "figures")
    shown = {path.stem for path in (site / "_images").glob("*.svg")}
    found = {name: facts for name, facts in known.items() if name in shown}
    assert len(found) > 40
    return found


def controls(site: Path) -> Iterator[tuple[Path, Tag, Tag]]:
    """Return each control of the site with its page and the image above it."""
    for page, elements in pages_of(site).items():
        for control in elements.select(".provenance"):
            figure = control.find_previous_sibling()
            assert figure is not None, page.name
            image = figure if figure.name == "img" else figure.find("img")
            assert isinstance(image, Tag), page.name
            yield page, control, image


def files_of(page: Path, control: Tag) -> dict[str, Path]:
    """Return the files that a control gives to download, by their kind."""
    links = [(page.parent / unquote(str(link["href"]))).resolve() for link in control.select("a.download")]
    return {link.suffix[1:]: link for link in links}


def differing(site: Path) -> list[str]:
    """Return the files of the figures of a site that are not what their facts say."""
    found = []
    for page, control, image in controls(site):
        files = files_of(page, control)
        facts = json.loads(files["json"].read_text(encoding="utf-8"))
        files["image"] = (page.parent / unquote(str(image["src"]))).resolve()
        for kind, file in files.items():
            said = facts["csv_sha256" if kind == "csv" else "svg_sha256"]
            if kind != "json" and hashlib.sha256(file.read_bytes()).hexdigest() != said:
                found.append(f"{page.name}: {file.relative_to(site)}")
    return found


def test_every_figure_has_its_control_below_it_wherever_it_is_shown(site: Path, published: dict[str, Facts]) -> None:
    bare = []
    told = {(page, str(image["src"])) for page, _, image in controls(site)}
    for page, elements in pages_of(site).items():
        images = elements.select("article img")
        sources = {str(image["src"]) for image in images if Path(str(image["src"])).stem in published}
        bare += [f"{page.name}: {source}" for source in sources if (page, source) not in told]
    assert bare == []
    assert {Path(source).stem for _, source in told} == set(published)
    assert len({page for page, _ in told}) > 20


def test_no_page_shows_a_drawing_that_was_not_published(site: Path, published: dict[str, Facts]) -> None:
    drawn = {
        f"{page.name}: {image['src']}"
        for page, elements in pages_of(site).items()
        for image in elements.select("article img")
        if Path(str(image["src"])).stem not in published
    }
    assert drawn == set()


def test_every_figure_is_as_wide_as_its_text_is_legible_on_a_phone(site: Path, published: dict[str, Facts]) -> None:
    widths = {name: (site / "_images" / f"{name}.svg").read_text(encoding="utf-8") for name in published}
    points = {
        name: float(text.split('width="', maxsplit=1)[1].split("pt", maxsplit=1)[0]) for name, text in widths.items()
    }
    assert {name: width for name, width in points.items() if width > 72 * plots.WIDTH + 1} == {}


def test_every_file_of_a_figure_in_the_site_has_the_checksum_that_it_tells(site: Path) -> None:
    assert differing(site) == []


@pytest.mark.parametrize("kind", ["svg", "csv", "image"])
def test_one_changed_byte_in_a_file_of_a_figure_is_found(site: Path, tmp_path: Path, kind: str) -> None:
    page, control, image = next(iter(controls(site)))
    files = {**files_of(page, control), "image": (page.parent / unquote(str(image["src"]))).resolve()}
    beside = [(other, shown) for one, other, shown in controls(site) if one == page]
    others = {file for other, _ in beside for file in files_of(page, other).values()}
    others |= {(page.parent / unquote(str(shown["src"]))).resolve() for _, shown in beside}
    for file in {page, *files.values(), *others}:
        copy = tmp_path / file.relative_to(site)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    assert differing(tmp_path) == []
    broken = tmp_path / files[kind].relative_to(site)
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    assert f"{page.name}: {broken.relative_to(tmp_path)}" in differing(tmp_path)


def test_a_control_tells_all_that_is_known_of_its_figure(site: Path, published: dict[str, Facts]) -> None:
    for page, control, image in controls(site):
        facts = published[Path(str(image["src"])).stem]
        assert set(files_of(page, control)) == set(KINDS)
        environment = facts["environment"]
        told = [facts["command"], facts["notebook"], environment["commit"] or "unknown", facts["requirements_sha256"]]
        told += [f"{name} {version}" for name, version in environment["versions"].items()]
        told += [text for source in facts["sources"] for text in (source["file"], source["sha256"], *source["commits"])]
        text = " ".join(control.text.split())
        assert [part for part in told if part not in text] == [], facts["name"]
        assert ("trained where this book was built" in text) == any(source["live"] for source in facts["sources"])


def test_the_recorded_files_of_a_figure_are_those_of_the_checkout(root: Path, published: dict[str, Facts]) -> None:
    read = {source["file"]: source for facts in published.values() for source in facts["sources"] if not source["live"]}
    assert len(read) > 10
    for name, source in read.items():
        content = (root / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), content.count(b"\n")) == (source["sha256"], source["records"])
        recorded = {json.loads(line)["provenance"]["commit"] for line in content.splitlines()}
        assert sorted(recorded) == source["commits"], name


def test_a_page_is_made_again_when_any_file_changes_that_its_figures_read(
    root: Path, published: dict[str, Facts]
) -> None:
    pages = runpy.run_path(str(root / "dodo.py"))["PAGES"]
    for facts in published.values():
        watched = {f"data/{name}" for name in pages[facts["page"]].data}
        assert {source["file"] for source in facts["sources"] if not source["live"]} <= watched, facts["page"]


def cells(path: Path) -> list[list[float | str]]:
    """Return a table with its numbers as numbers."""
    return [[number(cell) for cell in row] for row in csv.reader(path.open(encoding="utf-8"))]


def number(cell: str) -> float | str:
    """Return what a cell holds."""
    try:
        return float(cell)
    except ValueError:
        return cell


@pytest.mark.full  # test_rerun.py does so with the figure of a small notebook
def test_the_command_at_a_figure_makes_it_again(
    root: Path, site: Path, published: dict[str, Facts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cheap figures, and some at random; BATCHTIME_SAMPLE repeats a choice."""
    monkeypatch.chdir(root)
    seed = int(os.environ.get("BATCHTIME_SAMPLE") or np.random.default_rng().integers(10**6))
    drawn = np.random.default_rng(seed).choice(sorted(published), 2, replace=False)
    chosen = {*CHEAP, *map(str, drawn)}
    sys.stdout.write(f"BATCHTIME_SAMPLE={seed}: {', '.join(sorted(chosen))}\n")
    commands = {}
    for _, control, image in controls(site):
        shown = control.select_one("pre")
        assert shown is not None
        commands[Path(str(image["src"])).stem] = shown.text.strip()
    here = {name: metadata.version(name) for name in ("numpy", "scipy", "matplotlib")}
    for name in sorted(chosen):
        out = tmp_path / name
        program, *rest = shlex.split(commands[name].replace("--out my-run", f"--out {shlex.quote(str(out))}"))
        assert program == ".venv/bin/batchtime"
        assert cli.main(rest) == 0
        facts = published[name]
        if here.items() <= facts["environment"]["versions"].items():
            made = {
                k: hashlib.sha256((out / "figures" / f"{name}.{k}").read_bytes()).hexdigest() for k in ("svg", "csv")
            }
            assert made == {k: facts[f"{k}_sha256"] for k in made}, f"{name}, of BATCHTIME_SAMPLE={seed}"
        else:  # another version draws the same numbers with other strokes
            first, second = (cells(top / f"{name}.csv") for top in (root / "book/runs/figures", out / "figures"))
            assert [row == pytest.approx(other, rel=1e-6) for row, other in zip(first, second, strict=True)]
