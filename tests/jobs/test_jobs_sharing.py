"""Calls that are alike: identical ones under way are sent once, exact answers are given again, nobody shares with others."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import OPENROUTER_USAGE, chat_chunk, chat_reply, chat_stream, usage_chunk
from harness.http import Connection, Reply
from harness.setting import config_for
from harness.steps import (
    LAST_CHUNK,
    Script,
    chunk,
    json_reply,
    plain_reply,
    reset,
    say,
    sse,
    stream_head,
    then,
    wait_at,
)
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

CHAT = "/v1/chat/completions"
SECRETS = {name: f"sk-{name}-sharing" for name in ("alice", "bob", "carol", "dave", "zoe", "poor")}
COST = "0.000042500000"  # of OPENROUTER_USAGE


def config(upstream: Upstream) -> dict[str, Any]:
    keys: dict[str, Any] = {name: {"key": secret} for name, secret in SECRETS.items()}
    keys["alice"]["coalesce"] = True
    keys["carol"]["tenant"] = "acme"
    keys["dave"]["cache"] = False
    keys["zoe"]["privacy"] = {"zdr": True}
    keys["poor"]["budgets"] = [{"usd": 0.0004, "per": "total"}]
    own = config_for(upstream)
    own["providers"]["openrouter"]["zdr"] = True
    return {
        **own,
        "models": {
            "plain": "openai/gpt-4o",
            "kept": {"target": "openai/gpt-4o", "cache": {"ttl": "1h"}},
            "short": {"target": "openai/gpt-4o", "cache": {"ttl": 4, "when": "always"}},
            "small": {"target": "openai/gpt-4o", "cache": {"when": "always", "max_bytes": 4096}},
            "steady": {"target": "openai/gpt-4o", "fallbacks": ["local/llama3.1"], "cache": True},
            "draws": {"target": "bytedance-seed/seedream-4.5", "cache": {"ttl": "24h", "when": "always"}},
            "both": {"target": "openai/gpt-4o", "cache": True, "coalesce": True},
        },
        "retries": {"attempts": 1},
        "tenants": {"acme": {}},
        "keys": keys,
        "budget_policy": {"unknown_maximum": 1},
        "catalogue": {"refresh": "never"},
    }


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(upstream_server), tmp_path_factory.mktemp("sharing")) as running:
        yield running
        assert '"crashed"' not in running.output and "cache_trouble" not in running.output


def body(model: str = "kept", text: str = "hello", **members: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **members}).encode()


def post(daemon: Daemon, content: bytes, key: str = "bob", path: str = CHAT, **headers: str) -> Reply:
    told = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return daemon.ask("POST", path, [("Authorization", f"Bearer {SECRETS[key]}"), *told], content)


def answer(text: str = "Hello") -> Script:
    return json_reply(chat_reply(text, OPENROUTER_USAGE))


@contextmanager
def crowd(daemon: Daemon, number: int, content: bytes) -> Iterator[list[Connection]]:
    """So many calls of alice's, sent one behind the other, all of them under way."""
    told = [("Authorization", f"Bearer {SECRETS['alice']}"), ("Content-Type", "application/json")]
    with ExitStack() as stack:
        calls = [stack.enter_context(daemon.connect()) for _ in range(number)]
        for call in calls:
            call.send(daemon.request("POST", CHAT, told, content))
        until = time.monotonic() + PATIENCE_SECONDS
        while [row["phase"] != "reading" for row in daemon.asked("/calls")["calls"]] != [True] * number:
            assert time.monotonic() < until
        yield calls


def results(replies: list[Reply]) -> Counter[str | None]:
    return Counter(reply.header("x-tollkeeper-cache") for reply in replies)


