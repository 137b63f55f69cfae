"""What OpenAI answers of responses beside making them: how they stand, the rest of a stream, how many tokens one would read."""

from __future__ import annotations

import time

from aiohttp import web

from proxy.errors import CallerError
from proxy.mock.asked import Profile, read_asked
from proxy.mock.calls import Objection, failed, failure_of, json_reply, receive
from proxy.mock.envelopes import Failure
from proxy.mock.headers import reply_headers, stream_type
from proxy.mock.play import play_rest
from proxy.mock.state import State

_DIGITS = 10  # of numbers that events have


async def stored(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """A response made in the background: how it stands, its events from some number on, its cancelling, or its end."""
    id_, now = request.match_info["id"], time.monotonic()
    response = state.background.find(id_)
    if response is None:
        return failed(state, profile, "responses", Failure(404, f"Response with id '{id_}' not found."))
    if request.method == "DELETE":
        state.background.remove(id_)
        return json_reply(state, profile, {"id": id_, "object": "response", "deleted": True})
    if request.method == "POST":
        response.cancel(now)
    if request.method == "GET" and request.query.get("stream") == "true":
        return await _resumed(state, request, profile)
    return json_reply(state, profile, response.body(now))


async def _resumed(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """The events behind the number that the client has, each when the first stream had it."""
    response, after = state.background.find(request.match_info["id"]), request.query.get("starting_after", "-1")
    if response is None or not response.row.streamed:
        text = "Only a response that was made with 'background' and 'stream' can be streamed."
        return failed(state, profile, "responses", Failure(400, text, None, "stream"))
    if not after.removeprefix("-").isdecimal() or len(after) > _DIGITS:
        text = "Invalid type for 'starting_after': expected an integer."
        return failed(state, profile, "responses", Failure(400, text, "invalid_type", "starting_after"))
    headers = reply_headers(profile, stream_type(profile), state.suffix(), None)
    return await play_rest(request, headers, response.events(int(after)))


async def count_input(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """How many tokens a request would read; it need not name a model."""
    try:
        fields, _ = await receive(state, request, profile, "responses/input_tokens")
        asked = read_asked(profile, "responses/input_tokens", {"model": "mock/echo", **fields})
    except (CallerError, Objection) as error:
        return failed(state, profile, "responses", failure_of(error))
    return json_reply(state, profile, {"object": "response.input_tokens", "input_tokens": asked.input_tokens})


ROUTES = (
    ("GET", "/responses/{id}", stored),
    ("DELETE", "/responses/{id}", stored),
    ("POST", "/responses/{id}/cancel", stored),
    ("POST", "/responses/input_tokens", count_input),
)
