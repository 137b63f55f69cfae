"""Logins of browsers: a cookie and a page's token, of which neither is enough alone; and links that begin one. They end
with the daemon.

A cookie is sent to every port of its host, and a page of another origin may have it sent; the page's token only pages
of this origin can know.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from msgspec import Struct

from proxy.policy.operators import Role

COOKIE, TLS_COOKIE = "tollkeeper_session", "__Host-tollkeeper"
PAGE_HEADER = "x-tollkeeper-page"
LINK_SECONDS = 300.0
_MOST = 1000
_MOST_LINKS = 100


class Holder(Struct, frozen=True):
    """Who has logged in: `token_sha256` is that of their admin token, b"" where a provider of identity knows them."""

    name: str
    role: Role
    tenant: str | None = None
    token_sha256: bytes = b""


class Session(Struct, frozen=True):
    """`ends_at` is monotonic seconds."""

    holder: Holder
    page_sha256: bytes
    ends_at: float


class Sessions:
    """Only hashes of cookies, pages' tokens and links are kept. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._by_cookie: dict[bytes, Session] = {}
        self._links: dict[bytes, tuple[Holder, float]] = {}

    def link(self, holder: Holder, now: float) -> str:
        """What logs them in, once and within `LINK_SECONDS`. Of too many the oldest is void."""
        link = secrets.token_urlsafe(32)
        while len(self._links) >= _MOST_LINKS:
            del self._links[next(iter(self._links))]
        self._links[_sha256(link)] = (holder, now + LINK_SECONDS)
        return link

    def redeem(self, link: str, now: float) -> Holder | None:
        """Whose link this is, this once; None where it was used, is over or never was."""
        holder, ends_at = self._links.pop(_sha256(link), (None, now))
        return holder if now < ends_at else None

    def open(self, holder: Holder, ends_at: float) -> tuple[str, str]:
        """A cookie and a page's token. Of too many the oldest is closed."""
        cookie, page = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        while len(self._by_cookie) >= _MOST:
            del self._by_cookie[next(iter(self._by_cookie))]
        self._by_cookie[_sha256(cookie)] = Session(holder, _sha256(page), ends_at)
        return cookie, page

    def find(self, cookies: Mapping[str, str], page: str | None, now: float) -> Holder | None:
        """Who this is; None where either is missing, wrong or over."""
        for name in (TLS_COOKIE, COOKIE):
            session = self._by_cookie.get(_sha256(cookies.get(name, "")))
            if session is not None and now < session.ends_at and page is not None:
                return session.holder if hmac.compare_digest(session.page_sha256, _sha256(page)) else None
        return None

    def close(self, cookies: Mapping[str, str]) -> None:
        """End it."""
        for name in (TLS_COOKIE, COOKIE):
            self._by_cookie.pop(_sha256(cookies.get(name, "")), None)

    def keep(self, stays: Callable[[Holder], bool]) -> None:
        """End those of everybody else."""
        self._by_cookie = {cookie: one for cookie, one in self._by_cookie.items() if stays(one.holder)}


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
