"""A provider that serves two calls at a time: streams that were left make room for a third."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, chat_stream, usage_chunk
from harness.steps import LAST_CHUNK, Script, chunk, hang, json_reply, say, sse, stream_head, then, wait_at
from harness.upstream import Gate, Upstream
from money_books import KEY, ask, settled

TOLD = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
PRICE = {"input": 1000, "output": 2000}
BEGUN = say(stream_head() + chunk(chat_chunk("begun")))


@pytest.fixture
def narrow() -> Iterator[Upstream]:
    with Upstream(most_at_once=2) as server:
        yield server


def config(narrow: Upstream) -> dict[str, Any]:
    """`direct` stops billing where its stream is closed, `groq` bills to the end and is read to the end."""
    return {
        "providers": {
            name: {"kind": "openai", "base_url": f"{narrow.url}/{name}/v1", "api_key": "sk-upstream"}
            for name in ("direct", "groq")
        },
        "models": {name: {"target": f"{name}/house", "price": PRICE} for name in ("direct", "groq")},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 100, "per": "total"}]}},
        "retries": {"attempts": 1},
    }


def left_script(provider: str, gate: Gate) -> Script:
    """A stream that says a word and then nothing more; groq's goes on when the gate opens."""
    if provider == "direct":
        return then(BEGUN, hang)
    rest = chunk(chat_chunk(finish="stop") + usage_chunk(TOLD) + DONE) + LAST_CHUNK
    return then(BEGUN, wait_at(gate), say(rest))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("left", [("direct", "groq"), ("direct", "direct"), ("groq", "groq")])
def test_a_third_call_runs_once_two_streams_were_left(
    narrow: Upstream, tmp_path: Path, left: tuple[str, str], stream: bool
) -> None:
    gate = narrow.gate()
    narrow.expect(*(left_script(provider, gate) for provider in left))
    answer = sse(chat_stream(usage_chunk(TOLD))) if stream else json_reply(chat_reply(usage=TOLD))
    narrow.expect(answer)
    with Daemon(config(narrow), tmp_path, key=KEY) as daemon:
        leavers = []
        for provider in left:  # one after the other: scripts are given out as calls arrive
            leavers.append(daemon.open_chat(provider, max_tokens=100, stream=True))
            leavers[-1].read_until(b"begun")
        with daemon.connect() as third:
            body = json.dumps(ask("direct", stream=stream)).encode()
            third.send(daemon.request("POST", "/v1/chat/completions", (), body))
            narrow.wait_for_calls(3)
            assert narrow.is_full
            for leaver in leavers:
                leaver.leave()
            gate.open()
            reply = third.read_reply()  # silence at a provider would end them only after minutes
        assert (reply.status, reply.complete, len(narrow.calls)) == (200, True, 3)
        books = settled(daemon)
        assert books.sources == Counter(counted=left.count("direct"), computed=left.count("groq") + 1)
        assert daemon.stop() == 0
