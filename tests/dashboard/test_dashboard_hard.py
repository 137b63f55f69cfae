"""What is hard for a page: a path prefix, hundreds of calls at once, names without end, ten thousand rows."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, ADMIN_TOKEN, Visit
from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from harness.setting import CLIENT_KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PREFIX = "/tolls/here"
CALLS = 300


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    keys = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "month"}]}}
    config = {"providers": {"mock": {}}, "admin": ADMIN, "keys": keys, "shutdown": {"drain": 1}}
    with Daemon(config, tmp_path_factory.mktemp("tried"), key=CLIENT_KEY) as running:
        assert running.chat("openai/gpt-4o").status == 200
        yield running
        assert running.stop() == 0, running.output


@contextmanager
def behind_a_proxy(daemon: Daemon) -> Iterator[str]:
    """The address of a reverse proxy that takes a prefix away and passes everything else on, streams as they come."""

    class Passing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            upstream = http.client.HTTPConnection("127.0.0.1", daemon.admin_port)
            upstream.request(self.command, self.path.removeprefix(PREFIX), body, dict(self.headers.items()))
            reply = upstream.getresponse()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() != "transfer-encoding":
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            # the browser has left, or the daemon
            with closing(upstream), suppress(OSError, http.client.HTTPException):
                while piece := reply.read1(65536):
                    self.wfile.write(piece)

        do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()


def test_it_works_under_a_path_prefix_and_logs_in_there(browser: Browser, daemon: Daemon) -> None:
    with behind_a_proxy(daemon) as address:
        visit = Visit(browser, daemon, address=address)
        page = visit.open("#/now")
        page.get_by_text("live", exact=True).wait_for()
        page.get_by_role("link", name="Keys").click()
        page.get_by_role("button", name="New key").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Name").fill("prefixed")
        form.get_by_label("Models").fill("openai/*")
        form.get_by_role("button", name="Make it").click()
        visit.log_in()
        assert form.locator("pre").inner_text().startswith("sk-tk-")
        page.reload()
        page.get_by_role("button", name="Log out").wait_for()
        assert all(one.url.startswith(f"{address}/") for one in visit.requests)
        page.get_by_role("link", name="prefixed").click()
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke prefixed now").click()
        page.get_by_role("link", name="prefixed").wait_for(state="detached")
        visit.close(expected="401")


def test_hundreds_of_calls_at_once_are_all_counted_and_a_few_shown(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/now")
    page.get_by_text("live", exact=True).wait_for()
    before = daemon.asked("/analytics/usage?since=1h")["total"]["calls"]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: daemon.chat("openai/gpt-4o").status, range(CALLS))) == {200}
    page.get_by_text(f"of {before + CALLS} in 15 minutes").wait_for()
    table = page.get_by_role("region", name="Calls that have just ended")
    assert table.get_by_role("row").count() == 31
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Keys", exact=True).first.wait_for()
    visit.close()


def test_names_without_end_and_ten_thousand_rows_stick_out_nowhere(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    long = "ein-außerordentlich-langer-name-" * 4
    key = {
        "from": "store",
        "models": [long] * 2,
        "limits": [long],
        "budgets": [],
        "spent_usd": "123456789.123456789012",
    }
    key |= {"expired": False, "expires_at": None, "last_used_at": None, "tenant": long}
    keys = [{**key, "name": f"{number}-{long}"} for number in range(10_000)]
    body = json.dumps({"keys": keys, "open": False})
    for width in (320, 1280):
        page = visit.open("#/now", width)
        page.route("**/keys", lambda route: route.fulfill(body=body, content_type="application/json"))
        page.goto(f"{daemon.admin_url}/#/keys")
        table = page.get_by_role("region", name="Client keys, as a table")
        page.get_by_role("button", name="9,500 more").wait_for()
        assert table.get_by_role("row").count() == 501
        visit.judge_width()
        table.get_by_role("link").first.click()
        page.get_by_role("dialog").get_by_text("Its calls").wait_for()
        visit.judge_width()
        page.keyboard.press("Escape")
    visit.close()


def test_of_ten_thousand_budgets_those_stand_there_of_which_most_is_spent(browser: Browser, daemon: Daemon) -> None:
    one = {**daemon.asked("/budgets")["budgets"][0], "cap_usd": "10000.000000000000"}
    budgets = [{**one, "budget": f"key:{n}:month", "spent_usd": f"{n}.000000000000"} for n in range(10_000)]
    body = json.dumps({"budgets": budgets})
    visit = Visit(browser, daemon)
    page = visit.open("#/calls")
    page.route("**/budgets", lambda route: route.fulfill(body=body, content_type="application/json"))
    page.get_by_role("link", name="Now").click()
    page.get_by_text("Of 9,980 others less is spent").wait_for()
    meters = page.get_by_role("meter")
    assert (meters.count(), meters.first.get_attribute("aria-label")) == (20, "Spent of key:9999:month")
    visit.judge()
    page.get_by_role("link", name="all budgets").click()
    page.get_by_role("button", name="9,500 more").wait_for()
    visit.close()


def test_a_budget_says_when_it_runs_out(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/calls")
    end = json.dumps(
        {"budgets": [{"budget": "key:alice:month", "exhausted_at": "2031-05-06T07:08:09.000Z"}], "credits": []}
    )
    page.route("**/forecast", lambda route: route.fulfill(body=end, content_type="application/json"))
    page.get_by_role("link", name="Now").click()
    page.get_by_text("runs out about").wait_for()
    visit.judge()
    page.unroute_all()
    page.reload()
    page.get_by_text("key:alice:month").wait_for()
    assert {one["budget"] for one in daemon.asked("/forecast")["budgets"]} == {"key:alice:month"}
    visit.close()


def test_who_may_little_is_told_so_calmly_and_sees_the_rest(browser: Browser, daemon: Daemon) -> None:
    """The last one of this daemon: with an admin of their own, reading takes a token."""
    with Connection(daemon.admin_port) as connection:
        for name, role in (("vera", "viewer"), ("otto", "operator")):
            body = json.dumps({"value": {"role": role, "token": f"{name}-canary-0001"}}).encode()
            headers = [("Authorization", f"Bearer {ADMIN_TOKEN}"), ("Content-Type", "application/json")]
            connection.send(request_bytes("PUT", f"/settings/admins/{name}", headers, body, "127.0.0.1"))
            assert connection.read_reply().status == 200
    for name, told in (
        ("vera", "The role viewer of admin vera may not read costs"),
        ("otto", "No name of your own yet"),
    ):
        visit = Visit(browser, daemon)
        page = visit.open("#/routing")
        visit.log_in(f"{name}-canary-0001")
        page.get_by_text(told).first.wait_for()
        assert page.get_by_role("alert").count() == 0
        visit.judge()
        visit.close(expected="40[134]")
