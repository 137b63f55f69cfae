"""Two operators at once: what one has changed meanwhile, or made under the same name, is not overwritten by the other unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, ADMIN_TOKEN, Visit
from harness.daemon import Daemon
from harness.http import Connection, request_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFIG: dict[str, Any] = {"providers": {"mock": {}}, "admin": ADMIN, "shutdown": {"drain": 1}}
BY_ANOTHER = "has version"  # what the page says of it


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("two")) as running:
        yield running
        assert running.stop() == 0, running.output


@pytest.fixture(scope="module")
def visit(browser: Browser, daemon: Daemon) -> Iterator[Visit]:
    visit = Visit(browser, daemon)
    visit.open("#/calls").get_by_role("button", name="Log in").click()
    visit.log_in()
    yield visit
    visit.close(expected="412|404")  # so say what was changed, and a simulation where no model is to be had


def order(daemon: Daemon, method: str, path: str, body: Any) -> None:
    """As the other operator gives it."""
    with Connection(daemon.admin_port) as connection:
        headers, sent = [("Authorization", f"Bearer {ADMIN_TOKEN}")], json.dumps(body).encode()
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        assert connection.read_reply(method).status == 200


def put(daemon: Daemon, path: str, value: Any) -> None:
    order(daemon, "PUT", f"/settings/{path}", {"value": value})


@pytest.mark.parametrize(
    ("screen", "path", "begins", "ours", "theirs"),
    [
        ("alerts", "alert_rules/dear", {"metric": "calls", "above": 5}, ("this limit", "7"), "6"),
        ("tenants", "tenants/acme", {"max_output": 5}, ("Output tokens of a call at most", "7"), "6"),
        ("providers", "providers/gpu", {"kind": "openai", "base_url": "http://127.0.0.1:5"}, ("Address", "http://127.0.0.1:7"), "http://127.0.0.1:6"),
    ],
)  # fmt: skip
def test_a_change_to_what_another_has_changed_is_told_and_made_on_top_of_it(
    visit: Visit, daemon: Daemon, screen: str, path: str, begins: dict[str, Any], ours: tuple[str, str], theirs: str
) -> None:
    member, was = list(begins.items())[-1]
    put(daemon, path, begins)
    page = visit.open(f"#/{screen}/{path.partition('/')[2]}")
    page.reload()
    field, sheet = page.get_by_label(ours[0], exact=True), page.get_by_role("dialog")
    field.fill(ours[1])
    put(daemon, path, {**begins, member: type(was)(theirs)})
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_role("alert").get_by_text(BY_ANOTHER).wait_for()
    assert daemon.asked(f"/settings/{path}")["value"][member] == type(was)(theirs)
    while field.input_value() != theirs:
        page.wait_for_timeout(50)
    field.fill(ours[1])
    sheet.get_by_role("button", name="Put it in force").click()
    while str(daemon.asked(f"/settings/{path}")["value"][member]) != ours[1]:
        page.wait_for_timeout(50)


@pytest.mark.parametrize(
    ("screen", "path", "there", "button", "fields", "done"),
    [
        ("alerts", "alert_rules/a", {"metric": "calls", "above": 5}, "New rule", {"Name": "a", "this limit": "7"}, "Make it"),
        ("budgets", "budgets/b", {"usd": 5, "per": "day"}, "New budget", {"Name": "b", "USD": "7"}, "Set it"),
        ("providers", "providers/c", {"kind": "openai", "base_url": "http://127.0.0.1:5"}, "New provider",
         {"Name": "c", "Address": "http://127.0.0.1:7"}, "Add it"),
        ("routing", "experiments/d", {"model": "mock/echo", "arms": [{"target": "mock/echo", "share": 50}, {"target": "mock/b", "share": 50}]},
         "New experiment", {"Its name": "d", "The name that clients send": "mock/echo", "As it is": "mock/echo", "Instead": "mock/x"}, "Begin it"),
    ],
)  # fmt: skip
def test_what_is_new_takes_nobodys_place(
    visit: Visit, daemon: Daemon, screen: str, path: str, there: Any, button: str, fields: dict[str, str], done: str
) -> None:
    put(daemon, path, there)
    before = daemon.asked(f"/settings/{path}")
    page = visit.open(f"#/{screen}")
    page.reload()
    page.get_by_role("button", name=button).click()
    form = page.get_by_role("dialog")
    for label, text in fields.items():
        form.get_by_label(label, exact=True).fill(text)
    form.get_by_role("button", name=done).click()
    form.get_by_role("alert").get_by_text(BY_ANOTHER).wait_for()
    visit.judge()
    assert daemon.asked(f"/settings/{path}") == before


def test_of_a_key_only_what_was_changed_here_is_changed(visit: Visit, daemon: Daemon) -> None:
    order(daemon, "POST", "/keys", {"name": "both", "models": ["openai/*"]})
    page = visit.open("#/keys/both")
    page.reload()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Requests a minute").fill("7")
    order(daemon, "PATCH", "/keys/both", {"models": ["mock/*"]})
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_text("7/minute").first.wait_for()
    (key,) = (one for one in daemon.asked("/keys")["keys"] if one["name"] == "both")
    assert key["models"] == ["mock/*"]
