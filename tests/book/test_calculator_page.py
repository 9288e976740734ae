"""Presets that cannot be had fail the build, with the line that asks for them."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

GLUED = json.dumps({"name": "mnist-lenet", "note": "</script>"})


@pytest.fixture(scope="module")
def extension(root: Path) -> ModuleType:
    """Return the extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "book" / "_ext"))
        path = root / "book" / "_ext" / "batchtime_calculator.py"
        spec = importlib.util.spec_from_file_location("batchtime_calculator", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def directive(extension: ModuleType, book: Path, line: str) -> object:
    """Return the directive with one line, in a book with one executed page."""
    (book / "runs").mkdir()
    output = {
        "data": {"text/plain": repr(GLUED)},
        "metadata": {"scrapbook": {"name": "preset", "mime_prefix": ""}},
    }
    (book / "runs" / "law.ipynb").write_text(json.dumps({"cells": [{"outputs": [output]}]}))
    noted: list[str] = []
    env = SimpleNamespace(srcdir=str(book), note_dependency=noted.append)
    state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    machine = SimpleNamespace(reporter=SimpleNamespace(), get_source_and_line=lambda _=None: ("page", 1))
    return extension.Presets("presets", [], {}, [line], 1, 0, "", state, machine)


def test_a_preset_is_written_with_its_title_and_cannot_end_its_element(extension: ModuleType, tmp_path: Path) -> None:
    (node,) = directive(extension, tmp_path, "MNIST = law:preset:s").run()  # type: ignore[attr-defined]
    inner = node.astext().removeprefix('<script type="application/json" id="calculator-presets">')
    data = inner.removesuffix("</script>")
    assert "</" not in data
    assert json.loads(data) == [{"title": "MNIST", "name": "mnist-lenet", "note": "</script>"}]


def test_a_curve_over_learning_rates_goes_with_its_preset(extension: ModuleType, tmp_path: Path) -> None:
    found = directive(extension, tmp_path, "").preset("MNIST = law:preset:s + law:preset:s")  # type: ignore[attr-defined]
    assert found["curve"] == json.loads(GLUED)
    assert found["title"] == "MNIST"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("MNIST law:preset:s", "write title = page:name:s"),
        ("MNIST = law:preset", "write title = page:name:s"),
        ("MNIST = law:presets:s", "glues no 'presets', only preset"),
        ("MNIST = other:preset:s", "other.ipynb"),
    ],
)
def test_a_preset_that_cannot_be_had_fails_the_build(
    extension: ModuleType, tmp_path: Path, line: str, told: str
) -> None:
    with pytest.raises((LookupError, OSError, ValueError), match=told):
        directive(extension, tmp_path, line).preset(line)  # type: ignore[attr-defined]
