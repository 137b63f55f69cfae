"""Analytics and events on the real daemon: what the admin port tells of calls, as JSON, as a table and as they happen."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY

CHEAP, DEAR = "mock/echo?cost=0.01", "mock/echo?cost=0.25"
TOKEN = "admin-canary-51b7"
WITH_TOKEN: Headers = [("Authorization", f"Bearer {TOKEN}")]
SAME = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd", "sources")
CONFIG: dict[str, Any] = {
    "providers": {"mock": {}},
    "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
    "keys": {"alice": {"key": CLIENT_KEY, "models": ["mock/*"], "budgets": [{"usd": 100, "per": "total"}]}},
    "budget_alerts": ["0.4%"],
    "shutdown": {"drain": 1},
}


def admin(daemon: Daemon, path: str, headers: Headers = WITH_TOKEN, method: str = "GET", body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply()


class Events:
    """The events of one connection to /events."""

    def __init__(self, daemon: Daemon, after: str | None = None) -> None:
        self.connection = Connection(daemon.admin_port)
        headers = [*WITH_TOKEN, *([("Last-Event-ID", after)] if after else [])]
        self.connection.send(request_bytes("GET", "/events", headers, None, f"127.0.0.1:{daemon.admin_port}"))
        self.head = self.connection.read_head()
        self.last = ""

    def next(self) -> tuple[str, Any]:
        """The next one that says something; its id is `last`."""
        while True:
            lines = self.connection.read_until(b"\n\n").decode().splitlines()
            fields = dict(line.split(": ", 1) for line in lines if line.startswith(("event: ", "id: ", "data: ")))
            if fields:
                self.last = fields["id"]
                return fields["event"], json.loads(fields["data"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with three calls, the last of them failed, and a refusal."""
    with Daemon(CONFIG, tmp_path_factory.mktemp("analysed"), key=CLIENT_KEY) as running:
        assert [running.chat(model, max_tokens=5).status for model in (CHEAP, DEAR)] == [200, 200]
        assert running.chat("mock/error?status=400").status == 400
        assert running.chat("mock/echo", [("Authorization", "Bearer wrong")]).status == 401
        assert running.chat("no-such-model/at-all").status == 404
        yield running


def test_the_forecast_has_the_budget_with_an_interval_and_when_it_runs_out(daemon: Daemon) -> None:
    (row,) = admin(daemon, "/forecast").json["budgets"]
    assert (row["budget"], row["per"], row["spent_usd"]) == ("key:alice:total", "total", "0.260000000000")
    assert (row["at_end_usd"], row["confidence"]) == (None, "low")
    assert row["exhausted_in_seconds"] == int(99.74 / 0.26 * 3600)  # as fast as in the hour there was


@pytest.mark.parametrize(("since", "status"), [("7d", 200), ("2026-11-20", 200), ("soon", 400)])
def test_bills_are_asked_for_as_other_figures_are(daemon: Daemon, since: str, status: int) -> None:
    reply = admin(daemon, f"/reconciliation?since={since}")
    assert reply.status == status
    assert status != 200 or reply.json == {"days": [], "corrections": []}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("/analytics/usage?by=kye", "'by' must be key, tenant, provider, model, endpoint, session or flag (did you mean key?)."),
        ("/analytics/costs?interval=hours", "'interval' must be minute, hour, day or month (did you mean hour?)."),
        ("/usage?by=bogus", "'by' must be day, month, model, key, provider, tenant, session or flag."),
        ("/usage?since=2026-11-28&until=2026-11-27", "'until' is before 'since': nothing lies between them."),
        ("/forecast?by=key", "The query holds something unknown here; known are: none."),
        ("/audit?limit=0", "'limit' must be a whole number of at least 1."),
        ("/audit?limit=few", "'limit' must be a whole number."),
        ("/calls/past?outcome=fail", "'outcome' must be ok, failed or refused (did you mean failed?)."),
        ("/models?free=perhaps", "'free' must be true or false."),
        ("/models?limit=few", "'limit' must be a whole number."),
        ("/models?limit=0", "'limit' must be a whole number of at least 1."),
        ("/models?limit=-1", "'limit' must be a whole number of at least 1."),
        ("/models?released=soon", "'released' must be a date such as 2026-11-21, 2026-11-21T08:00, today, yesterday, 7d or 6h."),
        ("/what-if", "'model' is missing."),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_answered_is_told_in_words(daemon: Daemon, query: str, sentence: str) -> None:
    reply = admin(daemon, query)
    assert (reply.status, reply.error["code"], reply.error["message"]) == (400, "invalid_value", sentence)


@pytest.mark.parametrize("path", ["/calls/past", "/models", "/audit", "/jobs", "/webhooks"])
def test_the_document_says_which_limits_are_taken(daemon: Daemon, path: str) -> None:
    described = admin(daemon, "/openapi.json").json["paths"][path]["get"]["parameters"]
    (limit,) = [one["schema"] for one in described if one["name"] == "limit"]
    most = limit.get("maximum", 10**9)
    assert admin(daemon, f"{path}?limit={most}").status == 200
    assert admin(daemon, f"{path}?limit={limit['minimum'] - 1}").status == 400
    assert ("maximum" not in limit) or admin(daemon, f"{path}?limit={most + 1}").status == 400


