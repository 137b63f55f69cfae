"""Everything that is not a conversation: vectors, ranks, verdicts, pictures, sound."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from proxy.errors import InvalidValue
from proxy.mock.answer import PIXEL, Answer, Cost, Turn, cost_of
from proxy.mock.asked import Asked
from proxy.mock.behaviours import Behaviour
from proxy.mock.catalogue import Price
from proxy.mock.frames import DONE, Frame, named, plain
from proxy.mock.pictures import drawn, picture, picture_usd
from proxy.mock.skins.usage import cost_details

_SEARCH_UNIT = Decimal("0.001")
_SECOND = Decimal("0.0001")
_BYTES_PER_SECOND = 32_000
_IMAGE_TOKENS = {"low": 272, "medium": 1056, "high": 4160}
_CATEGORIES = ("harassment", "hate", "self-harm", "sexual", "violence")
_DIMENSIONS = 8
_MOST_DIMENSIONS = 4096


class Upload(Struct, frozen=True):
    """A file of a multipart request."""

    name: str
    content: bytes
    content_type: str


def priced(asked: Asked, behaviour: Behaviour, price: Price, file_bytes: int = 0) -> Answer:
    """The tokens and the cost of a call that produces no words."""
    output, image, fee = 0, 0, Decimal(0)
    if asked.endpoint == "images":
        image = _IMAGE_TOKENS.get(str(asked.fields.get("quality")), 1056) * drawn(asked.choices, asked.prompt)
    elif asked.endpoint == "audio/speech":
        output = len(asked.prompt.split())
    elif asked.endpoint == "rerank":
        fee = _SEARCH_UNIT
    elif asked.endpoint in ("audio/transcriptions", "audio/translations"):
        fee = _SECOND * seconds_of(file_bytes)
        output = len(_TRANSCRIPT.split())
    cost = cost_of(behaviour, price, asked.input_tokens, output, image)
    if asked.endpoint == "images" and behaviour.cost is None and (each := picture_usd(asked.fields)) is not None:
        made = each * drawn(asked.choices, asked.prompt)
        cost = Cost(made, Decimal(0), made)
    if asked.endpoint == "moderations":
        cost = Cost(behaviour.cost or Decimal(0), Decimal(0), Decimal(0))
    elif behaviour.cost is None:
        cost = Cost(cost.total + fee, cost.prompt, cost.completion + fee)
    return Answer((), "stop", cost, asked.input_tokens, output + image, image_tokens=image)


def seconds_of(file_bytes: int) -> int:
    """How long a sound is, by the mock's reckoning: 32,000 bytes a second, at least one second."""
    return max(1, -(-file_bytes // _BYTES_PER_SECOND))


def dimensions_of(asked: Asked) -> int:
    """The length of the vectors. Raises `InvalidValue`."""
    wanted = asked.fields.get("dimensions")
    wanted = _DIMENSIONS if wanted is None else wanted
    if not isinstance(wanted, int) or not 1 <= wanted <= _MOST_DIMENSIONS:
        raise InvalidValue(f"dimensions must be a whole number from 1 to {_MOST_DIMENSIONS}.", param="dimensions")
    return wanted


def embeddings_body(turn: Turn) -> dict[str, Any]:
    """Vectors made from a hash of the input, as floats or base64 (little-endian float32)."""
    fields = turn.asked.fields
    given = fields.get("input")
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    wanted = dimensions_of(turn.asked)
    data = []
    for index, item in enumerate(inputs):
        vector = _vector(repr(item), wanted)
        packed = struct.pack(f"<{wanted}f", *vector)
        shown = base64.b64encode(packed).decode() if fields.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": shown})
    tokens = turn.answer.input_tokens
    usage: dict[str, Any] = {"prompt_tokens": tokens, "total_tokens": tokens}
    body: dict[str, Any] = {"object": "list", "data": data, "model": turn.served, "usage": usage}
    if turn.asked.profile == "openrouter":
        usage |= {"cost": turn.cost, "is_byok": False, "cost_details": cost_details(turn, "prompt", "completions")}
        body["id"] = turn.reply_id
    return body


def rerank_body(turn: Turn) -> dict[str, Any]:
    """The documents in the order they came, with falling scores."""
    documents = turn.asked.fields.get("documents")
    documents = documents if isinstance(documents, list) else []
    top = turn.asked.fields.get("top_n")
    kept = documents[:top] if isinstance(top, int) and top >= 0 else documents
    results = [
        {"index": index, "relevance_score": round(1 / (index + 1), 6), "document": _document(document)}
        for index, document in enumerate(kept)
    ]
    usage = {"search_units": 1, "total_tokens": turn.answer.input_tokens, "cost": turn.cost}
    return {
        "id": turn.reply_id,
        "model": turn.served,
        "provider": "Mock",
        "results": results,
        "usage": usage,
    }


def moderation_body(turn: Turn) -> dict[str, Any]:
    """Nothing is flagged unless the text says FLAG."""
    given = turn.asked.fields.get("input")
    inputs = given if isinstance(given, list) and all(isinstance(item, str) for item in given) else [given]
    results = []
    for item in inputs:
        flagged = "FLAG" in str(item)
        results.append(
            {
                "flagged": flagged,
                "categories": dict.fromkeys(_CATEGORIES, flagged),
                "category_scores": dict.fromkeys(_CATEGORIES, 0.9 if flagged else 0.001),
                "category_applied_input_types": dict.fromkeys(_CATEGORIES, ["text"]),
            }
        )
    return {"id": turn.reply_id, "model": turn.served, "results": results}


def images_body(turn: Turn) -> dict[str, Any]:
    """As many one-pixel pictures as were asked for."""
    fields = turn.asked.fields
    if turn.asked.profile == "openrouter":
        one = {"b64_json": picture(turn.asked.prompt, PIXEL), "media_type": "image/png"}
        data: list[dict[str, Any]] = [one] * drawn(turn.asked.choices, turn.asked.prompt)
        return {"created": turn.created, "data": data, "usage": _image_usage(turn)}
    made = drawn(turn.asked.choices, turn.asked.prompt)
    wants_url = fields.get("response_format") == "url"
    one = {"url": f"data:image/png;base64,{PIXEL}"} if wants_url else {"b64_json": picture(turn.asked.prompt, PIXEL)}
    return {
        "created": turn.created,
        "background": "opaque",
        "data": [one] * made,
        "output_format": "png",
        "quality": str(fields.get("quality", "medium")),
        "size": str(fields.get("size", "1024x1024")),
        "usage": _image_usage(turn),
    }


def images_frames(turn: Turn) -> Iterator[Frame]:
    """One partial picture, then the whole one with the usage."""
    routed = turn.asked.profile == "openrouter"
    event = plain if routed else named
    partial = {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": PIXEL}
    yield event(partial, "event", turn.answer.output_tokens)
    done: dict[str, Any] = {
        "type": "image_generation.completed",
        "b64_json": picture(turn.asked.prompt, PIXEL),
    }
    if routed:
        done |= {"media_type": "image/png", "created": turn.created}
    else:
        done |= {"created_at": turn.created, "size": "1024x1024", "quality": "medium", "background": "opaque"}
        done["output_format"] = "png"
    done["usage"] = _image_usage(turn)
    yield event(done, "finish" if routed else "finish-done")
    if routed:
        yield DONE


def speech_bytes(turn: Turn) -> bytes:
    """A WAV header's worth of silence per word: bytes that depend on the text only."""
    seed = hashlib.sha256(turn.asked.prompt.encode()).digest()
    return b"ID3\x04\x00\x00\x00\x00\x00\x00" + seed * (16 * max(1, turn.answer.output_tokens))


def transcription_reply(turn: Turn, upload: Upload | None) -> tuple[str, bytes]:
    """The content type and body: JSON, or bare text for the formats that are text."""
    size = len(upload.content) if upload else 0
    form = turn.asked.fields.get("response_format", "json")
    if form == "text":
        return "text/plain; charset=utf-8", f"{_TRANSCRIPT}\n".encode()
    if form in ("srt", "vtt"):
        times = ("00:00:00,000 --> 00:00:01,000", "00:00:00.000 --> 00:00:01.000")[form == "vtt"]
        start = "WEBVTT\n\n" if form == "vtt" else "1\n"
        return "text/plain; charset=utf-8", f"{start}{times}\n{_TRANSCRIPT}\n\n".encode()
    seconds = seconds_of(size)
    usage: dict[str, Any] = {"type": "duration", "seconds": seconds}
    if turn.asked.profile == "openrouter":
        given, said = turn.answer.input_tokens, turn.answer.output_tokens
        usage = {"seconds": seconds, "input_tokens": given, "output_tokens": said}
        usage |= {"total_tokens": given + said, "cost": turn.cost}
    body: dict[str, Any] = {"text": _TRANSCRIPT, "usage": usage}
    if form == "verbose_json":
        body = {"task": "transcribe", "language": "english", "duration": float(seconds), **body, "segments": []}
    return "application/json", msgspec.json.encode(body)


_TRANSCRIPT = "This is what the mock heard."


def _image_usage(turn: Turn) -> dict[str, Any]:
    given, made = turn.answer.input_tokens, turn.answer.output_tokens
    if turn.asked.profile == "openrouter":
        counts = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
        return {**counts, "cost": turn.cost}
    return {
        "input_tokens": given,
        "input_tokens_details": {"text_tokens": given, "image_tokens": 0},
        "output_tokens": made,
        "total_tokens": given + made,
    }


def _vector(seed: str, dimensions: int) -> list[float]:
    stream = hashlib.shake_256(seed.encode("utf-8", "replace")).digest(dimensions)
    return [(byte - 128) / 128 for byte in stream]


def _document(document: object) -> dict[str, Any]:
    return document if isinstance(document, dict) else {"text": document}
