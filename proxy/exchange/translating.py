"""Calls that are said in another protocol, and their replies said back: the only place where exchange meets translate."""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

from proxy.errors import CallerError, InvalidJson, InvalidValue, ProxyError, TranslationLossy, UpstreamBadResponse
from proxy.exchange.job import Job
from proxy.exchange.reply import Reply
from proxy.policy.apis import is_no_such_endpoint
from proxy.policy.tenants import owner_of
from proxy.policy.values import Lossy, Provider
from proxy.translate.bridge import Bridge, read_request, write_request
from proxy.translate.counting import estimate
from proxy.translate.images.refusals import InvalidDimensions, UnsupportedModel
from proxy.translate.kept import KeptThoughts
from proxy.translate.losses import Loss, Losses
from proxy.translate.values import Aim, Fault, Identity, Protocol
from proxy.wire.call import Call
from proxy.wire.endpoints import MODEL_ROWS, Shape
from proxy.wire.outgoing import Change, outgoing

_PATHS: dict[Protocol, str] = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}
# why a call cannot be said in another protocol
UNSAID = (InvalidJson, InvalidValue, TranslationLossy, InvalidDimensions, UnsupportedModel)


class Asked(Struct, frozen=True):
    """What a call is to be said in, to whom, and with which changes that are made to it in any protocol.

    `maximum` is for a protocol that demands one and a client that sets none.
    """

    protocol: Protocol
    provider: Provider
    aim: Aim
    change: Change
    lossy: Lossy


class Said(Struct, frozen=True):
    """The call as it goes out, the way back of its reply, and what was lost."""

    call: Call
    bridge: Bridge
    losses: tuple[Loss, ...]


class Interpreter:
    """The reply's way back to a client of another protocol: stands where the reader of a stream does for a native one."""

    at_boundary = True
    pictures = 0

    def __init__(self, bridge: Bridge, job: Job, kept: KeptThoughts) -> None:
        self._bridge = bridge
        self._record = job.record
        self._key = owner_of(job.caller)
        self._streamed = job.call.stream
        self._kept = kept
        self._told = False

    def feed(self, events: bytes) -> bytes:
        """The client's events for these of the upstream."""
        return self._noted(self._bridge.feed(events))

    def finish(self) -> bytes:
        """What the client's stream ends on."""
        return self._noted(self._bridge.finish())

    def close(self) -> None:
        """The call is over; nothing was begun that it would leave behind."""

    def _noted(self, told: bytes) -> bytes:
        """Before the client hears of the end, what it cannot carry is kept: its next call may come at once."""
        if self._bridge.ended and not self._told:
            self.note()
            fault, findings = self._bridge.fault, self._record.findings
            if fault is not None and findings is not None and findings.error is None:  # only here it was seen to be one
                findings.error = {"message": fault.message, "code": fault.code}
        return told

    def note(self) -> None:
        """Keep what the client cannot carry, and count what it could not be told. In the loop's thread."""
        bridge, self._told = self._bridge, True
        now = time.monotonic()
        self._kept.keep(self._key, bridge.calls, bridge.thoughts, now)
        self._kept.keep_items(self._key, bridge.items, now)
        self._record.lose(bridge.source, bridge.target, [loss.field for loss in bridge.losses])

    def last_words(self, _: Shape, error: ProxyError) -> bytes:
        """An error of ours that ends the client's stream."""
        fault = Fault(error.message, error.status, error.code, error.error_type, error.param)
        return self._bridge.fail(fault)

    def say_again(self, reply: Reply) -> None:
        """Put what the client is to read in the place of what the upstream said, of all that is no stream.

        Raises `UpstreamBadResponse` where that is no reply of its protocol.
        """
        bridge = self._bridge
        if reply.is_event_stream:
            return
        status = reply.judged_status
        if status >= 400:
            reply.status = status
            reply.replace_body(bridge.error(reply.first, status))
            return
        try:
            if not reply.whole or not reply.is_json:
                encoding = reply.head.encoding
                raise CallerError(
                    f"It is packed ({encoding}), though identity was asked for." if encoding else "It is no JSON."
                )
            body = bridge.played(reply.first) if self._streamed else bridge.whole(reply.first)
        except CallerError as error:
            if (failure := bridge.failure(reply.first)) is not None:
                reply.status, body = failure
                reply.replace_body(body)
                return
            name = reply.provider.name
            raise UpstreamBadResponse(f"{name} sent a reply that cannot be said in another protocol: {error}") from None
        reply.replace_body(body, "text/event-stream" if self._streamed else "application/json")


def say(job: Job, asked: Asked, kept: KeptThoughts) -> Said:
    """The call in another protocol. Raises `CallerError`s: what is no request, what cannot be said."""
    call, losses = job.call, Losses()
    source: Protocol = call.endpoint.shape  # type: ignore[assignment]  # only these are said otherwise
    owner, now = owner_of(job.caller), time.monotonic()
    body = b"".join(outgoing(call, asked.change))
    request = read_request(source, body, losses, lambda identity: kept.item(owner, identity, now))
    kept.put_back(owner, request, now)
    body = write_request(request, asked.aim, losses)
    found = losses.sort()
    _refuse(found, asked, source)
    said = msgspec.structs.replace(
        silent(asked.protocol), body=body, content_type="application/json", model=asked.aim.model, stream=call.stream
    )
    identity = Identity(job.record.request_id.removeprefix("req_"), int(time.time()))
    return Said(said, Bridge(asked.protocol, source, request, identity), found)


def silent(protocol: Protocol) -> Call:
    """A call in that protocol that says nothing yet."""
    path = _PATHS[protocol]
    return Call(MODEL_ROWS[path], path, "", "POST", b"")


_WHOLE = " Send the whole conversation with every call instead."
_HINTS: dict[str, str] = {
    "item_reference": " Items that were answered here are known for an hour; send others whole (`store: false` has clients do so).",
    "compaction": " What a provider makes of a conversation that it shortens it alone can read: have the client shorten it by"
    " itself (Codex does under a provider whose `name` is not OpenAI), or begin another one.",
    "previous_response_id": _WHOLE,
    "conversation": _WHOLE,
}


def _refuse(losses: tuple[Loss, ...], asked: Asked, source: Protocol) -> None:
    refused = [loss for loss in losses if loss.became == "refused" or asked.lossy == "reject"]
    if not refused:
        return
    names = ", ".join(f"'{loss.field}'" for loss in refused)
    fatal = any(loss.became == "refused" for loss in refused)
    hint = "" if fatal else " `translation: {lossy: warn}` lets it pass without them."
    hint = next((_HINTS[loss.field] for loss in refused if loss.field in _HINTS), hint)
    raise TranslationLossy(
        f"{asked.provider.name} does not speak {source}, and {asked.protocol}, which it speaks, cannot say {names}.{hint}",
        param=refused[0].field,
    )


def estimate_instead(reply: Reply, job: Job) -> None:
    """Answer a request for a count of tokens that a provider knows nothing of with an estimate."""
    call = job.call
    if call.endpoint.name != "messages/count_tokens" or not is_no_such_endpoint(reply.status, reply.missing):
        return
    try:
        tokens = estimate(read_request("messages", call.body, Losses()))
    except CallerError:
        return
    reply.status = 200
    reply.replace_body(msgspec.json.encode({"input_tokens": tokens}))
    job.record.adjusted += ("input_tokens=estimated",)
