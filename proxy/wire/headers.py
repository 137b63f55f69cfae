"""Which headers cross, in each direction (wire.md appendix A as data). No allow-list: what is not named passes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Headers = list[tuple[str, str]]

# RFC 9110 7.6.1; Proxy-Connection is sent by old clients all the same
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# credentials and traces of the client, what the sending side sets anew, and what servers that make variables of names would
# take for how the body is framed
_NEVER_UPSTREAM = HOP_BY_HOP | {
    "accept-encoding",
    "api-key",
    "authorization",
    "content-length",
    "content_length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "origin",
    "referer",
    "transfer_encoding",
    "via",
    "x-api-key",
    "x-goog-api-key",
}
# whose turn it is, where calls wait
PRIORITY = "x-tollkeeper-priority"
# where a client's webhook is, and what signs for it
HOOK, HOOK_SECRET = "x-tollkeeper-webhook", "x-tollkeeper-webhook-secret"
_CREDENTIALS = frozenset(
    {"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key", HOOK, HOOK_SECRET}
)
# OpenAI's account routing is meaningless and telling elsewhere
_NEVER_UPSTREAM_BUT_OPENAI = _NEVER_UPSTREAM | {"openai-organization", "openai-project"}
_NEVER_UPSTREAM_PREFIXES = ("x-forwarded-", "cf-", "x-tollkeeper-")

# Alt-Svc and HSTS would tell a browser to leave the local plain-HTTP port
_NEVER_TO_CLIENT = HOP_BY_HOP | {
    "alt-svc",
    "content-length",
    "content-security-policy",
    "content-security-policy-report-only",
    "date",
    "nel",
    "report-to",
    "server",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
}
_NEVER_TO_CLIENT_PREFIXES = ("access-control-", "x-tollkeeper-")

# how far a limit is spent, as OpenAI tells of it
LIMITED = "requests", "tokens"
RATE_LIMITS = frozenset(f"x-ratelimit-{figure}-{of}" for of in LIMITED for figure in ("limit", "remaining", "reset"))
_CONTROLS = {code: None for code in (*range(0x09), *range(0x0A, 0x20), 0x7F)}


def to_upstream(incoming: Iterable[tuple[str, str]], *, openai: bool) -> Headers:
    """The client's headers that go upstream; `openai` says whether the provider is of that kind."""
    never = _NEVER_UPSTREAM if openai else _NEVER_UPSTREAM_BUT_OPENAI
    return _passing(incoming, never, _NEVER_UPSTREAM_PREFIXES)


def without_credentials(incoming: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """A client's headers as they may be kept."""
    return tuple(pair for pair in incoming if pair[0].lower() not in _CREDENTIALS)


def reaches_client(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], Headers]:
    """Of a reply's headers as they came over the wire the first values by lower-case name, of lists all, and those that reach the
    client, without control characters."""
    fields: dict[str, str] = {}
    passing: Headers = []
    for name, raw_value in raw:
        low, text, passes = _way_of(name)
        value = raw_value.decode("utf-8", "surrogateescape")
        if low not in fields:
            fields[low] = value
        elif low in _LISTS:
            fields[low] += "," + value
        if passes:
            passing.append((text, value if value.isprintable() else _clean(value)))
    if fields.get("connection", "").lower() not in _USUAL_CONNECTIONS:
        passing = _passing([("connection", fields["connection"]), *passing], frozenset(), ())
    return fields, passing


# what says on several lines what it says on one, and decides how a body is read
_LISTS = frozenset({"connection", "content-encoding", "transfer-encoding"})
_USUAL_CONNECTIONS = frozenset({"", "keep-alive", "close"})


@lru_cache(maxsize=1024)
def _way_of(name: bytes) -> tuple[str, str, bool]:
    """A header's name in lower case, as it is, and whether it reaches the client."""
    text = name.decode("utf-8", "surrogateescape")
    low = text.lower()
    return low, text, low not in _NEVER_TO_CLIENT and not low.startswith(_NEVER_TO_CLIENT_PREFIXES)


def _passing(incoming: Iterable[tuple[str, str]], never: frozenset[str], prefixes: tuple[str, ...]) -> Headers:
    """What is neither dropped by name nor listed in `Connection`, which makes it hop-by-hop too (RFC 9110 7.6.1)."""
    kept: list[tuple[str, str, str]] = []
    listed: set[str] = set()
    for name, value in incoming:
        low = name.lower()
        if low == "connection":
            listed.update(token.strip().lower() for token in value.split(","))
        elif low not in never and not low.startswith(prefixes):
            kept.append((low, name, value))
    return [(name, value) for low, name, value in kept if low not in listed]


def replaced(headers: Headers, new: Iterable[tuple[str, str]]) -> Headers:
    """`headers` with every header of `new` in place of those of the same name."""
    new = list(new)
    if not new:
        return headers[:]
    names = {name.lower() for name, _ in new}
    return [pair for pair in headers if pair[0].lower() not in names] + new


def head_bytes(line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A head as it goes over the wire, of names and values without control characters. Bytes that are no UTF-8 stand in
    values as lone surrogates (PEP 383), as the parser puts them there."""
    return b"%b\r\n%b\r\n" % (line.encode("utf-8", "surrogateescape"), lines_of(headers))


def lines_of(headers: Iterable[tuple[str, str]], more: str = "") -> bytes:
    """Such headers as lines, each with its end, before `more` that are lines already."""
    # a third of what it takes to format each
    return "\r\n".join([*map(": ".join, headers), more]).encode("utf-8", "surrogateescape")


def safe(text: str) -> str:
    """Text fit for a header value and for records: printable ASCII, bounded."""
    if len(text) <= 1000 and text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:1000]


def _clean(value: str) -> str:
    return value.translate(_CONTROLS)


@lru_cache(maxsize=256)
def content_kind(content_type: str) -> str:
    """What can be read of a reply of this type: "events", "json", or "" for neither."""
    plain = content_type.partition(";")[0].strip().lower()
    if plain == "text/event-stream":
        return "events"
    return "json" if plain == "application/json" or plain.endswith("+json") else ""


def root_of(headers: Iterable[tuple[str, str]]) -> str:
    """Scheme and host by which a client reached us, "" where it named none; behind a proxy that speaks TLS, that says so."""
    told = {name.lower(): value for name, value in headers}
    host = told.get("host", "")
    scheme = "https" if told.get("x-forwarded-proto", "").strip().lower() == "https" else "http"
    return f"{scheme}://{host}" if host else ""
