"""What a dialect must answer: how to ask, and what some of the answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from proxy.policy.names.vendors import vendor_of
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.headers import Headers, replaced, to_upstream
from proxy.wire.outgoing import Pieces

# no encoding but the plain one: usage is read while the bytes pass
PLAIN = ("Accept-Encoding", "identity")


class Incoming(Struct, frozen=True):
    """The client's request as it concerns the upstream: its headers in their order and case.

    `prepared`: the requests made of it so far, without their bodies, by provider.
    """

    headers: Sequence[tuple[str, str]]
    prepared: dict[str, tuple[Provider, UpstreamRequest]] = field(default_factory=dict)


class Due(Protocol):
    """What is due as a request goes out. The latter two raise what keeps it from going."""

    waits: bool  # for the disk, before any of it goes out

    def note(self) -> None:
        """It is to go out at the end of this turn of the loop."""

    def sending(self) -> None:
        """It goes out: that is written down, in the same step."""

    async def durable(self) -> None:
        """Do that."""


class UpstreamRequest(Struct):
    """Everything needed to send, nothing sent. `url` is exact and must not be quoted again.

    `hides_usage`: we, not the client, asked for the event of a stream that tells its usage. `wire` is for whoever sends: what is
    the same for every body, worked out once. `is_anew`: over a new connection.
    """

    method: str
    url: str
    headers: Headers
    pieces: Pieces
    wire: dict[Any, Any] = field(default_factory=dict)
    hides_usage: bool = False
    is_anew: bool = False

    def carrying(self, pieces: Pieces) -> UpstreamRequest:
        """The same with a body."""
        return UpstreamRequest(self.method, self.url, self.headers, pieces, self.wire)

    def __repr__(self) -> str:
        return f"<UpstreamRequest {self.method} {self.url.partition('?')[0]}>"


class Dialect(Protocol):
    """How to speak to one kind of upstream. Pure: no I/O, no clock, no logging."""

    def headers(self, call: Call, provider: Provider, incoming: Incoming) -> Headers:
        """The headers to send: the client's that may cross, the provider's own, its credential."""

    def wants_usage_flag(self, call: Call) -> bool:
        """Whether a stream states its usage only when `stream_options.include_usage` asks for it."""

    def is_about_our_key(self, status: int, body: bytes) -> bool:
        """Whether an error is about the credential *we* sent."""

    def affordable(self, status: int, body: bytes) -> int | None:
        """The output tokens the account can still pay, where a 402 says so."""

    def is_about_one_model(self, fields: Mapping[str, str], body: bytes) -> bool:
        """Whether a 429 concerns only the model that was asked; else all of the account. `fields` are the reply's headers."""


def bearer(provider: Provider) -> Headers:
    """`Authorization: Bearer`, or nothing for a provider without a key."""
    return [("Authorization", f"Bearer {provider.api_key.reveal()}")] if provider.api_key else []


def crossing(incoming: Incoming, provider: Provider, own: Headers) -> Headers:
    """The client's headers less what stays here, then what the configuration and the dialect set."""
    headers = to_upstream(incoming.headers, openai=provider.kind == "openai")
    return replaced(replaced(headers, provider.headers), [*own, PLAIN])


def url_for(provider: Provider, call: Call) -> str:
    """The upstream's URL: the base plus the path without /v1, query as it came."""
    return provider.base_url + call.path + call.query


def max_field(call: Call, provider: Provider) -> str | None:
    """The member that limits the output of this endpoint at this provider; None where there is none.

    OpenAI's reasoning models refuse `max_tokens` on chat (wire.md 2.2); servers that speak as OpenAI does know no
    other, and neither do OpenRouter and Anthropic.
    """
    field = call.endpoint.max_field
    if field is None or provider.max_tokens_field == "none":
        return None
    if call.endpoint.shape != "chat":
        return field
    return provider.max_tokens_field or ("max_completion_tokens" if vendor_of(provider) == "openai" else field)