@pytest.mark.parametrize("stream", [False, True])
def test_a_thousand_identical_calls_at_once_are_one(daemon: Daemon, upstream: Upstream, stream: bool) -> None:
    gate, whole = upstream.gate(), chat_stream(usage_chunk(OPENROUTER_USAGE))
    upstream.expect(then(wait_at(gate), sse(whole) if stream else answer()))
    asks = {"stream_options": {"include_usage": True}} if stream else {}
    with crowd(daemon, 1000, body("plain", "crowd", stream=stream, **asks)) as calls:
        gate.open()
        replies = [call.read_reply() for call in calls]
    assert {reply.status for reply in replies} == {200} and len({reply.body for reply in replies}) == 1
    assert all(reply.complete for reply in replies) and (not stream or replies[0].body == whole)
    assert results(replies) == {None: 1, "coalesced": 999}
    assert len({reply.header("x-tollkeeper-request-id") for reply in replies}) == 1000
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_first_one_dies_there_is_one_more(daemon: Daemon, upstream: Upstream, stream: bool) -> None:
    gate = upstream.gate()
    upstream.expect(
        then(wait_at(gate), json_reply({"error": {"message": "No."}}, 500)), sse(chat_stream()) if stream else answer()
    )
    with crowd(daemon, 50, body("plain", "dies", stream=stream)) as calls:
        gate.open()
        replies = [call.read_reply() for call in calls]
    assert len(upstream.calls) == 2
    assert Counter(reply.status for reply in replies) == {500: 1, 200: 49}
    assert results(replies)["coalesced"] == 48


def test_what_fails_twice_is_told_to_all(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply({"error": {"message": "No.", "code": 400}}, 400)), again=True)
    with crowd(daemon, 20, body("plain", "twice")) as calls:
        gate.open()
        replies = [call.read_reply() for call in calls]
    assert Counter(reply.status for reply in replies) == {400: 20} and len({reply.body for reply in replies}) == 1
    assert len(upstream.calls) == 2
    line = daemon.line_of(replies[-1])
    assert (line["status"], line["cache"], line["cost_source"], line["error"]) == (400, "coalesced", None, "400")


def test_a_stream_under_way_is_followed_from_its_beginning(daemon: Daemon, upstream: Upstream) -> None:
    first, second = upstream.gate(), upstream.gate()
    parts = chat_chunk("one"), chat_chunk(" two"), chat_stream(usage_chunk(OPENROUTER_USAGE), " three")
    upstream.expect(
        then(
            say(stream_head() + chunk(parts[0])),
            wait_at(first),
            say(chunk(parts[1])),
            wait_at(second),
            sse_rest(parts[2]),
        )
    )
    content = body("plain", "followed", stream=True)
    with crowd(daemon, 1, content) as (leader,):
        leader.read_head()
        leader.read_until(b"one")
        with daemon.connect() as late:
            told = [("Authorization", f"Bearer {SECRETS['alice']}"), ("Content-Type", "application/json")]
            late.send(daemon.request("POST", CHAT, told, content))
            head = late.read_head()
            late.read_until(b"one")
            first.open()
            late.read_until(b" two")
            leader.read_until(b" two")
            leader.reset()  # its client leaves; who follows does not notice
            second.open()
            late.read_until(b"data: [DONE]\n\n")
    assert (head.header("x-tollkeeper-cache"), head.header("transfer-encoding")) == ("coalesced", "chunked")
    assert len(upstream.calls) == 1


def test_a_stream_that_breaks_off_breaks_off_for_all(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("one"))), wait_at(gate), reset))
    with crowd(daemon, 5, body("plain", "breaks", stream=True)) as calls:
        heads = [call.read_head() for call in calls]
        gate.open()
        for call, head in zip(calls, heads, strict=True):
            call.read_body(head)
    assert all(not head.complete and b"upstream_reset" in head.body for head in heads)
    assert len(upstream.calls) == 1
    line = daemon.wait_for_log(lambda line: line.get("cache") == "coalesced" and line["error"] == "upstream_reset")
    assert line["status"] == 200 and line["error_type"]


def test_nobody_wants_a_call_any_more_once_all_have_left(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("one"))), wait_at(gate)))
    with crowd(daemon, 3, body("plain", "left", stream=True)) as calls:
        for call in calls:
            call.read_head()
        for call in calls:
            call.reset()
        until = time.monotonic() + PATIENCE_SECONDS
        while daemon.asked("/calls")["calls"]:
            assert time.monotonic() < until
    gate.open()


def test_by_call_and_never_for_another_session_or_body(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), answer()), again=True)
    told = [("Authorization", f"Bearer {SECRETS['bob']}"), ("Content-Type", "application/json")]
    wish = ("x-tollkeeper-coalesce", "true")
    heads = [[wish], [wish], [wish, ("x-session-id", "other")], [wish, ("x-tollkeeper-tags", "night")], []]
    with ExitStack() as stack:
        calls = []
        for number, head in enumerate([*heads, [wish]]):
            calls.append(stack.enter_context(daemon.connect()))
            text = "bycall" if number < len(heads) else "other"
            calls[-1].send(daemon.request("POST", CHAT, [*told, *head], body("plain", text)))
        upstream.wait_for_calls(5)
        until = time.monotonic() + PATIENCE_SECONDS
        while len(daemon.asked("/calls")["calls"]) < 6:
            assert time.monotonic() < until
        gate.open()
        replies = [call.read_reply() for call in calls]
    assert results(replies) == {None: 5, "coalesced": 1}
    assert all(call.header("x-tollkeeper-coalesce") is None for call in upstream.calls)


