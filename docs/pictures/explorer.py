#!/usr/bin/env python3
"""Takes docs/pictures/explorer.png, the README's picture of a page that `googlenet.py explain` has written.

    .venv/bin/python googlenet.py explain RUN --out build/explained
    .venv/bin/python docs/pictures/explorer.py build/explained/index.html

It needs Chromium, which `make browser` brings, and Playwright, which `make test` has installed.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OPERATION = "inception3a.branch2.1.conv"


def main(page: Path, picture: Path) -> None:
    """Open the page, go backward to OPERATION's pixel, take the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        tab.goto(page.resolve().as_uri())
        tab.click("#turn")
        tab.fill("#search", OPERATION)
        tab.press("#search", "Enter")
        tab.fill("#search", "")
        tab.wait_for_selector("#window")
        tab.evaluate("document.activeElement.blur(); document.getElementById('closer').scrollIntoView()")
        tab.evaluate("document.getElementById('graph').scrollTo(0, 60)")
        tab.screenshot(path=str(picture))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_suffix(".png"))
