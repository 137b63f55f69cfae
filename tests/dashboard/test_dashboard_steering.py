"""Where one explores, steers and waits: each screen in a real browser, and what it changes in force on the data port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, Visit
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFIG: dict[str, Any] = {
    "providers": {"mock": {}},
    "admin": ADMIN,
    "keys": {"alice": {"key": CLIENT_KEY}},
    "shutdown": {"drain": 1},
}


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("steered"), key=CLIENT_KEY) as running:
        for model in ("openai/gpt-4o", "openai/gpt-4o-mini"):
            assert running.chat(model).status == 200
        yield running
        assert running.stop() == 0, running.output


@pytest.fixture(scope="module")
def visit(browser: Browser, daemon: Daemon) -> Iterator[Visit]:
    """One who has logged in."""
    visit = Visit(browser, daemon)
    visit.open("#/explore").get_by_role("button", name="Log in").click()
    visit.log_in()
    yield visit
    visit.close(expected="40[019]")


def test_any_figure_is_drawn_listed_saved_and_kept_as_a_view(visit: Visit) -> None:
    page = visit.open("#/explore?since=1h&metric=calls")
    page.get_by_role("region", name="Calls by model and minute").get_by_role("img").wait_for()
    page.get_by_role("button", name="Show the figures").click()
    table = page.get_by_role("region", name=re.compile("Figures of calls by model and minute"))
    assert {"openai/gpt-4o", "openai/gpt-4o-mini"} <= set(table.get_by_role("columnheader").all_inner_texts())
    visit.judge()
    page.get_by_label("Only model").fill("*-mini")
    page.get_by_label("Only model").press("Enter")
    table.get_by_role("columnheader", name="openai/gpt-4o", exact=True).wait_for(state="detached")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = download.value.path().read_text()
    assert "openai/gpt-4o-mini" in saved and "openai/gpt-4o," not in saved
    page.get_by_label("Name of this view").fill("Small ones")
    page.get_by_role("button", name="Keep it").click()
    page = visit.open("#/explore")
    page.reload()
    page.get_by_role("link", name="Small ones").click()
    assert page.url.endswith("#/explore?since=1h&metric=calls&model=*-mini")
    page.get_by_role("button", name="Forget the view Small ones").click()
    page.get_by_role("link", name="The calls").click()
    page.get_by_role("region", name="Calls by minute").get_by_role("img").wait_for()
    assert page.get_by_role("region", name="Past calls").get_by_role("row").count() == 2
