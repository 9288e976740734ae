"""Promises of published quantities: one name, one number, wherever it is stated."""

import json
from pathlib import Path

import pytest

from batchtime.book import quantities
from batchtime.errors import NotebookError


def page(folder: Path, name: str, **values: float) -> Path:
    """Write an executed page that registers quantities."""
    registered = [{"name": key, "value": value, "interval": None, "unit": ""} for key, value in values.items()]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"metadata": {"batchtime": {"quantities": registered}}}))
    return path


def test_pages_that_register_one_quantity_register_one_value(tmp_path: Path) -> None:
    first, other = page(tmp_path, "a", n_inf=739.0, alpha=5.0), page(tmp_path, "b", n_inf=739.0)
    found = quantities.collect([other, first])
    assert [(one["name"], one["value"], one["source"]) for one in found] == [("alpha", 5, "a"), ("n_inf", 739, "a")]
    with pytest.raises(NotebookError, match="n_inf is 739 on the page a and 741 on b; let one of them register it"):
        quantities.collect([first, page(tmp_path, "b", n_inf=741.0)])


def test_a_page_that_registers_nothing_is_no_hindrance(tmp_path: Path) -> None:
    assert quantities.collect([page(tmp_path, "none")]) == []
