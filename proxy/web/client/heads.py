"""What the head of a request asks for: judged once, and known again by the same bytes."""

from __future__ import annotations

import math

from aiohttp.http import HttpVersion10
from aiohttp.web_request import BaseRequest
from msgspec import Struct
from msgspec.structs import replace
from multidict import MultiMapping

from proxy.dialects import Incoming
from proxy.errors import DuplicateKey, InvalidValue
from proxy.exchange.prepared import Prepared
from proxy.exchange.record import Record
from proxy.policy.limits.pace import DEFAULT, PRIORITIES
from proxy.policy.names.access import ROUTE
from proxy.policy.operators import Hook
from proxy.policy.sharing import ONLY_IF_CACHED
from proxy.policy.use_cases.dress import VARIABLES
from proxy.policy.values import Caller
from proxy.policy.webhooks import asked_hook
from proxy.web.body import read_body
from proxy.web.upload import Upload
from proxy.wire.endpoints import Endpoint, model_of
from proxy.wire.headers import HOOK, HOOK_SECRET, PRIORITY, Headers, without_credentials
from proxy.wire.marks import TAGS, UNMARKED, Marks, marks_of_head

_LONGEST_ONCE = 255
_BATCHES = ("batches", "messages/batches")
SHARED = "x-tollkeeper-coalesce"


class Apart(Struct, frozen=True):
    """A call that is answered otherwise than at once: `once` is its Idempotency-Key, `later`: a job will do. `hook`: who
    is to be told when that is over. `shared`: it says whether it is to be sent once with others that are alike, or only a kept reply will do."""

    once: str | None
    later: bool
    hook: Hook | None = None
    shared: bool = False


class Head(Struct, frozen=True):
    """A head that was read and found to be meant for us, whoever sends it. Nothing in it is a secret but
    what signs for a webhook.

    `cors` are the headers for a page whose origin was let in. `read_timeout_seconds`: how long the client waits for
    anything at all, infinite where it does not say. `speaks_anthropic`: and reads errors so. `model` is the one that is
    asked about, at `/models/NAME`; `route` the provider it names, whether there is one or not; `variables` what fills the
    template of its model, as it came; `marks` what it says the call belongs to; `apart` whether it is to be answered once, or later;
    `rank` that of its priority; `keeps`: its connection may serve another; `is_http_1_0`: it is in that version of HTTP; `prepared` what calls with it need that came before, whosever.
    """

    method: str
    path: str
    query: str
    endpoint: Endpoint
    cors: Headers
    incoming: Incoming
    content_type: str
    read_timeout_seconds: float
    speaks_anthropic: bool
    model: str | None
    route: str | None
    variables: str | None = None
    marks: Marks = UNMARKED
    apart: Apart | None = None
    rank: int = DEFAULT
    keeps: bool = True
    is_http_1_0: bool = False
    prepared: dict[tuple[object, ...], Prepared] = {}


class Asked(Struct):
    """A request: its head, whose it is, and its body where that is in hand already; else whoever reads it."""

    head: Head
    caller: Caller
    body: bytes | BaseRequest | Upload


async def body_of(asked: Asked, most: int) -> bytes:
    """The body of a request that we answer ourselves, of at most so many bytes: read now where it is not in hand. Raises what
    `read_body` does."""
    if isinstance(asked.body, BaseRequest):
        asked.body = await read_body(asked.body, most)
    assert isinstance(asked.body, bytes)
    return asked.body


def head_of(request: BaseRequest, where: tuple[str, str], endpoint: Endpoint, record: Record) -> Head:
    """What is left to read of a head that was let in; `where` is its path without prefix, and its query."""
    told = list(record.cors), record.speaks_anthropic
    head = read_head(request.method, where, endpoint, request.headers, told)
    is_http_1_0 = request.version == HttpVersion10
    if request.keep_alive and not is_http_1_0:
        return head
    return replace(head, keeps=request.keep_alive, is_http_1_0=is_http_1_0)


def read_head(
    method: str,
    where: tuple[str, str],
    endpoint: Endpoint,
    headers: MultiMapping[str],
    told: tuple[Headers, bool],
) -> Head:
    """The same for a request that came another way; `told`: headers of ours for its page, and whether it reads errors
    as Anthropic words them."""
    return Head(
        method=method,
        path=where[0],
        query=where[1],
        endpoint=endpoint,
        cors=told[0],
        incoming=Incoming(without_credentials(headers.items())),
        content_type=headers.get("Content-Type", ""),
        read_timeout_seconds=_read_timeout_seconds(headers.get("x-stainless-read-timeout", "inf")),
        speaks_anthropic=told[1],
        model=model_of(where[0]) if method in ("GET", "HEAD") else None,
        route=_once(headers, ROUTE),
        variables=_once(headers, VARIABLES),
        marks=marks_of_head(headers, headers.getall(TAGS, ())),
        apart=_apart(headers) if endpoint.metered or endpoint.name in _BATCHES else None,
        rank=_rank(_once(headers, PRIORITY)),
    )


def _apart(headers: MultiMapping[str]) -> Apart | None:
    once = _once(headers, "Idempotency-Key")
    if once is not None and not 0 < len(once) <= _LONGEST_ONCE:
        raise InvalidValue(f"An Idempotency-Key has 1 to {_LONGEST_ONCE} characters.", param="Idempotency-Key")
    if once is not None and not once.isascii():
        once = once.encode("utf-8", "surrogateescape").decode("latin-1")  # bytes that are no text, as text
    wishes, cached = (",".join(headers.getall(name, ())) for name in ("Prefer", "Cache-Control"))
    later = "respond-async" in [wish.partition(";")[0].strip().lower() for wish in wishes.split(",")]
    url, shared = _once(headers, HOOK), SHARED in headers or ONLY_IF_CACHED in cached.lower()
    if not later and not shared and once is None and url is None:
        return None
    try:
        hook = None if url is None else asked_hook(url, _once(headers, HOOK_SECRET))
    except ValueError as error:
        raise InvalidValue(f"The header {HOOK} {error}.", param=HOOK) from None
    return Apart(once, later, hook, shared)


def _rank(priority: str | None) -> int:
    if priority is None:
        return DEFAULT
    for rank, name in enumerate(PRIORITIES):
        if name == priority.lower():
            return rank
    raise InvalidValue(f"The header {PRIORITY} is one of {', '.join(PRIORITIES)}.", param=PRIORITY)


def _once(headers: MultiMapping[str], name: str) -> str | None:
    found = headers.getall(name, ())
    if len(found) > 1:
        raise DuplicateKey(f"The header {name} stands twice.", param=name)
    return found[0].strip() if found else None


def _read_timeout_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return math.inf
    return seconds if seconds > 0 else math.inf
