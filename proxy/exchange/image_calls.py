"""Calls for pictures to providers that do not speak OpenAI's images API: checked, said otherwise, and said back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.errors import CallerError, InvalidValue, ProxyError, UpstreamBadResponse
from proxy.exchange.results import Results, Shelf
from proxy.policy.images.catalogue import ImageModel
from proxy.policy.images.fitting import Fitted, Problem, fit
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.tenants import owner_of
from proxy.policy.values import Provider, Target
from proxy.translate.images.faults import image_error
from proxy.translate.images.image_request import ImageRequest, read_image_request
from proxy.translate.images.refusals import InvalidDimensions, InvalidPrompt, UnsupportedModel
from proxy.translate.images.replies import EventReply, Source, WholeReply
from proxy.translate.images.writing import write_chat, write_images
from proxy.translate.values import Fault
from proxy.wire.call import Call, Defaults, applied_defaults
from proxy.wire.endpoints import MODEL_ROWS, Shape
from proxy.wire.headers import root_of
from proxy.wire.outgoing import Change, outgoing

if TYPE_CHECKING:
    from proxy.exchange.job import Job
    from proxy.exchange.reply import Reply

_PATHS: dict[Source, str] = {"images": "/images", "chat": "/chat/completions"}


class ImageCall(Struct, frozen=True):
    """What is to be drawn, by which model, and how that takes it."""

    image_request: ImageRequest
    model: ImageModel
    fitted: Fitted

    @property
    def source(self) -> Source:
        """Which of the provider's protocols draws."""
        return "chat" if self.model.in_chat else "images"


def image_call(call: Call, defaults: Defaults, provider: Provider, target: Target, prices: PriceBook) -> ImageCall:
    """Check a call, with the defaults of its name, against its model. Raises `UnsupportedModel`, `InvalidDimensions`,
    `InvalidValue`: nothing is sent."""
    if not target.model:
        raise InvalidValue("'model' must name the model that is to draw.", param="model")
    model = image_model_of(provider, target.model, prices)
    image_request = read_image_request(_with_defaults(call, defaults))
    if image_request.streamed and image_request.wants_url:
        raise InvalidValue(
            "A stream carries its pictures as b64_json; leave response_format out.", param="response_format"
        )
    return ImageCall(image_request, model, fitted_or_raise(image_request, model))


def _with_defaults(call: Call, defaults: Defaults) -> Call:
    added = tuple(applied_defaults(call, defaults, None))
    return replace(call, body=b"".join(outgoing(call, Change(members=added)))) if added else call


def fitted_or_raise(image_request: ImageRequest, model: ImageModel) -> Fitted:
    """How the model takes it. Raises `InvalidDimensions`, `InvalidValue`."""
    found = fit(image_request, model)
    if isinstance(found, Problem):
        error = InvalidDimensions if found.of == "shape" else InvalidValue
        raise error(found.message, param=found.param)
    return found


def image_model_of(provider: Provider, name: str, prices: PriceBook) -> ImageModel:
    """The model that draws: of OpenRouter's images API, else one whose lists say that it draws in chat. Of a model in no
    list at all nothing is known, and it may. Raises `UnsupportedModel`."""
    model = prices.images.get(name) if provider.kind == "openrouter" else None
    if model is not None:
        return model
    facts = prices.facts(provider, name)
    modes = () if facts is None else facts.modes
    if "image" in modes:
        return ImageModel(name, name, outputs=("image", "text") if "chat" in modes else ("image",), in_chat=True)
    if not modes:
        return ImageModel(name, name, in_chat=provider.kind != "openrouter")
    near = prices.images.near(name)
    hint = f" Models that do: {', '.join(near or [model.id for model in prices.images.models[:3]])}."
    raise UnsupportedModel(f"{name} draws no pictures.{hint if prices.images.models else ''}", param="model")


def drawing_call(job: Job) -> Call:
    """The call as it goes out."""
    drawn = job.image_call
    assert drawn is not None
    name, members = drawn.model.id, dict(drawn.fitted.members)
    target = job.record.target
    name = target.model if target is not None and target.model else name
    if drawn.source == "chat":
        body = write_chat(drawn.image_request, name, drawn.model.outputs, members)
    else:
        body = write_images(drawn.image_request, name, members)
    path = _PATHS[drawn.source]
    return Call(MODEL_ROWS[path], path, "", "POST", body, content_type="application/json", model=name)


class ImageInterpreter:
    """The reply's way back to a client of OpenAI's images API."""

    def __init__(self, job: Job, results: Results) -> None:
        assert job.image_call is not None
        self._image_request, self._source = job.image_call.image_request, job.image_call.source
        self._reply: WholeReply | EventReply | None = None
        self._shelf = None
        if self._image_request.wants_url:
            self._shelf = Shelf(results, job.record.request_id, owner_of(job.caller), root_of(job.incoming.headers))

    @property
    def at_boundary(self) -> bool:
        """Whether something of ours may be written between events now."""
        return not isinstance(self._reply, EventReply) or self._reply.at_boundary

    @property
    def pictures(self) -> int:
        """How many have come."""
        return 0 if self._reply is None else self._reply.pictures

    def feed(self, data: bytes) -> bytes:
        """The client's bytes for these."""
        assert self._reply is not None
        return self._reply.feed(data)

    def finish(self) -> bytes:
        """What the client's reply ends on."""
        assert self._reply is not None
        try:
            return self._reply.finish()
        except CallerError as error:
            raise _no_reply(error) from None

    def note(self) -> None:
        """Nothing is to be kept of pictures."""

    def close(self) -> None:
        """The call is over: a picture that is not whole is not kept."""
        if self._shelf is not None:
            self._shelf.discard()

    def last_words(self, _: Shape, error: ProxyError) -> bytes:
        """An error of ours that ends the client's stream."""
        fault = Fault(error.message, error.status, error.code, error.error_type, error.param)
        reply = self._reply if isinstance(self._reply, EventReply) else EventReply(self._image_request, 0)
        return reply.fail(fault)

    def say_again(self, reply: Reply) -> None:
        """Put what the client is to read in the place of what came, or of its beginning.

        Raises `InvalidPrompt` where the model would not draw, `UpstreamBadResponse` where that is no reply.
        """
        created = int(time.time())
        if reply.is_event_stream:
            self._reply = EventReply(self._image_request, created)
            return
        if reply.judged_status >= 400:
            reply.status, body = image_error(_decoded(reply.first), reply.judged_status)
            reply.replace_body(msgspec.json.encode(body))
            return
        if not reply.is_json:
            raise _no_reply(CallerError("It is no JSON."))
        self._reply = WholeReply(self._source, self._image_request, created, self._shelf)
        try:
            told = self._reply.feed(reply.first) + (self._reply.finish() if reply.whole else b"")
        except CallerError as error:
            raise _no_reply(error) from None
        reply.replace_body(told, "text/event-stream" if self._image_request.streamed else "application/json")


def _no_reply(error: CallerError) -> ProxyError:
    if isinstance(error, InvalidPrompt):
        return error
    return UpstreamBadResponse(f"The provider's reply holds no picture that can be passed on: {error.message}")


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
