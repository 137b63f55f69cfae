"""`background: true`: the hold stays open until somebody sees the end, through crashes and reloads, and settles once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.daemon import Daemon, Line
from harness.events import event
from harness.http import Reply
from harness.setting import PATIENT
from harness.steps import LAST_CHUNK, Script, Wire, chunk, hang, json_reply, say, sse, stream_head, then
from harness.upstream import Upstream
from money_books import KEY, Books, books_of, eventually

BOB = "sk-bob-background"
PRICE = {"input": 1000, "output": 2000}
USAGE = {"input_tokens": 11, "output_tokens": 4, "total_tokens": 15}
COST = Decimal("0.019")
SAID = [{"type": "message", "content": [{"type": "output_text", "text": "Hel"}]}]
StartOne = Callable[..., Daemon]


class Remote:
    """A response at the provider: `status` says how it stands, None that there is none. It answers as a script."""

    def __init__(self, status: str | None = "queued", **members: Any) -> None:
        self.status = status
        self.code = 200
        self.members = members
        self.asked = 0

    def body(self, status: str | None = None) -> dict[str, Any]:
        status = status or self.status
        usage = USAGE if status in ("completed", "incomplete") else None
        told = {
            "id": "resp_1",
            "object": "response",
            "model": "gpt-4o",
            "background": True,
            "output": [],
            "error": None,
        }
        return {**told, "status": status, "usage": usage, **self.members}

    async def __call__(self, wire: Wire) -> None:
        self.asked += 1
        if self.status is None:
            await json_reply({"error": {"message": "No response found.", "code": None}}, status=404)(wire)
        else:
            await json_reply(self.body(), status=self.code)(wire)

    def streamed(self, *statuses: str, end: bool = True) -> bytes:
        """The events of a stream that tells of these statuses; the first is `response.created`."""
        kinds = ["response.created" if n == 0 else f"response.{s}" for n, s in enumerate(statuses)]
        return b"".join(event({"type": k, "response": self.body(s)}, k) for k, s in zip(kinds, statuses, strict=True))


@pytest.fixture
def start_one(upstream: Upstream, tmp_path: Path) -> Any:
    """Start a daemon before one OpenAI-like provider, with two budgets; twice in one folder goes on where it ended."""
    with ExitStack() as stack:
        running: list[Daemon] = []

        def start(timeouts: dict[str, float] | None = None, **members: Any) -> Daemon:
            own = {"kind": "openai", "base_url": f"{upstream.url}/oai/v1", "api_key": "sk-upstream"}
            config = {
                "providers": {"oai": {**own, "timeouts": {**PATIENT, "total": 600, **(timeouts or {})}}},
                "models": {"m": {"target": "oai/house", "price": PRICE}},
                "keys": {
                    "alice": {"key": KEY, "budgets": [{"usd": 9000, "per": "total"}, {"usd": 500, "per": "day"}]},
                    "bob": {"key": BOB, "budgets": [{"usd": 1, "per": "total"}]},
                },
                "budgets": [{"usd": 10_000, "per": "month"}],
                "retries": {"attempts": 1},
                "shutdown": {"drain": 1},
                **members,
            }
            running.append(stack.enter_context(Daemon(config, tmp_path, key=KEY)))
            return running[-1]

        yield start
        for daemon in running:
            assert '"crashed"' not in daemon.output, daemon.output


def create(daemon: Daemon, upstream: Upstream, remote: Remote, **members: Any) -> Reply:
    """Begin a response in the background; from then on it answers GETs and its cancelling."""
    first = members.pop("first", None) or json_reply(remote.body())
    upstream.expect(remote, path="/responses/resp_1", again=True)
    upstream.expect(first, path="/responses")
    body = {"model": "m", "input": "hi", "background": True, "max_output_tokens": 1000, **members}
    return daemon.post("/v1/responses", body)


def retrieve(daemon: Daemon, query: str = "", key: str = KEY) -> Reply:
    return daemon.ask("GET", f"/v1/responses/resp_1{query}", [("Authorization", f"Bearer {key}")])


def held_usd(daemon: Daemon, budget: str) -> float:
    return daemon.metric("tollkeeper_budget_held_usd", budget=budget)


def check_settled(books: Books, reply: Reply, cost: Decimal | None = COST, source: str = "computed") -> None:
    """Settled once at this cost (None: at its hold), in every budget, with nothing held."""
    (row,) = books.of(reply.request_id)
    assert row.source == source
    expected = Decimal(row.hold_pusd if cost is None else int(cost * 10**12))
    assert row.cost_pusd == expected
    assert row.upstream_id == "resp_1"
    assert not books.held
    for budget in ("key:alice:total", "key:alice:day", "global:month"):
        assert books.spent_by(budget) == expected / 10**12


def settled(daemon: Daemon, reply: Reply) -> Books:
    return eventually(daemon, lambda books: bool(books.of(reply.request_id)))


def ended(daemon: Daemon) -> Line:
    return daemon.wait_for_log(lambda line: line.get("event") == "background_ended")


def test_a_client_that_polls_sees_its_hold_settled_by_the_usage(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote()
    daemon = start_one()
    made = create(daemon, upstream, remote)
    assert (made.status, made.json["status"], made.header("x-tollkeeper-cost-usd")) == (200, "queued", None)
    line = daemon.line_of(made)
    assert (line["cost_usd"], line["cost_source"], line["status"]) == (None, "pending", 200)
    held = held_usd(daemon, "key:alice:day")
    assert held > 2
    remote.status = "in_progress"
    assert retrieve(daemon).json["status"] == "in_progress"
    assert held_usd(daemon, "key:alice:day") == held_usd(daemon, "global:month") == held
    remote.status = "completed"
    assert retrieve(daemon).json["usage"] == USAGE
    check_settled(books_of(daemon), made)
    assert held_usd(daemon, "key:alice:day") == held_usd(daemon, "global:month") == 0
    told = ended(daemon)
    assert (told["request_id"], told["cost_source"], Decimal(told["cost_usd"])) == (made.request_id, "computed", COST)
    assert (told["key"], told["provider"], told["outcome"]) == ("alice", "oai", "200")
    assert daemon.metric("tollkeeper_cost_usd_total", source="computed") == float(COST)


def test_a_client_that_never_comes_back_is_settled_by_our_own_asking(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status = "completed"
    check_settled(settled(daemon, made), made)
    (_, asked) = upstream.calls
    assert asked.request_line == "GET /oai/v1/responses/resp_1 HTTP/1.1"
    assert asked.header("authorization") == "Bearer sk-upstream"


@pytest.mark.parametrize(
    ("first", "members", "cost", "source"),
    [
        ("queued", {}, Decimal(0), "none"),
        ("in_progress", {}, None, "held"),
        ("queued", {"output": SAID}, None, "held"),
        ("queued", {"usage": USAGE}, COST, "computed"),
        ("in_progress", {"usage": {"input_tokens": 0, "output_tokens": 0}}, Decimal(0), "computed"),
    ],
)
def test_a_cancelled_one_costs_what_it_says(
    start_one: StartOne, upstream: Upstream, first: str, members: dict[str, Any], cost: Decimal | None, source: str
) -> None:
    remote = Remote(first)
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status, remote.members = "cancelled", members
    assert daemon.post("/v1/responses/resp_1/cancel", b"").json["status"] == "cancelled"
    check_settled(books_of(daemon), made, cost, source)
    assert books_of(daemon).of(made.request_id)[0].outcome == "cancelled"


@pytest.mark.parametrize(("members", "cost", "source"), [({"usage": USAGE}, COST, "computed"), ({}, None, "held")])
def test_a_failed_one_costs_its_usage_or_its_hold(
    start_one: StartOne, upstream: Upstream, members: dict[str, Any], cost: Decimal | None, source: str
) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status = "failed"
    remote.members = {"error": {"code": "server_error", "message": "It broke."}, **members}
    assert retrieve(daemon).json["error"]["code"] == "server_error"
    books = books_of(daemon)
    check_settled(books, made, cost, source)
    (row,) = books.of(made.request_id)
    assert row.outcome == "failed"
    assert row.error


@pytest.mark.parametrize(
    ("code", "output", "source"),
    [
        ("rate_limit_exceeded", [], "none"),
        ("insufficient_quota", [], "none"),
        ("invalid_prompt", [], "none"),
        ("rate_limit_exceeded", SAID, "held"),
        ("vector_store_timeout", [], "held"),
    ],
)
def test_one_that_was_refused_before_it_said_anything_costs_nothing(
    start_one: StartOne, upstream: Upstream, code: str, output: list[Any], source: str
) -> None:
    """As where the same is answered 4xx at once; what failed by a fault of the provider may have been billed."""
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status, remote.members = "failed", {"error": {"code": code, "message": "No."}, "output": output}
    assert retrieve(daemon).json["error"]["code"] == code
    check_settled(books_of(daemon), made, Decimal(0) if source == "none" else None, source)


def test_one_that_is_gone_costs_its_hold(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote()
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status = None
    check_settled(settled(daemon, made), made, None, "held")


def test_trouble_at_the_provider_is_waited_out(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("completed")
    remote.code = 503
    daemon = start_one()
    made = create(daemon, upstream, remote, first=json_reply(remote.body("queued")))
    upstream.wait_for_calls(2)
    assert not books_of(daemon).of(made.request_id)
    remote.code = 200
    check_settled(settled(daemon, made), made)


def test_after_total_it_costs_its_hold(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one({"total": 1})
    made = create(daemon, upstream, remote)
    check_settled(settled(daemon, made), made, None, "held")
    assert remote.asked == 1  # at the deadline, for the last time
    assert ended(daemon)["outcome"] == "unfinished"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_next_daemon_goes_on_asking(start_one: StartOne, upstream: Upstream, end: str) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    if end == "kill":
        daemon.line_of(made)
        os.kill(daemon.pid, signal.SIGKILL)
    else:
        assert daemon.stop() == 0
    books = books_of(daemon)
    assert [hold.request_id for hold in books.held] == [made.request_id]
    assert not books.rows
    again = start_one()
    assert held_usd(again, "key:alice:day") == held_usd(again, "global:month") > 2
    remote.status = "completed"
    check_settled(settled(again, made), made)
    assert ended(again)["request_id"] == made.request_id
    assert again.stop() == 0
    check_settled(books_of(again), made)


def test_the_next_daemon_charges_the_price_of_what_served_it(start_one: StartOne, upstream: Upstream) -> None:
    own = {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    members = {"providers": {"openai": own}, "models": {"m": "openai/gpt-5"}}
    remote = Remote("in_progress")
    daemon = start_one(**members)
    made = create(daemon, upstream, remote)
    assert daemon.stop() == 0
    remote.status = "completed"  # by gpt-4o, at $2.50 and $10 a million
    again = start_one(**members)
    check_settled(settled(again, made), made, Decimal("0.0000675"))


def test_what_was_due_while_nobody_ran_is_asked_for_a_last_time(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    assert daemon.stop() == 0
    remote.status = "completed"
    again = start_one({"total": 0.1})
    check_settled(settled(again, made), made)


def test_a_daemon_without_the_provider_settles_it_as_interrupted(start_one: StartOne, upstream: Upstream) -> None:
    daemon = start_one()
    made = create(daemon, upstream, Remote("in_progress"))
    assert daemon.stop() == 0
    other = {"elsewhere": {"kind": "openai", "base_url": f"{upstream.url}/other/v1"}}
    again = start_one(providers=other, models={})
    check_settled(settled(again, made), made, None, "interrupted")


def test_a_stream_that_is_left_runs_on(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    first = then(say(stream_head() + chunk(remote.streamed("queued", "in_progress"))), hang)
    upstream.expect(remote, path="/responses/resp_1", again=True)
    upstream.expect(first, path="/responses")
    body = {"model": "m", "input": "hi", "background": True, "stream": True, "max_output_tokens": 1000}
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/v1/responses", (), json.dumps(body).encode()))
        connection.read_until(b"response.in_progress")
    line = daemon.wait_for_log(lambda line: line.get("cost_source") == "pending")
    assert held_usd(daemon, "key:alice:day") > 2
    remote.status = "completed"
    books = eventually(daemon, lambda books: bool(books.of(line["request_id"])))
    (row,) = books.of(line["request_id"])
    assert (Decimal(row.cost_pusd) / 10**12, row.source, row.stream) == (COST, "computed", True)


def test_a_stream_under_way_when_the_daemon_is_killed_is_asked_for(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    upstream.expect(remote, path="/responses/resp_1", again=True)
    upstream.expect(then(say(stream_head() + chunk(remote.streamed("in_progress"))), hang), path="/responses")
    body = {"model": "m", "input": "hi", "background": True, "stream": True, "max_output_tokens": 1000}
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/v1/responses", (), json.dumps(body).encode()))
        connection.read_until(b"response.created")
        os.kill(daemon.pid, signal.SIGKILL)
    remote.status = "completed"
    books = eventually(start_one(), lambda books: bool(books.rows))
    assert [(Decimal(row.cost_pusd) / 10**12, row.source) for row in books.rows.values()] == [(COST, "computed")]


def test_a_stream_read_to_its_end_is_settled_as_any_other(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote()
    daemon = start_one()
    made = create(daemon, upstream, remote, stream=True, first=sse(remote.streamed("in_progress", "completed")))
    check_settled(books_of(daemon), made)
    assert daemon.line_of(made)["cost_source"] == "computed"


def test_a_get_that_streams_passes_and_settles(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    events = remote.streamed("in_progress", "completed")
    upstream.expect(say(stream_head() + chunk(events) + LAST_CHUNK), path="starting_after=1")
    made = create(daemon, upstream, remote)
    reply = retrieve(daemon, "?stream=true&starting_after=1")
    assert reply.body == events
    check_settled(books_of(daemon), made)


def test_a_get_whose_stream_is_cut_settles_nothing(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    cut: Script = say(stream_head() + chunk(remote.streamed("in_progress")) + LAST_CHUNK)
    upstream.expect(cut, path="stream=true")
    made = create(daemon, upstream, remote)
    reply = retrieve(daemon, "?stream=true")
    assert b"upstream_reset" in reply.body
    assert not books_of(daemon).rows
    remote.status = "completed"
    check_settled(settled(daemon, made), made)


def test_two_clients_that_fetch_it_at_once_settle_it_once(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote()
    daemon = start_one()
    made = create(daemon, upstream, remote)
    remote.status = "completed"
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda key: retrieve(daemon, key=key), [KEY, BOB] * 4))
    assert [reply.status for reply in replies] == [200] * 8
    check_settled(books_of(daemon), made)


def test_ids_nobody_knows_here_pass_and_cost_nothing(start_one: StartOne, upstream: Upstream) -> None:
    daemon = start_one()
    remote = Remote("completed")
    upstream.expect(remote, path="/responses/resp_1", again=True)
    for key in (KEY, BOB):
        assert retrieve(daemon, key=key).json == remote.body()
    books = books_of(daemon)
    assert not books.rows
    assert not books.held


def test_calls_about_it_go_to_the_provider_that_has_it(start_one: StartOne, upstream: Upstream) -> None:
    providers = {
        name: {"kind": "openai", "base_url": f"{upstream.url}/{name}/v1", "timeouts": {**PATIENT, "total": 600}}
        for name in ("first", "oai")
    }
    daemon = start_one(providers=providers)
    remote = Remote()
    made = create(daemon, upstream, remote)
    remote.status = "completed"
    assert retrieve(daemon).status == 200
    check_settled(books_of(daemon), made)
    assert retrieve(daemon).json["status"] == "completed"
    daemon.ask("GET", "/v1/responses/resp_2")
    asked = [call.target.split("/")[1] for call in upstream.calls]
    assert asked == ["oai", "oai", "oai", "first"]


def test_a_reload_goes_on_with_the_newest_key_of_the_same_provider(start_one: StartOne, upstream: Upstream) -> None:
    remote = Remote("in_progress")
    daemon = start_one()
    made = create(daemon, upstream, remote)
    file = daemon.folder / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["providers"]["oai"]["api_key"] = "sk-rotated"
    config["keys"]["alice"]["budgets"][0]["usd"] = 8000
    file.write_text(yaml.safe_dump(config))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log(lambda line: line.get("event") == "reloaded")
    seen = remote.asked
    remote.status = "completed"
    check_settled(settled(daemon, made), made)
    assert remote.asked > seen
    assert upstream.calls[-1].header("authorization") == "Bearer sk-rotated"


def test_without_background_an_unfinished_reply_is_no_reason_to_wait(start_one: StartOne, upstream: Upstream) -> None:
    """A stream that says nothing of a background and breaks off is settled at once, whatever its status was."""
    remote = Remote("in_progress", background=False)
    daemon = start_one()
    upstream.expect(sse(remote.streamed("in_progress")), path="/responses")
    reply = daemon.post("/v1/responses", {"model": "m", "input": "hi", "stream": True, "max_output_tokens": 1000})
    (row,) = settled(daemon, reply).of(reply.request_id)
    assert row.source == "counted"
