"""Pages of the rendered book, parsed once for all tests that look at them and change nothing."""

import functools
from pathlib import Path

from bs4 import BeautifulSoup


@functools.cache
def parsed(page: Path) -> BeautifulSoup:
    """Return a page as its elements."""
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def pages_of(site: Path) -> dict[Path, BeautifulSoup]:
    """Return every page of a site by its path, in their order."""
    return {path: parsed(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