EXACT = [
    ("temperature", CHAT, {"temperature": 0}, True),
    ("temperature 0.0", CHAT, {"temperature": 0.0}, True),
    ("seed", CHAT, {"seed": 7}, True),
    ("chance", CHAT, {"temperature": 0.5}, False),
    ("silent", CHAT, {}, False),
    ("no seed", CHAT, {"seed": None}, False),
    ("runs on", "/v1/responses", {"temperature": 0, "background": True, "input": "x"}, False),
    ("adds to something", "/v1/responses", {"temperature": 0, "conversation": "conv_1", "input": "x"}, False),
    ("embeddings", "/v1/embeddings", {"input": "x"}, True),
]


@pytest.mark.parametrize(("text", "path", "members", "is_exact"), EXACT, ids=[row[0] for row in EXACT])
def test_exact_answers_are_given_again(
    daemon: Daemon, upstream: Upstream, text: str, path: str, members: dict[str, Any], is_exact: bool
) -> None:
    upstream.expect(answer(), again=True)
    first, again = (post(daemon, body(text=text, **members), path=path) for _ in range(2))
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert results([first, again]) == ({"miss": 1, "hit": 1} if is_exact else {"bypass": 2})
    assert len(upstream.calls) == (1 if is_exact else 2)


def test_headers_that_are_no_text_tell_calls_apart_as_others_do(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer(), again=True)
    content = body(text="bytes in a head", temperature=0)
    replies = [post(daemon, content, anthropic_beta=beta) for beta in ("\xff", "\xff", "\xfe")]
    assert [reply.header("x-tollkeeper-cache") for reply in replies] == ["miss", "hit", "miss"]
    assert len(upstream.calls) == 2


def kept_usage(daemon: Daemon) -> dict[str, Any]:
    """What `usage` says of the model whose replies are kept."""
    words = ("usage", "--by", "model", "--json", "--config", str(daemon.folder / "config.yaml"))
    rows = json.loads(typed(daemon.folder, *words).stdout)["rows"]
    return next((row for row in rows if row["model"] == "kept"), {"calls": 0, "cached_calls": 0, "saved_usd": "0"})


def test_a_hit_costs_nothing_and_says_what_it_saved(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer())
    content, before = body(text="saves", temperature=0), kept_usage(daemon)
    began = time.monotonic()
    first, again = post(daemon, content), post(daemon, content)
    assert 0 <= int(again.header("age") or -1) <= time.monotonic() - began
    assert (first.header("x-tollkeeper-cost-usd"), again.header("x-tollkeeper-cost-usd")) == (COST, "0.000000000000")
    assert again.header("x-tollkeeper-attempts") is None
    assert again.header("x-tollkeeper-request-id") != first.header("x-tollkeeper-request-id")
    line = daemon.line_of(again)
    assert (line["cache"], line["cost_usd"], line["cost_source"], line["saved_usd"]) == (
        "hit",
        "0.000000000000",
        "cached",
        COST,
    )
    assert (line["attempts"], line["provider"]) == (0, None)
    past = daemon.asked(f"/calls/{again.header('x-tollkeeper-request-id')}")
    assert (past["refused"], past["attempts"], past["cost_usd"]) == (None, [], "0.000000000000")
    served = past["served"]
    assert (served["by"], served["request_id"], served["saved_usd"]) == (
        "hit",
        first.header("x-tollkeeper-request-id"),
        COST,
    )
    file, row = str(daemon.folder / "config.yaml"), kept_usage(daemon)
    assert row["cached_calls"] == row["sources"]["cached"] == before["cached_calls"] + 1
    assert Decimal(row["saved_usd"]) - Decimal(before["saved_usd"]) == Decimal(COST)
    assert row["calls"] == before["calls"] + 1
    assert "Saved (USD)" in typed(daemon.folder, "usage", "--config", file).stdout
    shown = typed(daemon.folder, "show", str(again.header("x-tollkeeper-request-id")), "--config", file).stdout
    assert "served from the cache, 200: the reply to req_" in shown
    told = typed(daemon.folder, "explain", "both", "--key", "bob", "--config", file).stdout
    assert "calls that are alike: sent once while under way" in told and "is not kept" in told
    assert daemon.metric("tollkeeper_cache_calls_total", model="kept", result="hit") == row["cached_calls"]
    assert daemon.metric("tollkeeper_cache_saved_usd_total", model="kept", result="hit") == float(row["saved_usd"])


