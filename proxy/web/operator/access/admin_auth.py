"""Who may ask at the admin port: Host and Origin first, then the token or the login, then what its role may."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from aiohttp.web_request import BaseRequest
from msgspec.structs import replace

from proxy.errors import InvalidApiKey, RateLimitExceeded
from proxy.policy.operators import Operator
from proxy.policy.values import Listen, Settings
from proxy.stores.audit import Deed
from proxy.web.faults import RoleNotSufficient
from proxy.web.guard import Guard
from proxy.web.operator.access.actor import Actor
from proxy.web.operator.access.cookies import PAGE_HEADER, Holder, Sessions
from proxy.web.operator.access.guesses import Guesses
from proxy.web.operator.access.rights import Right, may, who_may

REASON_HEADER = "x-tollkeeper-reason"
ANYBODY = "anybody"
HEALTH = ("/healthz", "/readyz")
_METRICS = "/metrics"
_WANTED = (
    "The admin port wants a token: 'Authorization: Bearer TOKEN' (`admin: token:`, or `tollkeeper admins create`)."
)
_NONE_SET = (
    "This changes something, which wants an admin token; none is set (`admin: token:`, or `tollkeeper admins create`)."
)


class AdminAuth:
    """Health is everybody's. On loopback so are the metrics, and whatever is only read while there are no `admins:` and
    no logins. All else wants a token, and a role that may.

    `failed` are wrong tokens since it was last emptied: who tried what, as the audit has it.
    """

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self.failed: list[Deed] = []
        self.login = settings.login
        self.sessions = sessions
        self._listen = settings.admin
        self._guard = Guard(settings.admin, has_pages=True)
        self._guesses = Guesses()
        self._is_local = _is_local(settings.admin)
        self._by_token: dict[bytes, Operator] = {}
        self._reads_freely = False
        self.take_on(settings)

    def take_on(self, settings: Settings) -> None:
        """Other operators from now on; where the port listens takes a restart."""
        self._by_token = {one.token_sha256: one for one in settings.admins.values()}
        if settings.admin_token is not None:
            owner = Operator("", "owner", _sha256(settings.admin_token.reveal()))
            self._by_token[owner.token_sha256] = owner
        self._guard = Guard(_also_at(self._listen, settings.login.url), has_pages=True)
        is_same, self.login = settings.login.oidc == self.login.oidc, settings.login
        self.sessions.keep(lambda holder: self._is_living(holder) if holder.token_sha256 else is_same)
        self._reads_freely = self._is_local and not settings.admins and settings.login.oidc is None

    @property
    def has_tokens(self) -> bool:
        """Whether there is any admin token."""
        return bool(self._by_token)

    def check_origin(self, request: BaseRequest) -> None:
        """Raise `HostNotAllowed` or `OriginNotAllowed`."""
        self._guard.check(request)

    def check(self, request: BaseRequest, right: Right) -> Actor:
        """Who asks. Raises `HostNotAllowed`, `OriginNotAllowed`, `InvalidApiKey`, `RateLimitExceeded` or
        `RoleNotSufficient`."""
        self.check_origin(request)
        actor = stranger(request)
        if request.path in HEALTH or (self._is_local and request.path == _METRICS):
            return actor
        found = self.known(request)
        if found is None:
            if self._reads_freely and right.verb == "read":
                return actor
            raise InvalidApiKey(_WANTED if self._by_token else _NONE_SET)
        allow(found, right)
        return found

    def known(self, request: BaseRequest) -> Actor | None:
        """Whose token or login this is; None where none is given, or a wrong one. Raises `RateLimitExceeded`."""
        actor, token = stranger(request), _bearer(request)
        holder = self._logged_in(request) if token is None else self.holder(token, request)
        if holder is None:
            return None
        return Actor(holder.name, actor.source, actor.reason, holder.role, holder.tenant)

    async def told(self, request: BaseRequest, actor: Actor, lines: AsyncGenerator[Any]) -> AsyncGenerator[Any]:
        """What is told piece by piece, as long as what the actor came with lasts."""
        async with aclosing(lines):
            async for line in lines:
                if not self._lasts(request, actor):
                    return
                yield line

    def _lasts(self, request: BaseRequest, actor: Actor) -> bool:
        if actor.name == ANYBODY:
            return self._reads_freely
        if (token := _bearer(request)) is None:
            return self._logged_in(request) is not None
        found = self._living(_sha256(token))
        return found is not None and (found.role, found.tenant) == (actor.role, actor.tenant)

    def _logged_in(self, request: BaseRequest) -> Holder | None:
        """Whose login this is, as long as the token lasts that it was made with."""
        holder = self.sessions.find(request.cookies, request.headers.get(PAGE_HEADER), time.monotonic())
        return None if holder is None or (holder.token_sha256 and not self._is_living(holder)) else holder

    def holder(self, token: str, request: BaseRequest) -> Holder | None:
        """Whose token this is; a wrong one is counted. Raises `RateLimitExceeded`."""
        if not self._by_token:
            return None  # there is nothing to guess
        self._slow_down(request)
        found = self._living(_sha256(token))
        if found is None:
            self._was_wrong(request)
            return None
        name = f"admin {found.name}" if found.name else "the admin token"
        return Holder(name, found.role, found.tenant, found.token_sha256)

    def redeem(self, link: str, request: BaseRequest) -> Holder | None:
        """Whose link this is; a wrong one is counted. Raises `RateLimitExceeded`."""
        self._slow_down(request)
        found = self.sessions.redeem(link, time.monotonic())
        if found is None:
            self._was_wrong(request)
        return found

    def _slow_down(self, request: BaseRequest) -> None:
        """Raise `RateLimitExceeded` where too many wrong ones came from."""
        if (seconds := self._guesses.wait_seconds(stranger(request).source, time.monotonic())) > 0:
            sentence = f"Too many wrong tokens came from this address; try again in {seconds:.0f} s."
            raise RateLimitExceeded(sentence, retry_after=seconds)

    def _was_wrong(self, request: BaseRequest) -> None:
        actor = stranger(request)
        self._guesses.wrong(actor.source, time.monotonic())
        self.failed.append(actor.deed("login.failed", f"{request.method} {request.path}"))

    def _living(self, token_sha256: bytes) -> Operator | None:
        """Whose it is, as long as it lasts; what is compared is of no use to who measures how long that takes."""
        found = self._by_token.get(token_sha256)
        is_over = found is not None and found.expires_ms is not None and time.time() * 1000 >= found.expires_ms
        return None if is_over else found

    def _is_living(self, holder: Holder) -> bool:
        """Whether the token somebody has logged in with is as good as it was then."""
        found = self._living(holder.token_sha256)
        return found is not None and (found.role, found.tenant) == (holder.role, holder.tenant)


def stranger(request: BaseRequest) -> Actor:
    """Whoever asks, before anybody knows them."""
    return Actor(ANYBODY, request.remote or "a socket", request.headers.get(REASON_HEADER, ""))


def allow(actor: Actor, right: Right) -> None:
    """Raise `RoleNotSufficient` where the actor's role has not this right, or their tenant cannot have it."""
    if not may(actor.role, right):
        what = f"may not {right.verb} {right.resource}"
        raise RoleNotSufficient(f"The role {actor.role} of {actor.name} {what}; that takes the role {who_may(right)}.")
    if actor.tenant is not None and not right.by_tenant:
        raise RoleNotSufficient(
            f"{actor.name} is bound to the tenant {actor.tenant}, and this cannot be told by tenant; "
            "that takes an admin of no tenant."
        )


def _also_at(listen: Listen, url: str | None) -> Listen:
    """Where the admin port listens, and answers to the name browsers know it by."""
    if url is None:
        return listen
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return replace(listen, hosts=(*listen.hosts, parts.hostname or ""), origins=(*listen.origins, origin))


def _bearer(request: BaseRequest) -> str | None:
    """The token of its own that a request brings."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _is_local(listen: Listen) -> bool:
    """Whether only this machine can reach the listener."""
    if listen.socket is not None or listen.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen.host.strip("[]")).is_loopback
    except ValueError:
        return False
