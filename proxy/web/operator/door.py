"""Who may ask at the admin port: Host and Origin first, then the token."""

from __future__ import annotations

import hmac
import ipaddress
import time

from aiohttp import web

from proxy.errors import InvalidApiKey, RateLimitExceeded
from proxy.policy.values import Listen, Settings
from proxy.web.guard import Guard
from proxy.web.operator.actor import Actor
from proxy.web.operator.guesses import Guesses

REASON_HEADER = "x-tollkeeper-reason"
HEALTH = ("/healthz", "/readyz")


class AdminDoor:
    """Off loopback everything but health wants the token, what changes something does everywhere.

    `failed` are wrong tokens since it was last emptied: who tried, as the audit has it.
    """

    def __init__(self, settings: Settings) -> None:
        self.failed: list[Actor] = []
        self._guard = Guard(settings.admin)
        self._guesses = Guesses()
        self._token = settings.admin_token
        self._is_local = _is_local(settings.admin)

    def check(self, request: web.BaseRequest, *, changes: bool) -> Actor:
        """Who asks. Raises `HostNotAllowed`, `OriginNotAllowed`, `InvalidApiKey` or `RateLimitExceeded`."""
        self._guard.check(request)
        actor = Actor("anybody", request.remote or "a socket", request.headers.get(REASON_HEADER, ""))
        if request.path in HEALTH or (self._is_local and not changes):
            return actor
        if self._token is None:
            raise InvalidApiKey("This changes something, which wants the admin token; none is set (`admin: token:`).")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_right(given.strip(), actor):
            return Actor("the admin token", actor.source, actor.reason)
        raise InvalidApiKey("The admin port wants its token: 'Authorization: Bearer TOKEN' (`admin: token:`).")

    def _is_right(self, given: str, actor: Actor) -> bool:
        now = time.monotonic()
        if (seconds := self._guesses.wait_seconds(actor.source, now)) > 0:
            sentence = f"Too many wrong tokens came from this address; try again in {seconds:.0f} s."
            raise RateLimitExceeded(sentence, retry_after=seconds)
        shown = given.encode("utf-8", "surrogateescape")
        if self._token is not None and hmac.compare_digest(shown, self._token.reveal().encode()):
            return True
        self._guesses.wrong(actor.source, now)
        self.failed.append(actor)
        return False


def _is_local(listen: Listen) -> bool:
    """Whether only this machine can reach the listener."""
    if listen.socket is not None or listen.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen.host.strip("[]")).is_loopback
    except ValueError:
        return False
