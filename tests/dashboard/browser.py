"""A real browser before the dashboard: Debian's Chromium, which can reach nothing but this machine, and what it noticed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import NOON

from proxy.data import DASHBOARD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request

SCREENS = (
    "now calls costs explore keys tenants budgets providers models routing playground jobs alerts audit settings"
).split()
AXE = REPOSITORY / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
ADMIN_TOKEN = "admin-canary-51b7"
ADMIN = {"host": "127.0.0.1", "port": 0, "token": ADMIN_TOKEN}
PATIENCE_MS = 60_000
_NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
# what axe finds: the rule, and the first places
_FOUND = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
    (one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


def chromium() -> Path:
    """The browser; the test is skipped, and says why, where something is missing."""
    pytest.importorskip("playwright", reason="the package playwright is not installed")
    found = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed (Debian's package chromium)")
    if not (DASHBOARD / "index.html").exists() or not AXE.exists():
        pytest.skip("the dashboard is not built; `make dashboard` builds it")
    return Path(found)


@contextmanager
def started() -> Iterator[Browser]:
    """The browser as a process."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", _NOWHERE])
        yield browser
        browser.close()


def is_asked(url: str) -> bool:
    """Whether that is a question to the daemon, and no file of the page."""
    path = urlsplit(url).path
    return path not in ("/", "") and not path.startswith(("/assets/", "/auth/"))


class Visit:
    """One person's browser before one daemon. `trouble` is what must not be: errors in the console, requests to others."""

    def __init__(self, browser: Browser, daemon: Daemon, *, address: str = "", **options: Any) -> None:
        """`address`: where the page is, if not at the daemon itself."""
        self.address = address or daemon.admin_url
        self._calls = daemon.url.removesuffix("/v1")
        self.trouble: list[str] = []
        self.requests: list[Request] = []
        self.context: BrowserContext = browser.new_context(**{"timezone_id": NOON, **options})
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda told: self._told(told.type, told.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", self._asked)

    def _told(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.trouble.append(text)

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.address, self._calls, "data:")):
            self.trouble.append(f"asked for {request.url}")

    def open(self, hash_: str = "", width: int = 1280, scheme: Any = "light") -> Page:
        """The page at a place."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.goto(f"{self.address}/{hash_}")
        return self.page

    def log_in(self, token: str = ADMIN_TOKEN) -> None:
        """By a token of an admin, in the form that is open."""
        self.page.get_by_label("Admin token").fill(token)
        self.page.get_by_role("dialog").get_by_role("button", name="Log in").click()
        self.page.get_by_label("Admin token").wait_for(state="detached")

    def judge(self) -> None:
        """The screen as it is now is usable by everybody, and fits: axe finds nothing, nothing sticks out."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(_FOUND)
        assert found == [], f"{self.page.url}: {found}"
        self.judge_width()

    def judge_width(self) -> None:
        """Nothing sticks out."""
        width = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"{self.page.url} sticks out: {width}"

    def close(self, *, expected: str = "") -> None:
        """Nothing went wrong meanwhile, but for what the test was about."""
        self.context.close()
        left = [one for one in self.trouble if not expected or not re.search(expected, one)]
        assert left == [], left