def test_the_document_says_what_analytics_are_told_apart_by(daemon: Daemon) -> None:
    described = admin(daemon, "/openapi.json").json["paths"]["/analytics/costs"]["get"]["parameters"]
    (by,) = [one["schema"] for one in described if one["name"] == "by"]
    assert "default" not in by
    names = by["description"].partition(";")[0].split(", ")
    assert admin(daemon, f"/analytics/costs?by={','.join(names)}").status == 200


def test_analytics_agree_with_usage_and_tell_times_and_errors(daemon: Daemon) -> None:
    usage = admin(daemon, "/usage?by=model").json
    for name in ("usage", "performance", "costs"):
        report = admin(daemon, f"/analytics/{name}?by=model&interval=hour").json
        assert (report["interval"], report["by"], report["complete"]) == ("hour", ["model"], True)
        assert {field: report["total"][field] for field in SAME} == {field: usage["total"][field] for field in SAME}
        mine = {row["model"]: {field: row[field] for field in SAME} for row in report["rows"] if row["calls"]}
        assert mine == {row["model"]: {field: row[field] for field in SAME} for row in usage["rows"]}
    costs = admin(daemon, "/analytics/costs?by=model").json
    assert [row["model"] for row in costs["rows"]][:2] == [DEAR, CHEAP]
    assert (costs["total"]["calls"], costs["total"]["errors"]) == (3, 1)
    assert costs["total"]["refused"] in (1, 2), "what the next test asks wrongly, where it came first"
    assert costs["total"]["total_ms"]["p50"] >= 0 and costs["rows"][0]["at"] is None
    narrowed = admin(daemon, "/analytics/usage?by=endpoint&model=*cost=0.01&key=alice&since=1h&interval=minute").json
    assert [(row["endpoint"], row["calls"]) for row in narrowed["rows"]] == [("chat/completions", 1)]


@pytest.mark.parametrize(("more", "headers"), [("&format=csv", []), ("", [("Accept", "text/csv")])])
def test_a_table_for_spreadsheets(daemon: Daemon, more: str, headers: Headers) -> None:
    reply = admin(daemon, f"/analytics/costs?by=model,key&interval=day{more}", [*WITH_TOKEN, *headers])
    assert (reply.header("content-type") or "").startswith("text/csv")
    first, *_ = rows = list(csv.DictReader(StringIO(reply.body.decode())))
    assert (first["model"], first["key"], first["cost_usd"], first["sources"]) == (
        DEAR,
        "alice",
        "0.250000000000",
        "reported:1",
    )
    assert first["total_ms_p95"].isdigit() and len(rows) >= 3


WRONG = ["by=colour", "interval=week", "since=soon", "format=xml", "tz=Mars", "interval=minute&since=20d", "colour=red"]


def test_several_dimensions_are_said_at_once_or_one_by_one(daemon: Daemon) -> None:
    for path in ("/usage?", "/analytics/usage?interval=day&", "/analytics/costs?"):
        once, each = (admin(daemon, path + by).json for by in ("by=key,model", "by=key&by=model"))
        assert (each["by"], each["rows"]) == (["key", "model"], once["rows"])
    own = daemon.ask("GET", "/tollkeeper/usage?by=day&by=model").json
    assert own["by"] == ["day", "model"]
    for reply in (admin(daemon, "/usage?key=alice&key=bob"), daemon.ask("GET", "/tollkeeper/usage?tz=UTC&tz=UTC")):
        assert (reply.status, reply.error["code"]) == (400, "invalid_value")


def test_what_cannot_be_asked_is_said_so(daemon: Daemon) -> None:
    for query in WRONG:
        refused = admin(daemon, f"/analytics/usage?{query}")
        assert (refused.status, refused.error["code"]) == (400, "invalid_value"), query


def test_events_tell_what_happens_and_go_on_where_they_ended(tmp_path: Path) -> None:
    with Daemon(CONFIG, tmp_path, key=CLIENT_KEY) as daemon:
        assert daemon.chat(DEAR).status == 200
        follow(daemon)


def follow(daemon: Daemon) -> None:
    """What the next calls are told as."""
    events = Events(daemon)
    assert events.head.header("content-type") == "text/event-stream"
    first = daemon.chat(DEAR)
    told: dict[str, Any] = {}
    while "alert" not in told or told.get("call", {}).get("request_id") != first.request_id:
        name, told[name] = events.next()  # the call before may be told only now
    assert (told["call"]["request_id"], told["call"]["cost_usd"]) == (first.request_id, "0.250000000000")
    assert told["alert"]["threshold"] == "0.4%"
    seen = events.last
    events.connection.leave()
    daemon.chat("no-such-model/at-all")
    assert admin(daemon, "/settings/models/m", method="PUT", body=CHEAP).status == 200
    again = Events(daemon, seen)
    later = dict([again.next(), again.next()])
    assert later["refusal"]["error"] == "model_not_found"
    assert later["change"]["action"] == "setting.set" and later["change"]["target"].endswith("models.m")
    again.connection.leave()


def test_a_kill_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    with Daemon(CONFIG, tmp_path, key=CLIENT_KEY) as first:
        for _ in range(3):
            assert first.chat(CHEAP).status == 200
        admin(first, "/analytics/usage")
        assert first.chat(DEAR).status == 200
        os.kill(first.pid, signal.SIGKILL)
    with Daemon(CONFIG, tmp_path, key=CLIENT_KEY) as second:
        total = admin(second, "/analytics/costs?interval=day&by=key").json["total"]
        assert (total["calls"], total["cost_usd"]) == (4, "0.280000000000")
        assert admin(second, "/usage").json["total"]["cost_usd"] == total["cost_usd"]
