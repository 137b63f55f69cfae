"""One call that costs money: read it, decide, answer, and keep its row of the bill."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Iterator

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import FileField

from proxy.errors import CallerError, InvalidValue
from proxy.mock.answer import Turn, compose
from proxy.mock.asked import Asked, Fields, Profile, read_asked, read_json
from proxy.mock.behaviours import without_fault
from proxy.mock.bill import Row
from proxy.mock.catalogue import price_of, served_name
from proxy.mock.envelopes import HTML, Failure, encoded, first_event
from proxy.mock.headers import reply_headers, stream_type
from proxy.mock.pictures import streams_pictures
from proxy.mock.play import forever, play_body, play_stream, send_garbage
from proxy.mock.script import BODIES, FRAMES, Step, refusal, steps, stream_failure
from proxy.mock.skins import media
from proxy.mock.skins.chat import comments_first
from proxy.mock.skins.responses import begun_body
from proxy.mock.state import State
from proxy.mock.strict.refusing import Content, Sent, refused

_SPEECH_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_MEDIA = {
    "embeddings": media.embeddings_body,
    "rerank": media.rerank_body,
    "moderations": media.moderation_body,
    "images": media.images_body,
}


class Objection(Exception):
    """A request that the real provider would refuse, and how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


async def receive(
    state: State, request: web.Request, profile: Profile, endpoint: str
) -> tuple[Fields, media.Upload | None]:
    """The members and the first file of a request. Raises `CallerError`, and `Objection` where the mock is strict."""
    fields, upload = await read_fields(request)
    content = Content(request.content_type, fields, upload is not None)
    sent = Sent(profile, endpoint, request.path, request.headers, content)
    if state.is_strict and (failure := refused(sent, needs_key=state.needs_key)) is not None:
        raise Objection(failure)
    return fields, upload


def failure_of(error: CallerError | Objection) -> Failure:
    """The error as a reply tells it."""
    if isinstance(error, Objection):
        return error.failure
    return Failure(error.status, error.message, error.code, error.param)


async def serve_call(state: State, request: web.Request, profile: Profile, endpoint: str) -> web.StreamResponse:
    """Answer one call as its model name asks."""
    try:
        fields, upload = await receive(state, request, profile, endpoint)
        asked = read_asked(profile, endpoint, fields)
        if endpoint == "embeddings":
            media.dimensions_of(asked)
        turn = price_turn(state, asked, upload)
    except (CallerError, Objection) as error:
        return failed(state, profile, endpoint, failure_of(error))
    row = Row(turn.reply_id, turn, _streams(asked), _misses(state, turn))
    row.output_tokens_emitted = 0 if row.streamed else turn.answer.output_tokens
    state.bill.add(row)
    if asked.in_background:
        state.background.begin(row, time.monotonic())
    try:
        return await _answer(request, row, upload)
    except (asyncio.CancelledError, ConnectionError):
        row.leave()
        raise asyncio.CancelledError from None  # which the HTTP library does not take for an error of ours


def failed(state: State, profile: Profile, endpoint: str, failure: Failure) -> web.Response:
    """An error reply that belongs to no call."""
    suffix = state.suffix()
    headers = reply_headers(profile, "application/json", suffix, None)
    body = encoded(profile, endpoint, failure, f"req_{suffix}")
    return web.Response(status=failure.status, body=body, headers=headers)


def json_reply(state: State, profile: Profile, value: object) -> web.Response:
    """A reply that belongs to no call."""
    headers = reply_headers(profile, "application/json", state.suffix(), None)
    return web.Response(body=msgspec.json.encode(value), headers=headers)


async def read_fields(request: web.Request) -> tuple[Fields, media.Upload | None]:
    """The members of a JSON or multipart body, and the first file (the model may come after it)."""
    if request.content_type != "multipart/form-data":
        fields = read_json(await request.read())
        return fields, _inline_audio(fields)
    try:
        form = await request.post()
    except (ValueError, HttpProcessingError):
        raise InvalidValue("The multipart body cannot be read.") from None
    upload: media.Upload | None = None
    fields = {}
    for name, value in form.items():
        if not isinstance(value, FileField):
            fields.setdefault(name, value)
        elif upload is None:
            upload = media.Upload(value.filename, value.file.read(), value.content_type)
    return fields, upload


def _inline_audio(fields: Fields) -> media.Upload | None:
    """OpenRouter takes sound as base64 in JSON, too."""
    audio = fields.get("input_audio")
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        return None
    try:
        return media.Upload("audio", base64.b64decode(audio["data"]), "application/octet-stream")
    except binascii.Error:
        raise InvalidValue("input_audio.data must be base64.", param="input_audio") from None


