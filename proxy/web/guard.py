"""Is this request meant for us? Host against DNS rebinding, Origin against web pages (trust.md T9, T10)."""

from __future__ import annotations

import ipaddress
import re

from aiohttp.web_request import BaseRequest

from proxy.errors import DuplicateKey, InvalidValue, UnknownEndpoint
from proxy.policy.values import Listen
from proxy.web.faults import HostNotAllowed, MethodNotSupported, OriginNotAllowed, UpgradeRefused
from proxy.wire.headers import Headers

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PREFLIGHT: Headers = [
    ("Access-Control-Allow-Methods", ", ".join(ALLOWED_METHODS)),
    ("Access-Control-Max-Age", "600"),
]
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:@/\[\]]+)(?::\d{0,5})?")
# what scrapers and browsers ask for by themselves is no provider's concern
_NO_CLIENTS = frozenset({"/metrics", "/favicon.ico", "/robots.txt"})
# of which another reader may take the last where we take the first; the HTTP library sees to Host and what frames a body
_TOLD_ONCE = "Authorization", "x-api-key", "api-key", "Origin"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard:
    """The names this listener answers to, and the web origins it lets in: its own where it `has_pages`."""

    def __init__(self, listen: Listen, *, has_pages: bool = False) -> None:
        bound = f"[{listen.host}]" if ":" in listen.host else listen.host
        self._any_address = listen.host in ("0.0.0.0", "::") and listen.socket is None
        self._any_host = listen.socket is not None
        self._has_pages = has_pages and not self._any_host  # where every name is let in, no page can be told by it
        self._local = _LOOPBACK if self._any_address else _LOOPBACK | {bound.lower()}
        self._hosts = self._local | {host.lower() for host in listen.hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in listen.origins)

    def check(self, request: BaseRequest) -> None:
        """Raise `HostNotAllowed` or `OriginNotAllowed`, `InvalidValue` where there is no Host at all, `DuplicateKey`
        where it is not clear who asks."""
        if "Host" not in request.headers:
            raise InvalidValue("The request has no Host header.")
        for name in _TOLD_ONCE:
            if len(set(request.headers.getall(name, ()))) > 1:
                raise DuplicateKey(f"The header {name} stands twice, with different values.", param=name)
        if not self._any_host and not self._knows(request.host):
            raise HostNotAllowed(
                "The Host header names a host this daemon does not answer to. If clients reach it by that name, "
                "add the name to `hosts:` of this listener."
            )
        origin = request.headers.get("Origin")
        if origin is None or (self._has_pages and origin.partition("://")[2].lower() == request.host.lower()):
            return
        if not self._lets_in(origin.lower().rstrip("/")):
            raise OriginNotAllowed(
                "Requests from web pages are refused. If this page may use the daemon, add its origin to `origins:`."
            )

    def _lets_in(self, origin: str) -> bool:
        """A configured origin, or a page this machine serves itself."""
        scheme, _, host = origin.partition("://")
        return origin in self._origins or (scheme in ("http", "https") and _without_port(host) in self._local)

    def _knows(self, host_header: str) -> bool:
        host = _without_port(host_header.lower()).removesuffix(".")
        return host in self._hosts or (self._any_address and _is_address(host))


def cors_headers(request: BaseRequest) -> Headers:
    """What a page whose origin was let in needs to read the reply; nothing for everybody else."""
    origin = request.headers.get("Origin")
    if origin is None:
        return []
    headers: Headers = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
    if request.method != "OPTIONS":
        return [*headers, ("Access-Control-Expose-Headers", "*")]
    wanted = request.headers.get("Access-Control-Request-Headers", "*")
    return [*headers, *_PREFLIGHT, ("Access-Control-Allow-Headers", wanted)]


def refuse_what_cannot_pass(request: BaseRequest, path: str) -> None:
    """Raise for methods that are none of the API's, for upgrades, and for what no client of an API asks for."""
    if request.method not in ALLOWED_METHODS:
        raise MethodNotSupported("This method is not part of the API.", ALLOWED_METHODS)
    if "websocket" in request.headers.get("Upgrade", "").lower():
        raise UpgradeRefused("WebSockets are not spoken here; use the same endpoint over plain HTTP.")
    if path in _NO_CLIENTS:
        raise UnknownEndpoint("There is nothing at this path; the API lives under /v1, metrics are on the admin port.")


def _without_port(host: str) -> str:
    """The host of `host[:port]`; nothing for what has no such form (user parts, trailing text)."""
    match = _AUTHORITY.fullmatch(host)
    return match[1] if match else ""


def _is_address(host: str) -> bool:
    """A listener on every address answers to each of them; rebinding needs a name."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False
