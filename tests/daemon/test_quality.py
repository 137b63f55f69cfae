"""Flags of replies before a real daemon: in log, metric and usage, and the one action there is on them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, chat_stream
from harness.setting import CLIENT_KEY, PATIENT, config_for, files_below
from harness.steps import LAST_CHUNK, Wire, chunk, hang, json_reply, pause, say, sse, stream_head, then, wait_at
from harness.surroundings import held_port
from harness.upstream import Upstream

NO = "I'm sorry, but I can't help with that."
MODELS: dict[str, Any] = {
    "watched": {"target": "openai/gpt-4o", "quality": {"short": 20, "language": "en"}},
    "moved": {
        "target": "openai/gpt-4o",
        "fallbacks": ["openai/gpt-4o-mini", "anthropic/claude-3.5-sonnet"],
        "on_flag": {"refusal": "fallback_once"},
    },
    "held": {
        "target": "openai/gpt-4o",
        "fallbacks": ["anthropic/claude-3.5-sonnet"],
        "on_flag": {"refusal": "fallback_once", "cut_off": "fallback_once"},
        "hold_tokens": 8,
    },
    "ada": {
        "target": "openai/gpt-4o",
        "system": "You are Ada 3b9c.",
        "quality": {
            "judge": {"model": "strict", "sample": "100%", "budget": {"usd": 0.05, "per": "total"}, "rubric": "Be Ada."}
        },
    },
    "strict": {"target": "openai/gpt-4o-mini", "quality": {"judge": {"model": "strict", "sample": "100%"}}},
}


@pytest.fixture
def daemon(start_daemon: Any) -> Daemon:
    running: Daemon = start_daemon(models=MODELS, keys={"alice": {"key": CLIENT_KEY}})
    return running


def test_flags_are_in_the_log_the_metric_and_usage_and_the_words_are_nowhere(
    daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(
        json_reply(chat_reply(NO)), sse(chat_stream(text="Hi 7f31")), json_reply(chat_reply("A good answer."))
    )
    whole, streamed = daemon.chat("watched"), daemon.chat("watched", stream=True)
    unwatched = daemon.chat("openai/gpt-4o")
    assert daemon.line_of(whole)["flags"] == ["refusal"]
    assert daemon.line_of(streamed)["flags"] == ["short"]
    assert daemon.line_of(unwatched)["flags"] == []
    assert daemon.metric("tollkeeper_quality_total", model="watched", flag="refusal") == 1
    usage = daemon.asked("/usage?by=flag")
    assert sorted((row["flag"], row["calls"]) for row in usage["rows"]) == [("refusal", 1), ("short", 1)]
    assert "can't help" not in daemon.output and "Hi 7f31" not in daemon.output
    stored = b"".join(files_below(daemon.folder / "state").values())
    assert b"can't help" not in stored and b"Hi 7f31" not in stored


def test_a_refusal_is_asked_for_once_more_of_another_family(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply(NO)), json_reply(chat_reply("Here it is.")))
    reply = daemon.chat("moved")
    assert reply.json["choices"][0]["message"]["content"] == "Here it is."
    assert reply.header("x-tollkeeper-provider") == "anthropic"
    assert (reply.header("x-tollkeeper-adjusted") or "").endswith("fallback=refusal")
    upstream.expect(json_reply(chat_reply(NO)), json_reply(chat_reply(NO)))
    twice = daemon.chat("moved")
    assert (twice.json["choices"][0]["message"]["content"], twice.header("x-tollkeeper-attempts")) == (NO, "2")
    upstream.expect(sse(chat_stream(text=NO)))
    assert daemon.chat("moved", stream=True).header("x-tollkeeper-attempts") == "1", "streams are never held"
    upstream.expect(json_reply(chat_reply(NO)))
    assert daemon.chat("moved", tollkeeper={"fallback": False}).header("x-tollkeeper-attempts") == "1"


def streamed(text: str, finish: str = "stop") -> bytes:
    """A stream with an event a word."""
    return b"".join(chat_chunk(word + " ") for word in text.split()) + chat_chunk(finish=finish) + DONE


def said(reply: Any) -> str:
    """The text of a streamed reply."""
    found = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in found if chunk["choices"])


def test_the_first_words_of_a_stream_wait_where_they_are_to(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        sse(streamed(f"{NO} And so on, as long as you like.")), sse(streamed("Here it is, all of it, at once."))
    )
    moved = daemon.chat("held", stream=True)
    assert said(moved) == "Here it is, all of it, at once. "
    assert (moved.header("x-tollkeeper-attempts"), moved.header("x-tollkeeper-provider")) == ("2", "anthropic")
    paid = daemon.asked(f"/calls/{moved.request_id}")["attempts"]
    assert [(one["provider"], one["source"], float(one["cost_usd"]) > 0) for one in paid] == [
        ("openrouter", "counted", True), ("anthropic", "counted", True),
    ], "what was said and not passed on is paid for as well"  # fmt: skip
    upstream.expect(sse(streamed("A good answer of more than eight words, passed on as it came.")))
    stays = daemon.chat("held", stream=True)
    assert (said(stays), stays.header("x-tollkeeper-attempts")) == (
        "A good answer of more than eight words, passed on as it came. ", "1",
    )  # fmt: skip
    upstream.expect(sse(streamed("Too short", finish="length")), sse(streamed("Whole now")))
    assert said(daemon.chat("held", stream=True)) == "Whole now "
    upstream.expect(sse(streamed("Too short", finish="length")), sse(streamed("Too short", finish="length")))
    assert said(daemon.chat("held", stream=True)) == "Too short ", "once, and no more"


def test_a_stream_that_was_left_is_not_passed_on_where_nobody_else_answers(
    start_daemon: Any, upstream: Upstream
) -> None:
    with held_port() as dead:
        providers = {
            **config_for(upstream)["providers"],
            "dead": {"kind": "openai", "base_url": f"http://127.0.0.1:{dead}"},
        }
        held = {**MODELS["held"], "fallbacks": ["dead/claude-3.5-sonnet"]}
        daemon = start_daemon(models={"held": held}, providers=providers, keys={"alice": {"key": CLIENT_KEY}})
        while daemon.chat("dead/claude-3.5-sonnet").error["code"] != "no_healthy_upstream":
            pass  # until its breaker is open
        upstream.expect(sse(streamed(NO)))
        assert said(daemon.chat("held", stream=True)) == f"{NO} ", "all of it was there"
        begun = b"".join(chat_chunk(f"{word} ") for word in NO.split())
        upstream.expect(then(sse(begun, end=False), hang))
        reply = daemon.chat("held", stream=True)
        assert reply.status == 503, reply.raw
        assert reply.error["code"] == "no_healthy_upstream"


def test_of_a_stream_that_says_nothing_no_more_waits_than_a_bound(daemon: Daemon, upstream: Upstream) -> None:
    gate, went_on = upstream.gate(), threading.Event()

    async def go_on(_: Wire) -> None:
        went_on.set()

    silent = say(stream_head(), *[chunk(chat_chunk("") * 100)] * 30)  # half a megabyte without a word
    end = streamed("Here it is, all of it, at once.")
    upstream.expect(then(silent, wait_at(gate), go_on, say(chunk(end), LAST_CHUNK)))
    with daemon.open_chat("held", stream=True) as connection:
        connection.read_until(b'"content"')
        assert not went_on.is_set(), "it came before there was a word"
        gate.open()
        connection.read_until(b"once.")


async def ping(wire: Wire) -> None:
    """For as long as anybody listens."""
    while not wire.closed.is_set():
        await say(chunk(b": ping\n\n"))(wire)
        await pause(0.05)(wire)


def test_words_wait_as_well_where_silence_has_begun_the_reply(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), sse(streamed(f"{NO} And so on."))), sse(streamed("Here it is, all of it.")))
    with daemon.open_chat("held", stream=True) as connection:
        reply = connection.read_head()
        gate.open()
        connection.read_body(reply)
    assert reply.body.startswith(b": keep-alive")
    assert said(reply) == "Here it is, all of it. "
    attempts = daemon.asked(f"/calls/{reply.request_id}")["attempts"]
    assert [one["provider"] for one in attempts] == ["openrouter", "anthropic"]


def test_a_stream_that_only_pings_waits_no_longer_than_a_call_may_take(start_daemon: Any, upstream: Upstream) -> None:
    daemon = start_daemon(
        models={"held": MODELS["held"]}, timeouts={**PATIENT, "total": 0.5}, keys={"alice": {"key": CLIENT_KEY}}
    )
    upstream.expect(then(say(stream_head(), chunk(chat_chunk(""))), ping))
    reply = daemon.chat("held", stream=True)
    assert b"upstream_timeout" in reply.body, reply.raw
    daemon.wait_for_log(lambda line: line.get("error") == "upstream_timeout")


def judged(daemon: Daemon, reply: Any) -> dict[str, Any]:
    """The line that tells of a judgement."""
    asked = reply.header("x-tollkeeper-request-id")
    return daemon.wait_for_log(lambda line: line["event"] in ("judged", "not_judged") and line["request_id"] == asked)


def test_a_judge_reads_replies_under_a_budget_of_its_own_and_keeps_no_word(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        json_reply(chat_reply("I am a model 55d1.")), sse(chat_stream(text='{"keeps": false, "reason": "e8f2"}'))
    )
    broke = daemon.chat("ada")
    line = judged(daemon, broke)
    assert (line["event"], line["flags"]) == ("judged", ["out_of_character"])
    question = upstream.calls[-1].json
    shown = json.loads(question["messages"][1]["content"])
    assert (shown["rubric"], shown["system"], shown["reply"]) == ("Be Ada.", "You are Ada 3b9c.", "I am a model 55d1.")
    own = daemon.wait_for_log(lambda one: one.get("request_id") == line["judged_by"])
    assert (own["key"], own["model"], own["status"]) == ("judge:ada", "strict", 200)
    upstream.expect(sse(chat_stream(text="I am Ada.")), sse(chat_stream(text='{"keeps": true}')))
    assert judged(daemon, daemon.chat("ada", stream=True))["flags"] == []
    upstream.expect(json_reply(chat_reply("I am Ada.")), sse(chat_stream(text="Well, yes.")))
    assert judged(daemon, daemon.chat("ada"))["event"] == "not_judged"
    assert daemon.metric("tollkeeper_quality_total", model="ada", flag="out_of_character") == 1
    assert [row["calls"] for row in daemon.asked("/usage?by=flag")["rows"] if row["flag"] == "out_of_character"] == [1]
    spent = {row["key"]: row["calls"] for row in daemon.asked("/usage?by=key")["rows"]}
    assert spent == {"alice": 3, "judge:ada": 3}, "the judge's own replies are not judged"
    assert "judge:ada:total" in [budget["budget"] for budget in daemon.asked("/budgets")["budgets"]]
    stored = b"".join(files_below(daemon.folder / "state").values())
    for word in ("55d1", "e8f2"):
        assert word.encode() not in stored and word not in daemon.output


LABELLED = """{"reply": "I am Ada.", "keeps": true, "system": "You are Ada."}

