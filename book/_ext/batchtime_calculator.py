"""What the page of the calculator needs of Sphinx: its presets as data of the page, its script and its style.

The script asks for no file, so that the page works from file://; the numbers come from executed notebooks.
"""

import json
from pathlib import Path
from typing import Any

from batchtime_book import glued
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MARK = "calculator-presets"


class Presets(SphinxDirective):
    """`{presets}`, one `title = page:name:s` a line: what these notebooks glued as JSON, as data of the page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the data as a script element that no browser runs.

        Raises:
            Error: If a line has another form, or a notebook or what it should glue is missing.
        """
        try:
            data = json.dumps([self.preset(line) for line in self.content])
        except (LookupError, OSError, ValueError) as error:
            raise self.error(f"{{presets}}: {error}") from error
        data = data.replace("</", "<\\/")  # which alone could end the element
        html = f'<script type="application/json" id="{MARK}">{data}</script>'
        return [nodes.raw("", html, format="html", ids=[MARK])]

    def preset(self, line: str) -> dict[str, object]:
        """Return the preset of a line, with its title.

        Raises:
            LookupError: If the notebook glued nothing of this name.
            OSError: If the page has no executed notebook.
            ValueError: If the line has another form.
        """
        title, equals, glue = line.partition(" = ")
        parts = glue.split(":")
        if not equals or len(parts) != 3:
            raise ValueError(f"{line!r}: write title = page:name:s")
        page, name, _ = parts
        notebook = Path(self.env.srcdir) / "runs" / f"{page}.ipynb"
        self.env.note_dependency(str(notebook))
        values = glued(notebook)
        if name not in values:
            raise LookupError(f"the page {page} glues no {name!r}, only {', '.join(sorted(values)) or 'nothing'}")
        return {"title": title, **json.loads(str(values[name]))}


def add_script(
    app: Sphinx, _page: str, _template: str, _context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the script and the style to pages with presets alone."""
    if doctree is not None and any(MARK in node["ids"] for node in doctree.findall(nodes.raw)):
        app.add_js_file("advice.js", loading_method="defer")
        app.add_js_file("calculator.js", loading_method="defer")
        app.add_css_file("calculator.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("presets", Presets)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
