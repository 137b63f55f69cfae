"""What a role may not change cannot be pressed on the page, which says why; it reads what it may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, Visit
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY

from proxy.web.operator.access.rights import RIGHTS, ROLES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SEEING, READING, OPERATING, BOUND = "token-viewer-01", "token-analyst-02", "token-operator-03", "token-bound-04"
CONFIG: dict[str, Any] = {
    "providers": {"mock": {}},
    "admin": ADMIN,
    "tenants": {"acme": {}},
    "keys": {"alice": {"key": CLIENT_KEY, "tenant": "acme", "budgets": [{"usd": 5, "per": "month"}]}},
    "admins": {
        "sees": {"token": SEEING, "role": "viewer"},
        "reads": {"token": READING, "role": "analyst"},
        "operates": {"token": OPERATING, "role": "operator"},
        "bound": {"token": BOUND, "role": "operator", "tenant": "acme"},
    },
    "shutdown": {"drain": 1},
}
# what is pressed first to change something, by screen
PRESSED = {
    "keys": "New key",
    "tenants": "New tenant",
    "budgets": "New budget",
    "providers": "New provider",
    "models": "Fetch the lists",
    "alerts": "New rule",
    "settings": "New entry",
}
WHO = Path(__file__).parents[2] / "dashboard/src/ui/who.ts"


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("roles"), key=CLIENT_KEY) as running:
        yield running


@pytest.mark.parametrize(
    ("token", "may", "why"),
    [
        (SEEING, set(), "Your role, viewer, cannot change this"),
        (READING, set(), "Your role, analyst, cannot change this"),
        (OPERATING, {"keys", "budgets", "models", "alerts"}, "Your role, operator, cannot change this"),
        (BOUND, {"keys"}, "You are bound to the tenant acme|Your role, operator,"),
    ],
)
def test_what_a_role_may_not_change_cannot_be_pressed(
    browser: Browser, daemon: Daemon, token: str, may: set[str], why: str
) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/calls")
    visit.log_in(token)
    for screen, word in PRESSED.items():
        page = visit.open(f"#/{screen}")
        page.get_by_role("button", name="Log out").wait_for()
        button = page.get_by_role("button", name=word, exact=True)
        button.wait_for()
        if screen not in may:
            page.get_by_role("main").get_by_text(re.compile(why)).first.wait_for()
        assert button.is_disabled() == (screen not in may), screen
        visit.judge()
    visit.close(expected="40[13]")


def test_the_page_knows_the_roles_of_the_daemon() -> None:
    told = dict(re.findall(r"const (OPERATED|BY_TENANT): Changed\[\] = \[(.*?)\]", WHO.read_text()))
    operated, by_tenant = ({word for word in re.findall(r'"(\w+)"', told[name])} for name in ("OPERATED", "BY_TENANT"))
    written = {resource for verb, resource in ROLES["operator"] if verb == "write"}
    assert operated == written | {"adjust"}
    bound = {right.resource for right in RIGHTS.values() if right.verb == "write" and right.by_tenant}
    assert by_tenant - {"adjust"} == bound - {"budgets"}, "of budgets one tenant's admin changes what is spent alone"
    assert {role for role, rights in ROLES.items() if any(verb == "write" for verb, _ in rights)} == {
        "owner",
        "operator",
    }
