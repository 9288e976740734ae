"""The slides: reveal.js from MyST, with the book's own figures and numbers; one folder that opens from a file.

Sphinx reads this file; `make book` builds the slides into _build/html/slides.
"""

import sys
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "book" / "_ext"))

from batchtime_book import MATHJAX  # noqa: E402 - its folder is known only now

project = "Batch size and training time"
author = "the batchtime authors"
language = "en"
# autodoc has the event that the book's extension listens to.
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_revealjs", "batchtime_book"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"
batchtime_runs = "../book/runs"
exclude_patterns = ["conf.py"]

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "white"
revealjs_static_path = ["slides.css", str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX))]
revealjs_css_files = ["slides.css"]
revealjs_script_files = ["revealjs/dist/reveal.js"]
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.04,
    "center": False,
    "hash": True,
    "slideNumber": "c/t",
    "transition": "none",
    "controlsTutorial": False,
}
html_show_sourcelink = False
html_copy_source = False