{"reply": "I am a model.", "keeps": false}
{"reply": "As Ada I say no.", "keeps": true}
"""


def test_models_are_tried_as_judges_by_replies_of_which_is_known_what_they_are(
    daemon: Daemon, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "labelled.jsonl").write_text(LABELLED)
    options = ("--calibrate", str(tmp_path / "labelled.jsonl"), "--models", "openai/gpt-4o-mini", "--rubric", "Be Ada.")
    upstream.expect(*(sse(chat_stream(text=f'{{"keeps": {keeps}}}')) for keeps in ("true", "true", "false")))
    config = ("--config", str(daemon.folder / "config.yaml"), "--api-key", CLIENT_KEY)
    done = typed(daemon.folder, "compare", *options, *config, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    score = told["judges"]["openai/gpt-4o-mini"]
    assert float(score.pop("cost_usd")) > 0
    assert (told["replies"], score) == (3, {"right": 1, "missed": 1, "false_alarms": 1, "unreadable": 0})
    shown = json.loads(upstream.calls[0].json["messages"][1]["content"])
    assert (shown["rubric"], shown["system"], shown["reply"]) == ("Be Ada.", "You are Ada.", "I am Ada.")
    (tmp_path / "labelled.jsonl").write_text('{"reply": "x", "keeps": true}\n{"reply": 3}\n')
    wrong = typed(daemon.folder, "compare", *options, *config)
    assert wrong.returncode == 1 and "line 2 is not" in wrong.stderr


def test_a_compared_reply_is_judged_once(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_stream(text="I am Ada.")), sse(chat_stream(text='{"keeps": true}')))
    cell = daemon.post("/tollkeeper/compare", {"models": ["ada"], "prompt": "Who are you?"}).json["cells"][0]
    daemon.wait_for_log(lambda line: line["event"] == "judged" and line["request_id"] == cell["request_id"])
    upstream.expect(json_reply(chat_reply("I am Ada.")), sse(chat_stream(text='{"keeps": true}')))
    judged(daemon, daemon.chat("ada"))
    assert len(upstream.calls) == 4, "two replies, each judged once"
