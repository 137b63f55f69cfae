"""A key with `timing: true` is told in every reply where the time went; no other key is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from harness.daemon import Daemon
from harness.events import chat_chunk, chat_reply, chat_stream, error_body
from harness.http import Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import (
    LAST_CHUNK,
    Script,
    chunk,
    close,
    head,
    json_reply,
    pause,
    say,
    say_apart,
    sse,
    stream_head,
    then,
    wait_at,
)
from harness.upstream import Upstream

# W3C Server Timing 3: a metric is a token and parameters
METRIC = re.compile(r'([a-z]+);dur=(\d+\.\d{3})(?:;desc="[^"\\]*")?')
PLAIN, POOR = [("Authorization", "Bearer sk-plain-canary")], [("Authorization", "Bearer sk-poor-canary")]


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    poor = {"key": "sk-poor-canary", "timing": True, "budgets": [{"usd": 0.2, "per": "total"}]}
    keys = {"alice": {"key": CLIENT_KEY, "timing": True}, "plain": {"key": "sk-plain-canary"}, "poor": poor}
    config = config_for(upstream_server, keys=keys, budget_policy={"wait": 60})
    with Daemon(config, tmp_path_factory.mktemp("timed"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def timing(reply: Reply) -> dict[str, float]:
    """What the reply says, milliseconds by name."""
    (value,) = [value for name, value in reply.headers if name == "Server-Timing"]
    parts = [METRIC.fullmatch(part) for part in re.split(r", (?=[a-z]+;)", value)]
    assert all(parts), value
    return {part[1]: float(part[2]) for part in parts if part}


def test_a_reply_read_whole_has_all_four(daemon: Daemon, upstream: Upstream) -> None:
    body = b'{"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    begun = head(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    upstream.expect(then(pause(0.05), say_apart([begun]), pause(0.5), say(body)))
    reply = daemon.chat()
    said, line = timing(reply), daemon.line_of(reply)
    assert list(said) == ["wait", "ours", "upstream", "total"]
    assert 50 <= said["upstream"] <= said["total"] - 100
    assert said["total"] <= line["total_seconds"] * 1000
    assert said["ours"] <= line["overhead_seconds"] * 1000
    assert 0 < said["ours"] + said["upstream"] <= said["total"]


def test_a_stream_says_what_is_known_as_its_head_goes_out(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    rest = say(chunk(chat_stream()) + LAST_CHUNK)
    upstream.expect(then(pause(0.05), say(stream_head() + chunk(chat_chunk(""))), wait_at(gate), pause(0.15), rest))
    with daemon.open_chat(stream=True) as connection:
        reply = connection.read_head()
        gate.open()
        connection.read_body(reply)
    said, line = timing(reply), daemon.line_of(reply)
    assert list(said) == ["wait", "ours", "upstream"]
    assert 50 <= said["upstream"] <= line["first_byte_seconds"] * 1000
    assert line["first_byte_seconds"] + 0.1 <= line["first_token_seconds"]


REFUSED: dict[str, tuple[str, Script | None, list[str]]] = {
    "a model nobody knows": ("no-such-model", None, ["wait", "ours", "total"]),
    "a provider's error": ("openai/gpt-4o", json_reply(error_body("No.", 400), 400), ["wait", "ours", "upstream", "total"]),
    "a stream that never began": ("openai/gpt-4o-mini", sse(b": nothing\n\n"), ["wait", "ours", "total"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_errors_say_it_as_well(daemon: Daemon, upstream: Upstream, name: str) -> None:
    model, script, names = REFUSED[name]
    upstream.expect(*[script] * (0 if script is None else 3))
    reply = daemon.chat(model, stream=name.startswith("a stream"), max_tokens=5)
    assert reply.status >= 400
    assert list(timing(reply)) == names


def test_the_wait_between_tries_is_no_ones_work(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(error_body("Busy."), 503), json_reply(chat_reply()))
    reply = daemon.chat()
    said = timing(reply)
    assert reply.header("x-tollkeeper-attempts") == "2"
    assert said["wait"] >= 39, "first_wait is 50 ms, less a fifth, and timers go by whole milliseconds"
    assert said["wait"] + said["ours"] + said["upstream"] <= said["total"]


def in_line_seconds(daemon: Daemon) -> float:
    """For how long the one call in line has been there, nearly, once it has for a while."""
    while True:
        ages = [call["age_seconds"] for call in daemon.asked("/calls")["calls"] if call["phase"] == "waiting"]
        if ages and ages[0] > 0.1:
            return float(ages[0]) - 0.05


def test_a_call_that_waited_in_line_says_for_how_long(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())), json_reply(chat_reply()))
    with ExitStack() as stack:
        first = stack.enter_context(daemon.open_chat(headers=POOR, max_tokens=16_000))
        upstream.wait_for_calls(1)
        second = stack.enter_context(daemon.open_chat(headers=POOR, max_tokens=16_000))
        waited_ms = in_line_seconds(daemon) * 1000
        gate.open()
        replies = [first.read_reply(), second.read_reply()]
    assert [reply.status for reply in replies] == [200, 200]
    assert timing(replies[0])["wait"] < waited_ms
    assert waited_ms <= timing(replies[1])["wait"] <= daemon.line_of(replies[1])["total_seconds"] * 1000


def sent_seconds(daemon: Daemon) -> float:
    """How old the one call is that a provider has been sent; 0 before it was."""
    return next(
        (float(call["age_seconds"]) for call in daemon.asked("/calls")["calls"] if call["phase"] == "sent"), 0.0
    )


def test_the_wait_for_a_provider_is_not_ours_where_the_client_leaves_meanwhile(
    daemon: Daemon, upstream: Upstream
) -> None:
    gate = upstream.gate()
    upstream.expect(wait_at(gate), model="openai/left-alone")
    with daemon.open_chat("openai/left-alone", stream=True):
        upstream.wait_for_calls(1)
        seen = sent_seconds(daemon)
        while sent_seconds(daemon) < seen + 0.3:
            pass
    line = daemon.wait_for_log(lambda line: line.get("model") == "openai/left-alone")
    gate.open()
    assert line["client_left"] == "sent"
    assert line["total_seconds"] - line["overhead_seconds"] >= 0.29


def test_what_the_provider_says_of_its_own_time_passes_beside_ours(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply(), headers=[("server-timing", "cfCacheStatus;desc=DYNAMIC")]))
    reply = daemon.chat()
    assert ("server-timing", "cfCacheStatus;desc=DYNAMIC") in reply.headers
    assert "total" in timing(reply)


def test_the_list_of_models_says_it_and_other_keys_are_told_nothing(daemon: Daemon, upstream: Upstream) -> None:
    assert list(timing(daemon.ask("GET", "/v1/models"))) == ["wait", "ours", "total"]
    upstream.expect(json_reply(chat_reply()))
    for reply in (
        daemon.chat("openai/gpt-4o", PLAIN),
        daemon.chat("nobody/knows", PLAIN),
        daemon.chat("x", [("Authorization", "Bearer no")]),
    ):
        assert reply.header("server-timing") is None


def stretches(daemon: Daemon, reply: Reply) -> list[str]:
    """Of the waterfall of a past call."""
    return [span["what"] for span in daemon.asked(f"/calls/{reply.request_id}")["waterfall"]]


def test_the_ledger_knows_a_new_connection_from_one_that_stood(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), json_reply(chat_reply()))
    upstream.hang_up()
    assert stretches(daemon, daemon.chat()) == ["waiting", "ours", "connect", "first_byte", "rest"]
    assert stretches(daemon, daemon.chat()) == ["waiting", "ours", "first_byte", "rest"]


def test_what_never_answered_and_what_was_refused_have_their_times(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(close, path="/oai/", again=True)
    upstream.hang_up()
    told = stretches(daemon, daemon.chat("oai/gpt-4o", max_tokens=5))
    assert told[:4] == ["waiting", "ours", "connect", "no_reply"]
    assert stretches(daemon, daemon.chat("no-such-model")) == ["waiting", "ours"]
