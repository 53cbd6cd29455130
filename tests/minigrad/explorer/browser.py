"""A real browser for the tests of pages: Chromium, where it is installed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"


def missing() -> str | None:
    """Why no page can be opened here, if so."""
    if not any(map(shutil.which, NAMES)):
        return "needs Chromium; `make browser` says how"
    return None


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser. Skips the test, with a reason, where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    if reason := missing():
        pytest.skip(reason)
    path = next(filter(None, map(shutil.which, NAMES)))
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is open. Whatever it says on its console and whatever it asks for beyond its own file is kept."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, dark: bool = False, hash: str = "") -> None:
        height = 844 if width < 800 else 900
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.resolve().as_uri() + hash)
        self.page.wait_for_function("document.body.dataset.ready !== undefined")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def close(self, path: Path) -> None:
        """Nothing was said, and nothing but the file was read."""
        self.context.close()
        assert self.said == []
        assert {url.split("#")[0] for url in self.asked if not url.startswith("data:")} == {path.resolve().as_uri()}

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"))