def price_turn(state: State, asked: Asked, upload: media.Upload | None) -> Turn:
    """A call with its answer, and what that costs."""
    behaviour = state.behaviour(asked.model)
    turn = state.unanswered(asked, behaviour, served_name(asked.model))
    if refusal(turn) is None and behaviour.name == "afford":
        behaviour = msgspec.structs.replace(without_fault(behaviour), tokens=None)
    price = price_of(asked.model)
    if asked.endpoint in BODIES:
        answer = compose(asked, behaviour, price)
    else:
        answer = media.priced(asked, behaviour, price, len(upload.content) if upload else 0)
    return msgspec.structs.replace(turn, behaviour=behaviour, answer=answer)


def _streams(asked: Asked) -> bool:
    if asked.endpoint == "images":
        return asked.stream and (asked.profile == "openai" or streams_pictures(asked.model))
    return asked.stream and asked.endpoint in FRAMES


def _misses(state: State, turn: Turn) -> int:
    return state.misses if turn.behaviour.misses is None else turn.behaviour.misses


async def _answer(request: web.Request, row: Row, upload: media.Upload | None) -> web.StreamResponse:
    turn, behaviour = row.turn, row.turn.behaviour
    failure = refusal(turn)
    if failure is not None:
        row.refuse(failure.status)
        await asyncio.sleep(behaviour.ttft)
        return _refused(turn, failure)
    if behaviour.name == "garbage":
        row.refuse(0)
        return send_garbage(request)
    if behaviour.name == "redirect":
        row.refuse(behaviour.status)
        headers = {**_headers(turn, "text/plain"), "Location": behaviour.location}
        return web.Response(status=behaviour.status, text="Found. Redirecting.", headers=headers)
    if behaviour.name == "hang" and behaviour.after is None:
        await forever()
    if turn.asked.in_background and not row.streamed:
        body = msgspec.json.encode(begun_body(turn, "queued"))
        return web.Response(body=body, headers=_headers(turn, "application/json"))
    if row.streamed:
        return await play_stream(request, _headers(turn, stream_type(turn.asked.profile)), row, _script(row))
    content_type, body = whole(row, upload)
    return await play_body(request, _headers(turn, content_type), row, body)


def _script(row: Row) -> Iterator[Step]:
    turn = row.turn
    if turn.behaviour.name == "first-event-error":
        row.refuse(200)
        asked = turn.asked
        error = first_event(asked.profile, asked.endpoint, stream_failure(turn), f"req_{turn.suffix}")
        return steps(turn, [*comments_first(turn), error])
    return steps(turn, FRAMES.get(turn.asked.endpoint, media.images_frames)(turn))


def whole(row: Row, upload: media.Upload | None) -> tuple[str, bytes]:
    """The content type and body of a reply that is not streamed."""
    turn, endpoint = row.turn, row.turn.asked.endpoint
    if turn.behaviour.name in ("first-event-error", "mid-stream-error"):
        row.refuse(200)
        return "application/json", encoded(turn.asked.profile, endpoint, stream_failure(turn), f"req_{turn.suffix}")
    if endpoint == "audio/speech":
        usual = "pcm" if turn.asked.profile == "openrouter" else "mp3"
        form = turn.asked.fields.get("response_format", usual)
        return _SPEECH_TYPES.get(str(form), "audio/mpeg"), media.speech_bytes(turn)
    if endpoint.startswith("audio/"):
        return media.transcription_reply(turn, upload)
    body = (BODIES.get(endpoint) or _MEDIA[endpoint])(turn)
    return "application/json", msgspec.json.encode(body)


def _refused(turn: Turn, failure: Failure) -> web.Response:
    """An error reply of a call, with the retry hints its model name asks for."""
    asked, behaviour = turn.asked, turn.behaviour
    html = behaviour.body == "html"
    headers = reply_headers(asked.profile, "text/html" if html else "application/json", turn.suffix, None)
    if behaviour.retry_after is not None:
        headers["Retry-After"] = behaviour.retry_after
    if behaviour.retry_after_ms is not None:
        headers["retry-after-ms"] = behaviour.retry_after_ms
    body = encoded(asked.profile, asked.endpoint, failure, f"req_{turn.suffix}")
    if behaviour.body != "json":
        body = HTML % (failure.status, failure.status) if html else b""
    return web.Response(status=failure.status, body=body, headers=headers)


def _headers(turn: Turn, content_type: str) -> dict[str, str]:
    return reply_headers(turn.asked.profile, content_type, turn.suffix, turn.reply_id)
