"""`tollkeeper dashboard`: a link that logs a browser in, once."""

from __future__ import annotations

import json
import os
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from harness.daemon import Daemon
from harness.http import Connection, Headers, Reply, request_bytes
from money_commands import Desk

from proxy.web.operator.access.cookies import LINK_SECONDS, Holder, Sessions


def ask(daemon: Daemon, method: str, path: str, headers: Headers | None = None) -> Reply:
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers or [], None, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def test_a_link_logs_a_browser_in_once_as_owner(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.daemon() as daemon:
        parts = urlsplit(desk.json("dashboard")["url"])
        assert parts.netloc == f"127.0.0.1:{daemon.admin_port}"
        link = f"{parts.path}?{parts.query}"
        looked = ask(daemon, "HEAD", link)  # whoever only looks uses nothing up
        assert (looked.status, looked.header("allow")) == (405, "GET")
        opened = ask(daemon, "GET", link)
        place, _, page = (opened.header("location") or "").partition("#page=")
        assert (opened.status, place) == (303, "/")
        cookie = next(f"{name}={one.value}" for name, one in SimpleCookie(opened.header("set-cookie")).items())
        ours: Headers = [("Cookie", cookie), ("x-tollkeeper-page", page)]
        who = ask(daemon, "GET", "/auth/session", ours).json
        assert (who["name"], who["role"]) == (f"uid {os.geteuid()}", "owner")
        origin = ("Origin", f"http://127.0.0.1:{daemon.admin_port}")
        assert ask(daemon, "POST", "/reload", [*ours, origin]).status == 200
        assert ask(daemon, "POST", "/reload", [*ours, ("Origin", "https://evil.example")]).status == 403
        assert ask(daemon, "POST", "/reload", [ours[0], origin]).status == 401
        again = ask(daemon, "GET", link)
        assert (again.status, again.header("set-cookie")) == (401, None)
        assert "tollkeeper dashboard" in again.error["message"]
        shown = ask(daemon, "GET", link, [("Accept", "text/html,application/xhtml+xml")])
        assert (shown.status, shown.header("content-type")) == (401, "text/html; charset=utf-8")
        assert b"<p>This link was used, or is too old; `tollkeeper dashboard` prints another.</p>" in shown.body
    told = desk.json("audit", "--action", "login.*")["rows"]
    assert [row["action"] for row in told] == ["login.failed", "login.failed", "login.done", "login.link"]
    secrets = (parts.query.removeprefix("token="), page, cookie.partition("=")[2])
    assert not any(secret in json.dumps(told) + daemon.output for secret in secrets)


def test_there_is_no_link_to_a_dashboard_that_is_switched_off(tmp_path: Path) -> None:
    desk = Desk(tmp_path, features={"dashboard": False})
    with desk.daemon():
        assert "the dashboard is switched off (`features.dashboard`)" in desk.refused("dashboard")


def test_a_link_ends_and_of_too_many_the_oldest_does() -> None:
    sessions, ann = Sessions(), Holder("ann", "owner")
    late, first = sessions.link(ann, 0.0), sessions.link(ann, 1.0)
    assert sessions.redeem(late, LINK_SECONDS) is None
    assert sessions.redeem(first, LINK_SECONDS) == ann
    assert sessions.redeem(first, LINK_SECONDS) is sessions.redeem("", 0.0) is None
    oldest = sessions.link(ann, 0.0)
    assert [sessions.link(ann, 0.0) for _ in range(100)] and sessions.redeem(oldest, 0.0) is None