def test_what_differs_is_another_request(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer(), again=True)
    differing: list[dict[str, Any]] = [
        {},
        {"seed": 8},
        {"seed": 10**30},
        {"seed": 10**30 + 1},
        {"user": "x"},
        {"model": "both"},
    ]
    for changed in differing:
        reply = post(daemon, body(**{"text": "base", "seed": 7, **changed}))
        assert reply.header("x-tollkeeper-cache") == "miss"
    again = post(daemon, b' {"seed":7, "messages":[{"content":"base","role":"user"}],  "model":"kept"}')
    assert again.header("x-tollkeeper-cache") == "hit", "the order of members and white space are nothing"
    assert post(daemon, body(text="base", seed=7), anthropic_beta="new").header("x-tollkeeper-cache") == "miss"


def test_a_stream_is_given_again_as_its_events(daemon: Daemon, upstream: Upstream) -> None:
    whole = chat_stream(usage_chunk(OPENROUTER_USAGE))
    upstream.expect(sse(whole))
    content = body(text="events", seed=1, stream=True, stream_options={"include_usage": True})
    first, again = post(daemon, content), post(daemon, content)
    assert results([first, again]) == {"miss": 1, "hit": 1}
    assert again.body == first.body == whole
    assert (again.header("content-type"), again.header("transfer-encoding")) == (
        first.header("content-type"),
        "chunked",
    )


NOT_KEPT: list[tuple[str, Script, bool]] = [
    ("an error", json_reply({"error": {"message": "No.", "code": 400}}, 400), False),
    ("a failed 200", json_reply({"error": {"message": "No.", "code": 400}}), False),
    ("a page", plain_reply(b"<html>Log in first</html>", headers=[("Content-Type", "text/html")]), False),
    ("no choices", json_reply({"id": "x", "object": "chat.completion", "choices": []}), False),
    ("nothing", plain_reply(b"", headers=[("Content-Type", "application/json")]), False),
    ("a stream that breaks off", then(say(stream_head() + chunk(chat_chunk("x"))), reset), True),
    ("a stream without an end", sse(chat_chunk("x")), True),
]


@pytest.mark.parametrize(("text", "script", "stream"), NOT_KEPT, ids=[row[0] for row in NOT_KEPT])
def test_only_complete_answers_are_kept(
    daemon: Daemon, upstream: Upstream, text: str, script: Script, stream: bool
) -> None:
    upstream.expect(script, sse(chat_stream()) if stream else answer())
    content = body(text=text, seed=1, stream=stream)
    replies = [post(daemon, content) for _ in range(3)]
    assert [reply.header("x-tollkeeper-cache") for reply in replies] == ["miss", "miss", "hit"]
    assert len(upstream.calls) == 2


def test_what_a_fallback_answered_is_not_kept(daemon: Daemon, upstream: Upstream) -> None:
    """The model that was asked first is, as soon as it is well again."""
    upstream.expect(json_reply({"error": {"message": "down"}}, 503), answer("stand-in"), answer("itself"))
    replies = [post(daemon, body("steady", seed=1)) for _ in range(3)]
    said = [(reply.header("x-tollkeeper-model"), reply.header("x-tollkeeper-cache")) for reply in replies]
    assert said == [("llama3.1", "miss"), ("openai/gpt-4o", "miss"), ("openai/gpt-4o", "hit")]


CONTROL = [
    ("no-store", ["bypass", "bypass", "miss"]),
    ("no-cache", ["bypass", "bypass", "hit"]),
    ("max-age=0", ["bypass", "bypass", "hit"]),
]


@pytest.mark.parametrize(("control", "expected"), CONTROL)
def test_a_client_has_its_word(daemon: Daemon, upstream: Upstream, control: str, expected: list[str]) -> None:
    upstream.expect(answer(), again=True)
    content = body(text=control, seed=1)
    told: list[dict[str, str]] = [
        {"Cache_Control": control},
        {"Cache_Control": control},
        {"Cache_Control": "max-age=60"},
    ]
    assert [post(daemon, content, **head).header("x-tollkeeper-cache") for head in told] == expected


