"""Replies that pass as they came are read aside: packed or not, of whatever type, in whatever pieces."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.decoding import MOST_GROWTH, PIECE, CannotDecode, Decoder
from proxy.wire.findings import Findings
from proxy.wire.passing import LARGEST_DOCUMENT, Passing
from proxy.wire.reader import StreamReader
from proxy.wire.usage import Usage

USAGE = {"prompt_tokens": 11, "completion_tokens": 4}
CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"content": "Hé"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]
EVENTS = b": hi\n\n" + b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in CHUNKS) + b"data: [DONE]\n\n"
LINES = b"".join(json.dumps(one).encode() + b"\n" for one in CHUNKS)
DOCUMENT = json.dumps({"choices": [{"index": 0, "message": {"content": "Hé"}}], "usage": USAGE}, indent=2).encode()
BODIES = {"events": EVENTS, "lines": LINES, "document": DOCUMENT}


def deflated(body: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(body) + packing.flush()


PACKED = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP, identity": gzip.compress,
    "deflate": zlib.compress,
    " deflate": deflated,
}


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(body) + 1) for cut in cuts})
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


def seen(pieces: list[bytes], encoding: str = "") -> tuple[Passing, Findings]:
    reader = StreamReader(Findings("chat"))
    passing = Passing(reader, encoding)
    for piece in pieces:
        passing.feed(piece)
    passing.finish()
    passing.finish()
    return passing, reader.findings


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("encoding", PACKED)
@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_whatever_the_cuts_it_is_read(kind: str, encoding: str, cuts: list[int]) -> None:
    passing, findings = seen(pieces_of(PACKED[encoding](BODIES[kind]), cuts), encoding)
    assert (passing.kind, passing.is_stream) == (kind, kind != "document")
    assert findings.usage == Usage(11, 4)
    assert findings.countable == passing.is_stream


def test_several_packed_parts_and_padding_are_one_body() -> None:
    body = gzip.compress(EVENTS[:50]) + gzip.compress(EVENTS[50:]) + b"\0\0"
    for pieces in ([body], [bytes([byte]) for byte in body]):
        assert seen(pieces, "gzip")[1].usage == Usage(11, 4)


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"<html>", b"hello world, nothing here", bytes(range(256)), b"\xff" * 99]
)
def test_of_anything_else_nothing_is_said(body: bytes) -> None:
    passing, findings = seen([body])
    assert not passing.is_stream
    assert (findings.events, findings.usage, findings.countable) == (0, None, False)


@pytest.mark.parametrize("encoding", ["br2", "compress", "gzip, gzip", "gzip,deflate"])
def test_an_encoding_nobody_undoes_is_opaque(encoding: str) -> None:
    with pytest.raises(CannotDecode):
        Decoder(encoding)
    assert seen([EVENTS], encoding)[0].kind == "opaque"


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_broken_packing_is_opaque_and_never_fails(body: bytes, encoding: str) -> None:
    passing, findings = seen([body], encoding)
    assert findings.usage is None or passing.kind != "opaque"


def test_a_bomb_is_given_up_in_small_steps() -> None:
    bomb = gzip.compress(b"data: {}\n\n" * 10**7)
    made = []
    with pytest.raises(CannotDecode):
        made.extend(len(piece) for piece in Decoder("gzip").feed(bomb))
    assert max(made) <= PIECE
    assert sum(made) <= 2**20 + MOST_GROWTH * len(bomb) + PIECE


def test_the_usage_of_a_document_too_large_to_keep_is_found_at_its_end() -> None:
    trap = r"{\"usage\": {\"prompt_tokens\": 9}}"
    large = b'{"data":[{"b64_json":"' + b"A" * (LARGEST_DOCUMENT + 10) + b'"}],'
    large += (
        b'"usage":{"input_tokens":11,"output_tokens_details":{"image_tokens":4},"output_tokens":4},"note":"%s"}'
        % (trap.encode())
    )
    passing, findings = seen([large[at : at + 2**20] for at in range(0, len(large), 2**20)])
    assert passing.kind == "document"
    assert findings.usage is not None
    assert (findings.usage.input_tokens, findings.usage.image_tokens) == (11, 4)
