"""Exercises that check themselves: `{check}` with a number, or with `page:name` of a number that a notebook glued.

The answer is not shown; a field says whether what is written there is near enough, too large or too small. Without
scripts, and on paper, there is no field.
"""

import html
from pathlib import Path
from typing import Any, ClassVar

from batchtime_book import glued
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MARK = "check-answer-"
WITHIN = 0.03


class Check(SphinxDirective):
    """`{check}`: a field for the answer of an exercise.

    Options: `label`, what is asked for, in plain text; `within`, how far off counts as right, as a fraction.
    """

    required_arguments = 1
    option_spec: ClassVar[Any] = {"label": directives.unchanged_required, "within": float}

    def run(self) -> list[nodes.Node]:
        """Return the field.

        Raises:
            Error: If there is no such number, or it is 0 and nothing is near it.
        """
        try:
            answer = self.answer(self.arguments[0])
        except (LookupError, OSError, TypeError, ValueError) as error:
            raise self.error(f"{{check}}: {error}; write a number that is not 0, or page:name") from error
        name = f"{MARK}{self.env.new_serialno('check')}"
        label, within = html.escape(self.options.get("label", "Your answer")), self.options.get("within", WITHIN)
        field = (
            f'<form class="check-answer" data-answer="{answer!r}" data-within="{within}" hidden>'
            f'<label for="{name}">{label}</label> '
            f'<input type="text" inputmode="decimal" id="{name}" autocomplete="off"> '
            f'<button type="submit">Check</button> <output for="{name}"></output></form>'
        )
        return [nodes.raw("", field, format="html", ids=[MARK])]

    def answer(self, text: str) -> float:
        """Return the number that is meant.

        Raises:
            LookupError: If the notebook glued nothing of this name.
            OSError: If the page has no executed notebook.
            TypeError: If it glued no number.
            ValueError: If it is no number, or 0.
        """
        page, colon, name = text.partition(":")
        value: Any = text
        if colon:
            notebook = Path(self.env.srcdir) / "runs" / f"{page}.ipynb"
            self.env.note_dependency(str(notebook))
            value = glued(notebook)[name]
        if (number := float(value)) == 0:
            raise ValueError(f"{text!r} is 0")
        return number


def add_script(
    app: Sphinx, _page: str, _template: str, _context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the script and the style to pages with such fields alone."""
    if doctree is not None and any(MARK in node["ids"] for node in doctree.findall(nodes.raw)):
        app.add_js_file("check.js", loading_method="defer")
        app.add_css_file("check.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("check", Check)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
