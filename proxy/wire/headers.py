"""Which headers cross, in each direction (wire.md appendix A as data). No allow-list: what is not named passes."""

from __future__ import annotations

from collections.abc import Iterable

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

# credentials and traces of the client, and what the sending side sets anew
_NEVER_UPSTREAM = HOP_BY_HOP | {
    "accept-encoding",
    "api-key",
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "origin",
    "referer",
    "via",
    "x-api-key",
}
_NEVER_UPSTREAM_PREFIXES = ("x-forwarded-", "cf-")

# OpenAI's account routing, meaningless and telling elsewhere
_ONLY_OPENAI = frozenset({"openai-organization", "openai-project"})

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

_CONTROLS = {code: None for code in (*range(0x00, 0x09), *range(0x0A, 0x20), 0x7F)}


def to_upstream(incoming: Iterable[tuple[str, str]], *, openai: bool) -> Headers:
    """The client's headers that go upstream; `openai` says whether the provider is of that kind."""
    headers = list(incoming)
    dropped = _named_by_connection(headers)
    if not openai:
        dropped = dropped | _ONLY_OPENAI
    return [
        (name, value)
        for name, value in headers
        if (low := name.lower()) not in _NEVER_UPSTREAM
        and low not in dropped
        and not low.startswith(_NEVER_UPSTREAM_PREFIXES)
    ]


def to_client(incoming: Iterable[tuple[str, str]]) -> Headers:
    """The upstream's headers that reach the client, control characters taken out of their values."""
    headers = list(incoming)
    dropped = _named_by_connection(headers)
    return [
        (name, _clean(value))
        for name, value in headers
        if (low := name.lower()) not in _NEVER_TO_CLIENT
        and low not in dropped
        and not low.startswith(_NEVER_TO_CLIENT_PREFIXES)
    ]


def replaced(headers: Headers, new: Iterable[tuple[str, str]]) -> Headers:
    """`headers` with every header of `new` in place of those of the same name."""
    new = list(new)
    names = {name.lower() for name, _ in new}
    return [pair for pair in headers if pair[0].lower() not in names] + new


def _clean(value: str) -> str:
    return value if value.isprintable() else value.translate(_CONTROLS)


def _named_by_connection(headers: Headers) -> frozenset[str]:
    """Every name listed in `Connection` is hop-by-hop as well (RFC 9110 7.6.1)."""
    return frozenset(
        token.strip().lower() for name, value in headers if name.lower() == "connection" for token in value.split(",")
    )
