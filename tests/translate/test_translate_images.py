"""Replies of OpenRouter's images API and of models that draw in chat, in OpenAI's words, whatever the chunking."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import CallerError
from proxy.translate.images.image_request import ImageRequest
from proxy.translate.images.refusals import InvalidPrompt
from proxy.translate.images.replies import EventReply, Source, WholeReply
from proxy.translate.images.writing import write_chat

PICTURES = ["AAAA", "B" * 5000, "C/+" * 4000]
USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14, "cost": 0.04}
IMAGES = {"created": 0, "data": [{"b64_json": one, "media_type": "image/jpeg"} for one in PICTURES], "usage": USAGE}
IN_CHAT = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{one}"}} for one in PICTURES]
LINK = {"type": "image_url", "image_url": {"url": "https://example.org/" + "x" * 2000}}
MESSAGE = {"role": "assistant", "content": "hi " * 2000, "images": [*IN_CHAT, LINK]}
CHAT = {"id": "gen-1", "choices": [{"message": MESSAGE, "finish_reason": "stop"}], "usage": USAGE}
STEPS = [1, 7, 1000, 10**6]


def fed(reply: WholeReply | EventReply, data: bytes, step: int) -> bytes:
    return b"".join(reply.feed(data[at : at + step]) for at in range(0, len(data), step)) + reply.finish()


def image_request(**members: Any) -> ImageRequest:
    return ImageRequest("generations", "m", "a cat", **members)


def events(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.split(b"data: ", 1)[1]) for event in out.split(b"\n\n") if event]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("source", "body"), [("images", IMAGES), ("chat", CHAT)])
def test_a_whole_reply(source: Source, body: dict[str, Any], step: int) -> None:
    data = json.dumps(body).replace("/", "\\/").encode()  # as some servers escape them
    reply = WholeReply(source, image_request(n=3), 7, None)
    told = json.loads(fed(reply, data, step))
    assert [one["b64_json"] for one in told["data"]] == PICTURES
    assert (told["created"], told["output_format"], reply.pictures) == (7, "jpeg", 3)
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"], told["usage"]["cost"]) == (5, 9, 0.04)


@pytest.mark.parametrize("step", STEPS)
def test_a_whole_reply_as_the_stream_that_was_asked_for(step: int) -> None:
    told = events(fed(WholeReply("images", image_request(streamed=True), 7, None), json.dumps(IMAGES).encode(), step))
    assert [event["b64_json"] for event in told] == PICTURES
    assert "usage" not in told[0] and told[-1]["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("partials", [0, 1, 3])
def test_a_stream(partials: int, step: int) -> None:
    sent = [
        {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": PICTURES[1]},
        {"b64_json": PICTURES[0], "type": "image_generation.partial_image", "partial_image_index": 1},
        {"type": "image_generation.completed", "b64_json": PICTURES[2], "media_type": "image/png", "usage": USAGE},
    ]
    data = b": OPENROUTER PROCESSING\n\n" + b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in sent)
    reply = EventReply(ImageRequest("edits", "m", "x", streamed=True, partials=partials), 7)
    told = events(fed(reply, data + b"data: [DONE]\n\n", step))
    assert [event["b64_json"] for event in told] == [PICTURES[1], PICTURES[0]][:partials] + [PICTURES[2]]
    assert told[-1]["type"] == "image_edit.completed" and told[-1]["usage"]["output_tokens"] == 9
    assert reply.ended and reply.at_boundary and reply.pictures == 1


def test_an_error_ends_a_stream() -> None:
    data = b'data: {"type":"error","error":{"message":"Generation failed","code":"server_error"}}\n\n'
    (told,) = events(fed(EventReply(image_request(), 7), data, 9))
    assert told["error"]["code"] == "server_error"


REFUSALS = [
    ({"choices": [{"message": {"content": "I cannot"}, "finish_reason": "content_filter"}]}, InvalidPrompt),
    ({"choices": [{"message": {}, "finish_reason": "stop", "native_finish_reason": "IMAGE_SAFETY"}]}, InvalidPrompt),
    ({"choices": [{"message": {"content": "A cat!"}, "finish_reason": "stop"}]}, CallerError),
    ({"error": {"code": 502, "message": "Its GPU melted."}}, CallerError),
    ({"error": {"code": 403, "message": "No.", "metadata": {"error_type": "content_policy_violation"}}}, InvalidPrompt),
    ({}, CallerError),
]


@pytest.mark.parametrize(("body", "error"), REFUSALS)
def test_a_reply_without_a_picture_says_why(body: dict[str, Any], error: type[CallerError]) -> None:
    with pytest.raises(error) as refused:
        fed(WholeReply("chat", image_request(), 7, None), json.dumps(body).encode(), 100)
    assert isinstance(refused.value, InvalidPrompt) is (error is InvalidPrompt)
    assert body.get("error", {}).get("message", "") in str(refused.value)


def test_models_that_put_out_pictures_alone_are_not_asked_for_text() -> None:
    shape = {"aspect_ratio": "16:9", "resolution": "2K"}
    alone = json.loads(write_chat(image_request(), "m", ("image",), dict(shape)))
    both = json.loads(write_chat(image_request(references=("https://x",)), "m", ("image", "text"), {}))
    assert alone["modalities"] == ["image"] and both["modalities"] == ["image", "text"]
    assert alone["image_config"] == {"aspect_ratio": "16:9", "image_size": "2K"}
    assert [part["type"] for part in both["messages"][0]["content"]] == ["text", "image_url"]
