"""One browser for the tests of a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(autouse=True)
def no_page_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what a test opened, also where it failed: a few hundred open pages fill the memory, and all others fail."""
    running: Browser | None = request.getfixturevalue("browser") if "browser" in request.fixturenames else None
    before = running.contexts if running else []
    yield
    for context in running.contexts if running else []:
        if context not in before:
            context.close()
