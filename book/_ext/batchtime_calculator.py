"""What the calculator and the class in a browser need of Sphinx: numbers as data of the page, scripts and styles.

The scripts ask for no file, so that the page works from file://; the numbers come from executed notebooks.
"""

import json
from pathlib import Path
from typing import Any

from batchtime_book import glued
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MARK = "calculator-presets"
LESSON = "lesson-data"
DATA = {"machines": "calculator-machines", "recorded": LESSON}
ENGINE = ("advice.js", "model.js")
SCRIPTS = {MARK: (*ENGINE, "calculator.js"), LESSON: (*ENGINE, "lesson.js")}
STYLES = {MARK: "calculator.css", LESSON: "lesson.css"}


def data_element(mark: str, value: object) -> nodes.raw:
    """Return data of the page as a script element that no browser runs."""
    data = json.dumps(value).replace("</", "<\\/")  # which alone could end the element
    return nodes.raw("", f'<script type="application/json" id="{mark}">{data}</script>', format="html", ids=[mark])


class GluedData(SphinxDirective):
    """What notebooks glued as JSON, as data of the page."""

    def glued(self, place: str) -> Any:
        """Return what is named by `page:name:s`.

        Raises:
            LookupError: If the notebook glued nothing of this name.
            OSError: If the page has no executed notebook.
            ValueError: If the text has another form.
        """
        parts = place.split(":")
        if len(parts) != 3:
            raise ValueError(f"{place!r}: write {self.form}")
        page, name, _ = parts
        notebook = Path(self.env.srcdir) / "runs" / f"{page}.ipynb"
        self.env.note_dependency(str(notebook))
        values = glued(notebook)
        if name not in values:
            raise LookupError(f"the page {page} glues no {name!r}, only {', '.join(sorted(values)) or 'nothing'}")
        return json.loads(str(values[name]))

    form = "page:name:s"


class Presets(GluedData):
    """`{presets}`, one `title = page:name:s` a line, with ` + page:name:s` of its curve over learning rates, if any."""

    has_content = True
    form = "title = page:name:s"

    def run(self) -> list[nodes.Node]:
        """Return the data.

        Raises:
            Error: If a line has another form, or a notebook or what it should glue is missing.
        """
        try:
            return [data_element(MARK, [self.preset(line) for line in self.content])]
        except (LookupError, OSError, ValueError) as error:
            raise self.error(f"{{presets}}: {error}") from error

    def preset(self, line: str) -> dict[str, object]:
        """Return the preset of a line, with its title.

        Raises:
            LookupError: If a notebook glued nothing of this name.
            OSError: If a page has no executed notebook.
            ValueError: If the line has another form.
        """
        title, equals, places = line.partition(" = ")
        if not equals:
            raise ValueError(f"{line!r}: write {self.form}")
        place, plus, curve = places.partition(" + ")
        return {"title": title, **self.glued(place), **({"curve": self.glued(curve)} if plus else {})}


class Data(GluedData):
    """`{machines}` or `{recorded}` with `page:name:s`: other machines to choose from, or the students of a class."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the data.

        Raises:
            Error: If the argument has another form, or the notebook or what it should glue is missing.
        """
        try:
            return [data_element(DATA[self.name], self.glued(self.arguments[0]))]
        except (LookupError, OSError, ValueError) as error:
            raise self.error(f"{{{self.name}}}: {error}") from error


def add_script(
    app: Sphinx, _page: str, _template: str, _context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give their scripts and their style to pages with data of the calculator or of the class alone."""
    found = {mark for node in doctree.findall(nodes.raw) for mark in node["ids"]} if doctree is not None else set()
    for mark, scripts in SCRIPTS.items():
        if mark in found:
            for script in scripts:
                app.add_js_file(script, loading_method="defer")
            app.add_css_file(STYLES[mark])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("presets", Presets)
    for name in DATA:
        app.add_directive(name, Data)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
