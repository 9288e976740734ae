"""One quantity, one value: pages, slides, README, calculator and command line state the published number."""

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from batchtime import cli

SWEEPS = ("mnist-lenet", "cifar10-cnn", "cifar100-cnn", "europarl-gru")


@pytest.fixture(scope="module")
def known(root: Path, site: Path) -> dict[str, dict[str, Any]]:  # noqa: ARG001 - the pages are executed
    """Return the published quantities by name."""
    found = json.loads((root / "_build" / "quantities.json").read_text(encoding="utf-8"))
    return {one["name"]: one for one in found}


def test_every_published_quantity_has_a_value_a_unit_and_the_page_it_comes_from(
    root: Path, known: dict[str, dict[str, Any]]
) -> None:
    for name, one in known.items():
        assert set(one) == {"name", "value", "interval", "unit", "source"}, name
        assert (root / "book" / "runs" / f"{one['source']}.ipynb").exists(), name
        low, high = one["interval"] or (None, None)
        assert low is None or low <= one["value"], name
        assert high is None or one["value"] <= high, name
    assert {f"{sweep}.{quantity}" for sweep in SWEEPS for quantity in ("n_inf", "optimum")} <= set(known)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_calculator_starts_from_the_published_quantities(
    site: Path, known: dict[str, dict[str, Any]], sweep: str
) -> None:
    page = BeautifulSoup((site / "calculator.html").read_text(encoding="utf-8"), "html.parser")
    data = page.find(id="calculator-presets")
    assert data is not None
    preset = next(one for one in json.loads(data.text) if one["name"] == sweep)
    pairs = {"n_inf": "n_inf", "alpha": "alpha", "delta": "fixed_seconds", "gamma": "seconds_per_example"}
    for key, quantity in pairs.items():
        assert preset[key] == pytest.approx(known[f"{sweep}.{quantity}"]["value"], rel=1e-9), key
    for key, quantity in {"n_inf": "n_inf", "critical": "critical_batch_size", "optimum": "optimum"}.items():
        assert preset["intervals"][key] == pytest.approx(known[f"{sweep}.{quantity}"]["interval"], rel=1e-9), key


@pytest.mark.parametrize("sweep", ["mnist-lenet"])
def test_the_command_line_fits_the_published_law_and_advises_around_the_published_optimum(
    root: Path,
    known: dict[str, dict[str, Any]],
    sweep: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    told = []
    for verb in ("fit", "recommend"):
        assert cli.main([verb, sweep, "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    fitted, advised = told[0], told[1][0] if isinstance(told[1], list) else told[1]
    for quantity in ("n_inf", "alpha", "critical_batch_size"):
        assert fitted[quantity] == pytest.approx(known[f"{sweep}.{quantity}"]["value"], rel=1e-9), quantity
        assert fitted["intervals"][quantity] == pytest.approx(known[f"{sweep}.{quantity}"]["interval"], rel=1e-9)
    # The pages give the optimum of the law; the advice allows for batch sizes that stand off it, and is wider.
    low, high = advised["interval"]
    assert low <= known[f"{sweep}.optimum"]["value"] <= high
    assert advised["within_5_percent"][0] <= advised["batch_size"] <= advised["within_5_percent"][1]


def test_tables_of_several_pages_give_one_optimum(site: Path, known: dict[str, dict[str, Any]]) -> None:
    """The optimum of one worker on the page of several workers, and of MNIST on the page of consequences."""
    optimum = f"{known['mnist-lenet.optimum']['value']:.3g}"
    shown = {}
    for page, first in (("learners", "1"), ("implications", "MNIST")):
        text = BeautifulSoup((site / "runs" / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        rows = [row.select("td") for row in text.select("tr")]
        cells = {cell["data-label"]: cell.text for row in rows if row and row[0].text == first for cell in row}
        shown[page] = cells["optimum"].split(" (")[0]
    assert shown == {"learners": optimum, "implications": optimum}