def test_only_a_kept_answer_will_do(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer("kept"))
    content, only = body(text="only", seed=1), {"Cache_Control": "only-if-cached"}

    def refused(content: dict[str, Any], name: str = "alice") -> Any:
        reply = post(daemon, content, name, **only)
        assert (reply.status, reply.header("x-should-retry")) == (504, "false")
        return reply.json["error"]["code"]

    assert refused(content) == "not_cached"
    assert post(daemon, content).status == 200
    kept = post(daemon, content, **only)
    assert (kept.status, kept.header("x-tollkeeper-cache")) == (200, "hit")
    others = [(content, "dave"), (body(text="by chance"), "alice"), (body("plain", text="only", seed=1), "bob")]
    assert [refused(one, name) for one, name in others] == ["not_cached"] * 3
    assert len(upstream.calls) == 1


def test_pictures_are_given_again_and_addresses_that_end_before_are_not(daemon: Daemon, upstream: Upstream) -> None:
    drawn = {"created": 1, "data": [{"b64_json": "iVBORw0KGgo=", "media_type": "image/png"}], "usage": {"cost": 0.04}}
    upstream.expect(*[json_reply(drawn)] * 3)

    def made(**members: str) -> list[str | None]:
        content = json.dumps({"model": "draws", "prompt": "a toll house", **members}).encode()
        replies = [post(daemon, content, path="/v1/images/generations") for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 200]
        return [reply.header("x-tollkeeper-cache") for reply in replies]

    assert made() == ["miss", "hit"]
    assert made(response_format="url") == ["bypass", "bypass"]


def test_nobody_reads_another_s_answers(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(*(answer(name) for name in ("alice", "bob", "carol", "dave", "zoe")))
    content = body(text="mine", temperature=0)
    for name in ("alice", "bob", "carol", "dave", "zoe"):
        assert post(daemon, content, name).json["choices"][0]["message"]["content"] == name
    upstream.expect(answer("again"), again=True)
    for name, expected in (("alice", "alice"), ("bob", "bob"), ("carol", "carol"), ("dave", "again"), ("zoe", "again")):
        assert post(daemon, content, name).json["choices"][0]["message"]["content"] == expected


def test_a_hit_is_served_under_a_spent_budget(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer())
    content = body(text="spent", temperature=0, max_tokens=1)
    assert post(daemon, content, "poor").status == 200
    upstream.expect(answer(), again=True)
    while post(daemon, body(text="another", temperature=0.5, max_tokens=1), "poor").status == 200:
        pass
    assert post(daemon, body(text="another", temperature=0, max_tokens=1), "poor").status == 402
    assert post(daemon, content, "poor").header("x-tollkeeper-cache") == "hit"


def test_answers_become_old_and_make_room(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(answer(), again=True)
    assert [post(daemon, body("short")).header("x-tollkeeper-cache") for _ in range(2)] == ["miss", "hit"]
    until = time.monotonic() + PATIENCE_SECONDS
    while post(daemon, body("short")).header("x-tollkeeper-cache") == "hit":
        assert time.monotonic() < until
    for number in range(8):
        post(daemon, body("small", f"number {number}"))
    assert post(daemon, body("small", "number 7")).header("x-tollkeeper-cache") == "hit"
    assert post(daemon, body("small", "number 0")).header("x-tollkeeper-cache") == "miss"


def test_a_restart_forgets_nothing_and_another_tenant_finds_nothing(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(answer("sealed-canary"), again=True)
    content, settings = body(text="kept-canary", temperature=0), config(upstream)
    with Daemon(settings, tmp_path) as daemon:
        assert {post(daemon, content, key).header("x-tollkeeper-cache") for key in ("alice", "bob")} == {"miss"}
        assert daemon.stop() == 0
    settings["keys"]["bob"]["tenant"] = "acme"  # whose key that name is now
    with Daemon(settings, tmp_path) as daemon:
        assert post(daemon, content, "alice").header("x-tollkeeper-cache") == "hit"
        assert post(daemon, content, "bob").header("x-tollkeeper-cache") == "miss"
    for path in (tmp_path / "state").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert b"sealed-canary" not in data and b"kept-canary" not in data, path


def sse_rest(events: bytes) -> Script:
    return say(chunk(events) + LAST_CHUNK)
