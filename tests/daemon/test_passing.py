"""Any JSON body up and any event stream down, in any chunking: the bytes arrive as they were sent."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, usage_chunk
from harness.steps import json_reply, say_apart, sse_apart, stream_head
from harness.upstream import Upstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.wire.findings import Findings

ANY = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
# members Tollkeeper reads have their own tests
READ = {
    "model",
    "stream",
    "stream_options",
    "models",
    "fallbacks",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
}
MEMBERS = st.dictionaries(TEXT.filter(lambda name: name not in READ), VALUES, max_size=6)
SPACES = st.sampled_from(["", " ", "\n", "\t \r\n"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, set[bytes]]:
    """A body as the client spells it, and the ways the upstream may read it."""
    asked, sent = draw(
        st.sampled_from([("gpt-4o", "openai/gpt-4o"), ("openai/gpt-4o", "openai/gpt-4o"), ("local/é😀", "é😀")])
    )
    ascii_only = draw(st.booleans())
    members = list(draw(MEMBERS).items())
    members.insert(draw(st.integers(0, len(members))), ("model", None))

    def spelled(model: bytes) -> bytes:
        gap = iter(gaps)
        parts = [
            f"{next(gap)}{json.dumps(name, ensure_ascii=ascii_only)}{next(gap)}:{next(gap)}".encode()
            + (model if name == "model" else json.dumps(value, ensure_ascii=ascii_only).encode())
            + next(gap).encode()
            for name, value in members
        ]
        return next(gap).encode() + b"{" + b",".join(parts) + b"}" + next(gap).encode()

    gaps = [draw(SPACES) for _ in range(4 * len(members) + 2)]
    escaped, plain = (json.dumps(sent, ensure_ascii=choice).encode() for choice in (True, False))
    shown = json.dumps(asked).encode()
    return spelled(shown), {spelled(escaped), spelled(plain)} if asked != sent else {spelled(shown)}


@ANY
@given(bodies())
def test_any_json_body_reaches_the_upstream_with_only_the_model_changed(
    daemon: Daemon, upstream: Upstream, body: tuple[bytes, set[bytes]]
) -> None:
    upstream.reset()
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.post("/v1/chat/completions", body[0])
    assert reply.status == 200, reply.body
    assert upstream.call.body in body[1]


@ANY
@given(VALUES)
def test_any_json_reply_reaches_the_client_unchanged(daemon: Daemon, upstream: Upstream, value: object) -> None:
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "more": value}, ensure_ascii=False).encode()
    upstream.reset()
    upstream.expect(json_reply(body))
    assert daemon.chat().body == body


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """The pieces of a complete stream, and what a client that asked for no usage may see of it."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    usage = usage_chunk({"prompt_tokens": draw(st.integers(0, 10**6)), "completion_tokens": 1})
    blocks = draw(
        st.lists(st.builds(chat_chunk, TEXT) | st.just(b": comment\n\n") | st.just(b"event: x\nid: 7\n\n"), max_size=6)
    )
    shown = [*blocks, chat_chunk("x"), chat_chunk(finish="stop")]
    shown, whole = shown + [DONE], [*shown, usage, DONE]
    data = b"".join(whole).replace(b"\n", end)
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=12)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return pieces, b"".join(shown).replace(b"\n", end)


@ANY
@given(streams())
@pytest.mark.parametrize("model", ["openai/gpt-4o", "oai/gpt-4o"])
def test_any_stream_reaches_the_client_in_any_chunking(
    daemon: Daemon, upstream: Upstream, model: str, stream: tuple[list[bytes], bytes]
) -> None:
    pieces, shown = stream
    upstream.reset()
    upstream.expect(sse_apart(pieces))
    reply = daemon.chat(model, stream=True)
    assert reply.complete
    assert reply.body == (shown if model.startswith("oai/") else b"".join(pieces))
    assert daemon.line_of(reply)["output_tokens"] == 1


SAID = st.sampled_from([" story", ".", " so", "Über", 'a "b"', "a long part of it, said at once", "\n", "x" * 300])
SIZES = st.sampled_from(["{:x}", "{:x}", "{:x}", "{:X}", "00{:x}", "{:x};a=b"])


@st.composite
def framed_streams(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """A complete stream of many events alike, in chunks of any kind, and the reads it comes in; and all it says."""
    odd = st.just(b": comment\n\n") | st.just(chat_chunk("x", index=1)) | st.just(b"data: {}\n\n")
    events = [chat_chunk("Well"), *draw(st.lists(st.builds(chat_chunk, SAID) | odd, min_size=3, max_size=12))]
    events += [chat_chunk(finish="stop"), chat_chunk(finish="stop", index=1), DONE]
    data, ends = b"".join(events), [sum(map(len, events[: at + 1])) for at in range(len(events))]
    parts = _cut(data, draw(st.sets(st.sampled_from(ends))) | draw(st.sets(st.integers(1, len(data) - 1), max_size=2)))
    chunks = [draw(SIZES).format(len(part)).encode() + b"\r\n" + part + b"\r\n" for part in parts]
    chunks.append(draw(st.sampled_from([b"0\r\n\r\n", b"0\r\nX-Trailer: a\r\n\r\n"])))
    raw, ends = b"".join(chunks), [sum(map(len, chunks[: at + 1])) for at in range(len(chunks))]
    return _cut(
        raw, set(ends) - draw(st.sets(st.sampled_from(ends))) | draw(st.sets(st.integers(1, len(raw) - 1), max_size=2))
    ), data


def _cut(data: bytes, places: set[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise(sorted({0, len(data), *places}))]


@ANY
@given(framed_streams())
def test_any_stream_reaches_the_client_in_any_framing_and_any_reads(
    daemon: Daemon, upstream: Upstream, stream: tuple[list[bytes], bytes]
) -> None:
    reads, said = stream
    upstream.reset()
    upstream.expect(say_apart([stream_head(), *reads]))
    reply, read = daemon.chat(stream=True), Findings("chat")
    assert reply.complete
    assert reply.body == said
    for event in said.split(b"\n\n"):
        if event.startswith(b"data: {"):
            read.see(event[6:])
    assert daemon.line_of(reply)["output_tokens"] == read.counted_output
