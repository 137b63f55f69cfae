"""Recorded traffic of real providers in the other protocols: the official SDKs read every reply."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from protocols import PROTOCOLS, bridge, events_of, passed, read_stream, read_whole, translated

from proxy.translate.values import Protocol

FOLDER = Path(__file__).parents[3] / "shared" / "traffic"
SHAPES: dict[str, Protocol] = {"completions": "chat", "messages": "messages", "responses": "responses"}

needs_recordings = pytest.mark.skipif(
    not any(FOLDER.glob("*.jsonl.gz")), reason="the recorded traffic is not part of the project: no shared/traffic here"
)


def recorded() -> Iterator[tuple[Protocol, dict[str, Any]]]:
    """Every exchange of the three protocols whose bodies are text."""
    for path in sorted(FOLDER.glob("*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            exchange = json.loads(line)
            protocol = SHAPES.get(exchange["path"].rpartition("/")[2])
            # a custom tool is called only where it was on offer, and these requests are not recorded
            unasked = exchange["request_is_synthetic"] and "custom_tool_call" in str(exchange["reply"])
            if protocol and exchange["method"] == "POST" and isinstance(exchange["reply"], str) and not unasked:
                yield protocol, exchange


def is_stream(exchange: dict[str, Any]) -> bool:
    kinds = [value for name, value in exchange["reply_headers"] if name.lower() == "content-type"]
    return bool(kinds) and "event-stream" in kinds[0]


def read_reply(source: Protocol, target: Protocol, exchange: dict[str, Any]) -> None:
    """The reply as a client of `target` reads it: a stream ends well or with an error, a whole one is whole."""
    one, body = bridge(source, target), exchange["reply"].encode()
    if exchange["status"] >= 400:
        assert json.loads(one.error(body, exchange["status"]))["error"]["message"]
        return
    if not is_stream(exchange):
        if "error" not in json.loads(body) or source == "responses":
            read_whole(target, one.whole(body))
        return
    stream = passed(one, body)
    assert stream == passed(bridge(source, target), body, 997)
    last = events_of(stream)[-1]
    if "error" not in last and last.get("type") != "response.failed":
        # what the SDK's helper raises for a reply that was cut short, it raises for chat's own, too
        with suppress(openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            read_stream(target, stream)


@needs_recordings
def test_recorded_replies_are_read_by_the_sdks_of_other_protocols() -> None:
    seen = dict.fromkeys(PROTOCOLS, 0)
    for source, exchange in recorded():
        seen[source] += 1
        for target in PROTOCOLS:
            if target != source:
                read_reply(source, target, exchange)
    assert min(seen.values()) > 20


@needs_recordings
def test_recorded_requests_can_be_said_in_other_protocols() -> None:
    said = 0
    for source, exchange in recorded():
        if exchange["request_is_synthetic"] or exchange["status"] != 200 or not exchange["request"]:
            continue
        for target in PROTOCOLS:
            if target != source:
                body, _ = translated(source, target, json.loads(exchange["request"]))
                assert body["model"] == "m" and (body.get("messages") or body.get("input"))
                said += 1
    assert said > 50
