"""Debian's Chromium for tests, and what a page must never do: complain, fail a request, or leave its origin."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import GatewayProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 60_000  # a shared machine; nothing waits for it where all is well
VIEWS = {
    "fleet": "Fleet and health",
    "decisions": "Live decisions",
    "cost": "Cost by language",
    "plan": "The plan",
    "playground": "Playground",
}
USUAL: dict[str, Any] = {"limits": {}, "timeouts": {}}  # a gateway's defaults
MISSING = "no chromium: `apt-get install chromium` (Debian) gives the browser that the operator's page is tested in"


@dataclass
class Watched:
    """What pages of a browser complained of. `expected` are failures that a test brings about."""

    origin: str
    problems: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def watch(self, page: Any) -> None:
        page.on("console", lambda message: self._note(message.text, message.type in ("error", "warning")))
        page.on("pageerror", lambda error: self._note(f"page error: {error}", True))
        page.on("requestfailed", lambda request: self._note(f"failed: {request.url} {request.failure}", True))
        page.on("request", lambda request: self._note(f"foreign: {request.url}", self._is_foreign(request.url)))

    def _is_foreign(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https", "ws", "wss") and f"{parts.scheme}://{parts.netloc}" != self.origin

    def _note(self, text: str, bad: bool) -> None:
        if bad and not any(expected in text for expected in self.expected):
            self.problems.append(text)


class Visit:
    """One page of a gateway's operator, watched."""

    def __init__(self, browser: Any, gateway: GatewayProcess, **options: Any) -> None:
        self.origin = f"http://127.0.0.1:{gateway.admin_port}"
        self.watched = Watched(self.origin)
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.watched.watch(self.page)

    def open(self, view: str) -> Any:
        """The page, loaded anew, once it shows this view."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.origin}/#{view}")
        self.page.get_by_role("heading", name=VIEWS[view], level=1).wait_for()
        return self.page


def rows(page: Any) -> Any:
    """The decisions that are shown."""
    return page.locator("tbody tr:not(.details):visible")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser. Skips the test loudly where there is none."""
    if CHROMIUM is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [], timeout=120_000
        )
        try:
            yield browser
        finally:
            browser.close()
