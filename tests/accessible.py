"""What of a page breaks the rules of accessibility, as axe finds it."""

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LEVELS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
COLOURS = ("color-contrast", "link-in-text-block")  # the rules that a page can break in one scheme alone


def violations(page: Page, *, rules: Sequence[str] = (), but: Sequence[str] = ()) -> list[str]:
    """Return what breaks the rules of levels A and AA, or some rules, or all but some."""
    # Colours on their way from one to another are nobody's.
    page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
    options = {
        "runOnly": {"type": "rule", "values": list(rules)} if rules else LEVELS,
        "rules": {rule: {"enabled": False} for rule in but},
        "resultTypes": ["violations"],  # or axe names each element that keeps a rule, which takes it far longer
    }
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
