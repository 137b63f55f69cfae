"""Calls that are alike: whether one reply may serve several of them, at the same time or later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from math import inf
from typing import Any, Literal

import msgspec
from msgspec import Struct

from proxy.wire.call import MAX_FIELDS, Call, Defaults

Head = Iterable[tuple[str, str]]  # of a request, its headers
When = Literal["deterministic", "always"]

# of a head what says nothing of the answer that is wanted; what is not known here may say something
_SILENT = frozenset(
    "accept-language baggage cache-control connection content-length date dnt expect forwarded host http-referer "
    "idempotency-key keep-alive origin pragma prefer priority referer te traceparent tracestate user-agent via x-title "
    "x-request-id x-real-ip x-client-request-id x-session-id x-claude-code-session-id session-id session_id "
    "x-session-affinity x-tollkeeper-coalesce x-tollkeeper-priority x-tollkeeper-tags".split()
)
ONLY_IF_CACHED = "only-if-cached"  # RFC 9111 5.2.1.7
_SILENT_PREFIXES = ("x-stainless-", "sec-", "x-forwarded-", "cf-")
_LONG_NUMBER = re.compile(rb"[0-9]{17}")
_ALWAYS_ALIKE = frozenset(("embeddings", "moderations"))


class CacheRules(Struct, frozen=True):
    """How long replies are kept (seconds; 0: none is), of which calls, and how many bytes of them in `scope`: the entry
    that says so."""

    ttl_seconds: float
    when: When = "deterministic"
    max_bytes: int = 256 * 2**20
    scope: str = ""


class Sharing(Struct, frozen=True):
    """What the entry of a model or of a key says of calls that are alike; None: nothing."""

    coalesce: bool | None = None
    cache: CacheRules | None = None


_NOTHING = Sharing()


class Wish(Struct, frozen=True):
    """What becomes of one call: whether it shares what is under way, and by what rules its reply is kept. `reads`: one
    that was kept may serve it, if it is at most `max_age` seconds old. `bypassed`: it could have been kept. `only_kept`: nothing
    else will do."""

    coalesce: bool = False
    cache: CacheRules | None = None
    reads: bool = True
    max_age: float = inf
    bypassed: bool = False
    only_kept: bool = False


def first_said(entries: Iterable[Sharing | None]) -> Sharing | None:
    """Each word from the first entry that has it; None where nobody says anything."""
    said = [entry for entry in entries if entry is not None and entry != _NOTHING]
    if not said:
        return None
    return Sharing(
        next((entry.coalesce for entry in said if entry.coalesce is not None), None),
        next((entry.cache for entry in said if entry.cache is not None), None),
    )


def wish_for(sharing: Sharing | None, call: Call, defaults: Defaults, head: Head, *, zdr: bool) -> Wish:
    """What is to be done for this call; its client has the last word. `zdr`: nothing of it may be kept."""
    said = sharing or _NOTHING
    asked = _all(head, "x-tollkeeper-coalesce").strip().lower()
    coalesce = said.coalesce if asked not in ("true", "false") else asked == "true"
    rules = said.cache if said.cache is not None and said.cache.ttl_seconds else None
    control = _directives(_all(head, "cache-control"))
    only_kept = ONLY_IF_CACHED in control
    if not _may_be_alike(call):
        return Wish(bypassed=rules is not None, only_kept=only_kept)
    is_kept = rules is not None and not zdr and "no-store" not in control and not _wants_address(call, defaults)
    if rules is None or not is_kept or not (rules.when == "always" or is_exact(call, defaults)):
        return Wish(bool(coalesce), bypassed=rules is not None, only_kept=only_kept)
    max_age = _seconds(control.get("max-age"))
    reads = "no-cache" not in control and max_age > 0
    return Wish(bool(coalesce), rules, reads=reads, max_age=max_age, only_kept=only_kept)


def is_exact(call: Call, defaults: Defaults) -> bool:
    """Whether the same answer is meant whenever it is asked: no chance is wanted in it, or a seed is given."""
    if call.endpoint.name in _ALWAYS_ALIKE:
        return True
    given = dict(defaults)
    temperature, seed = (_value(call, given, name) for name in ("temperature", "seed"))
    return (isinstance(temperature, int | float) and temperature == 0) or seed is not None


def digest_of(call: Call, defaults: Defaults, head: Head, *of_caller: object) -> bytes:
    """Equal for calls that want the same answer: where they go and all they say, whatever the order of members and the
    white space between them."""
    found = hashlib.blake2b(digest_size=32)
    told = sorted((name.lower(), value) for name, value in head if not _is_silent(name.lower()))
    known = msgspec.json.encode([defaults, *of_caller])
    for part in (call.endpoint.name, call.path, call.query, repr(told), known):
        text = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        found.update(b"%d:%b" % (len(text), text))
    found.update(_canonical(call.body))
    return found.digest()


def was_lowered(adjusted: Iterable[str], defaults: Defaults, cap: int | None) -> bool:
    """Whether money has set a reply's limit of tokens: another time it may be another."""
    usual = {value.decode() for name, value in defaults if name in MAX_FIELDS} | {str(cap)}
    found = (text.partition("=") for text in adjusted)
    return any(name in MAX_FIELDS and value not in usual for name, _, value in found)


def _may_be_alike(call: Call) -> bool:
    """Not what adds to something at the provider, or runs on there; nor what is no JSON."""
    document = call.document
    if document is None or call.method != "POST":
        return False
    return not ("conversation" in document.values and document.value("conversation")) and not (
        "background" in document.values and document.value("background")
    )


def _wants_address(call: Call, defaults: Defaults) -> bool:
    """Whether pictures are told by addresses, which are good for an hour only. DALL·E does so unasked."""
    if not call.endpoint.draws:
        return False
    asked = _value(call, dict(defaults), "response_format")
    return bool(asked == "url" or (asked is None and "dall-e" in (call.model or "")))


def _value(call: Call, defaults: dict[str, bytes], name: str) -> Any:
    assert call.document is not None
    if name in call.document.values:
        return call.document.value(name)
    return msgspec.json.decode(defaults[name]) if name in defaults else None


def _canonical(body: bytes) -> bytes:
    if _LONG_NUMBER.search(body):  # which would lose digits
        return body
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body  # something only its provider may read


def _all(head: Head, name: str) -> str:
    """What a header says, on however many lines (RFC 9110 5.3)."""
    return ",".join([value for found, value in head if found.lower() == name])


def _directives(text: str) -> dict[str, str]:
    """Of a Cache-Control header (RFC 9111 5.2)."""
    parts = (part.partition("=") for part in text.lower().split(","))
    return {name.strip(): value.strip(' "\t') for name, _, value in parts}


def _seconds(text: str | None) -> float:
    return inf if text is None or not text.isdigit() else float(text)


def _is_silent(name: str) -> bool:
    return name in _SILENT or name.startswith(_SILENT_PREFIXES)
