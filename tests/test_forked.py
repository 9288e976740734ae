"""Promises of pages that are executed in a fork: they are what a kernel makes of the same notebook."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchtime.book import forked, rerun
from batchtime.errors import NotebookError

NOTEBOOK = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# A page

```{code-cell} ipython3
:tags: [parameters]

first: int = 2  # a number
```

```{code-cell} ipython3
from IPython.display import HTML, display
from myst_nb import glue
print("said")
glue("twice", 2 * first, display=False)
display(HTML("<b>shown</b>"))
HTML("<i>last</i>")
```

```{code-cell} ipython3
first = None
first
```
"""


def outputs(page: Path) -> list[list[dict[str, Any]]]:
    """Return what the cells of an executed page show, but for whether it was the last expression of its cell."""
    cells = json.loads(page.read_text())["cells"]
    shown = [[dict(output) for output in cell["outputs"]] for cell in cells if cell["cell_type"] == "code"]
    return [
        [{key: one[key] for key in ("text", "data", "metadata") if key in one} for one in several] for several in shown
    ]


def test_a_fork_shows_what_a_kernel_shows(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(NOTEBOOK)
    for name, engine in (("kernel", None), ("fork", forked.NAME)):
        rerun.execute(tmp_path / "page.md", tmp_path / f"{name}.ipynb", {"first": 4}, engine=engine)
    made = outputs(tmp_path / "fork.ipynb")
    assert made == outputs(tmp_path / "kernel.ipynb")
    assert made[2][1]["metadata"] == {"scrapbook": {"name": "twice", "mime_prefix": "application/papermill.record/"}}
    assert "8" in str(made[2])


def test_what_stops_a_cell_is_said_and_the_next_page_knows_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        NOTEBOOK.replace("first = None", "import math\nmath.left_behind = 1 / (first - 4)")
    )
    with pytest.raises(NotebookError, match=r"page.md, cell 4 \(import math ...\) stopped: ZeroDivisionError"):
        rerun.execute(tmp_path / "page.md", tmp_path / "out.ipynb", {"first": 4}, engine=forked.NAME)
    rerun.execute(tmp_path / "page.md", tmp_path / "out.ipynb", {"first": 5}, engine=forked.NAME)
    (tmp_path / "other.md").write_text(
        NOTEBOOK.replace("first = None", "import math\nfirst = hasattr(math, 'left_behind')")
    )
    rerun.execute(tmp_path / "other.md", tmp_path / "out.ipynb", {}, engine=forked.NAME)
    assert outputs(tmp_path / "out.ipynb")[-1] == [{"data": {"text/plain": ["False"]}, "metadata": {}}]


def test_a_page_whose_process_dies_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(NOTEBOOK.replace("first = None", "import os\nos._exit(3)"))
    with pytest.raises(NotebookError, match="the process that executes the page ended with code 3"):
        rerun.execute(tmp_path / "page.md", tmp_path / "out.ipynb", {}, engine=forked.NAME)
