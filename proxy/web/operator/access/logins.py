"""Logging in and out at the admin port: by an admin token, or at a provider of identity."""

from __future__ import annotations

import re
import time
from html import escape

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response
from msgspec import Struct

from proxy.errors import InvalidApiKey, InvalidValue, ProxyError, UnknownEndpoint, UpstreamBadResponse
from proxy.web.body import read_body
from proxy.web.errors import SERVER_NAME, error_response
from proxy.web.faults import RoleNotSufficient
from proxy.web.operator.access.actor import Actor
from proxy.web.operator.access.admin_auth import AdminAuth, stranger
from proxy.web.operator.access.cookies import COOKIE, TLS_COOKIE, Holder
from proxy.web.operator.access.oidc import Identity, LoginFailed
from proxy.web.operator.access.trail import Trail
from proxy.web.reading import in_words, member_of

LOGIN_PATHS = frozenset(
    {
        ("GET", "/auth/login"),
        ("GET", "/auth/callback"),
        ("GET", "/auth/link"),
        ("GET", "/auth/session"),
        ("GET", "/auth/ways"),
        ("POST", "/auth/session"),
        ("POST", "/auth/logout"),
    }
)
# where a link or a provider of identity leads a browser, which shows whoever sits there what comes back
_OF_BROWSERS = frozenset({("GET", "/auth/login"), ("GET", "/auth/callback"), ("GET", "/auth/link")})
_REFUSED = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollkeeper</title>
<h1>Not logged in</h1>
<p>{}</p>
<p><a href="../">To the dashboard</a></p>
"""
_BINDER = "tollkeeper_login"
_BINDER_SECONDS = 600
_MOST_BODY = 2**14
_OWN_PAGE = re.compile(r"/(?:[\w-]+/?)*", re.ASCII)


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An admin token."""

    token: str


class LoginAnswer(Struct, frozen=True):
    """Who has logged in, and what they may. `page_token` goes with every request, in the header x-tollkeeper-page; it is
    told by the login alone."""

    name: str
    role: str
    tenant: str | None
    page_token: str | None = None


class WaysAnswer(Struct, frozen=True):
    """How one can log in here: by an admin token, at a provider of identity."""

    token: bool
    oidc: bool


class Logins:
    """Whatever stands in `LOGIN_PATHS`; everybody may ask."""

    def __init__(self, auth: AdminAuth, trail: Trail) -> None:
        self._auth = auth
        self._trail = trail
        self._identity: Identity | None = None

    async def answer(self, request: BaseRequest) -> Response:
        """One request; Host and Origin were looked at."""
        match request.method, request.path:
            case "GET", "/auth/login":
                return await self._begin(request)
            case "GET", "/auth/callback":
                return await self._end(request)
            case "GET", "/auth/link":
                return await self._by_link(request)
            case "POST", "/auth/session":
                return await self._by_token(request)
            case "GET", "/auth/ways":
                ways = WaysAnswer(token=self._auth.has_tokens, oidc=self._auth.login.oidc is not None)
                return _json(ways)
        known = self._auth.known(request)
        if known is None:
            raise InvalidApiKey("Nobody has logged in: send the cookie and the header x-tollkeeper-page, or a token.")
        if request.method == "GET":
            return _answer(Holder(known.name, known.role, known.tenant))
        self._auth.sessions.close(request.cookies)
        response = _answer(Holder(known.name, known.role, known.tenant))
        for name in (COOKIE, TLS_COOKIE):
            response.del_cookie(name, path="/", secure=name == TLS_COOKIE)
        return response

    async def _by_token(self, request: BaseRequest) -> Response:
        try:
            body = msgspec.json.decode(await read_body(request, _MOST_BODY), type=LoginBody)
        except msgspec.DecodeError as error:
            wrong = in_words(error, LoginBody)
            told = f"The body must be a JSON object with the member token: {wrong}."
            raise InvalidValue(told, param=member_of(wrong)) from None
        holder = self._auth.holder(body.token.strip(), request)
        if holder is None:
            raise InvalidApiKey("This is no admin token, or it has ended.")
        return await self._open(request, holder, None)

    async def _by_link(self, request: BaseRequest) -> Response:
        """One of `tollkeeper dashboard`, which leads to the dashboard."""
        holder = self._auth.redeem(request.query.get("token", ""), request)
        if holder is None:
            raise InvalidApiKey("This link was used, or is too old; `tollkeeper dashboard` prints another.")
        return await self._open(request, holder, "/")

    async def _begin(self, request: BaseRequest) -> Response:
        """To the provider of identity, and back to `to`, a path of this port, where that is given."""
        identity, to = self._provider(), request.query.get("to", "")
        if to and not _OWN_PAGE.fullmatch(to):
            raise InvalidValue("`to` must be a path of the admin port.", param="to")
        base = self._auth.login.url or f"{'https' if self._is_tls(request) else 'http'}://{request.host}"
        try:
            asked = await identity.ask(f"{base}/auth/callback", to)
        except LoginFailed as error:
            raise UpstreamBadResponse(str(error)) from None
        response = Response(status=303, headers={**dict([SERVER_NAME]), "Location": asked.url})
        secure = self._is_tls(request)
        response.set_cookie(
            _BINDER, asked.binder, path="/auth", httponly=True, samesite="Lax", secure=secure, max_age=_BINDER_SECONDS
        )
        return response

    async def _end(self, request: BaseRequest) -> Response:
        """Back from the provider of identity."""
        identity, who = self._provider(), stranger(request)
        try:
            found = await identity.answer(dict(request.query), request.cookies.get(_BINDER, ""))
        except LoginFailed as error:
            await self._tell(who, "login.failed", str(error))
            raise InvalidApiKey(str(error)) from None
        if found.group is None:
            sentence = f"{found.name} is in none of the groups that have a role here (`auth.oidc.groups`)."
            await self._tell(who, "login.failed", sentence)
            raise RoleNotSufficient(sentence)
        holder = Holder(found.name, found.group.role, found.group.tenant)
        response = await self._open(request, holder, found.to)
        response.del_cookie(_BINDER, path="/auth")
        return response

    async def _open(self, request: BaseRequest, holder: Holder, to: str | None) -> Response:
        """A session: its cookie, and the page's token in the answer, or behind the # of the page to go to."""
        seconds, secure = self._auth.login.session_seconds, self._is_tls(request)
        cookie, page = self._auth.sessions.open(holder, time.monotonic() + seconds)
        await self._tell(Actor(holder.name, stranger(request).source, "", holder.role, holder.tenant), "login.done")
        response = _answer(holder, page)
        if to:
            headers = {"Location": f"{to}#page={page}", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            response = Response(status=303, headers={**dict([SERVER_NAME]), **headers})
        name = TLS_COOKIE if secure else COOKIE
        response.set_cookie(
            name, cookie, path="/", httponly=True, samesite="Strict", secure=secure, max_age=int(seconds)
        )
        return response

    async def _tell(self, actor: Actor, action: str, reason: str = "") -> None:
        self._trail.note(
            [actor.deed(action, actor.role if action == "login.done" else "/auth/callback", reason=reason)]
        )
        await self._trail.catch_up()

    def _provider(self) -> Identity:
        """That of the configuration in force."""
        oidc = self._auth.login.oidc
        if oidc is None:
            raise UnknownEndpoint("There is no provider of identity to log in at (`auth: oidc:`).")
        if self._identity is None or self._identity.oidc != oidc:
            self._identity = Identity(oidc)
        return self._identity

    def _is_tls(self, request: BaseRequest) -> bool:
        """Whether the browser speaks TLS, with whoever stands before us; one that says so wrongly keeps no cookie."""
        if self._auth.login.url is not None:
            return self._auth.login.url.startswith("https://")
        return request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def refused(request: BaseRequest, error: ProxyError) -> Response:
    """What the admin port says to a request it refuses: to a browser that a link or a login led here, as a page."""
    reply = error_response(error)
    if (request.method, request.path) in _OF_BROWSERS and "text/html" in request.headers.get("Accept", ""):
        reply.content_type, reply.charset, reply.text = "text/html", "utf-8", _REFUSED.format(escape(error.message))
        reply.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return reply


def _answer(holder: Holder, page: str | None = None) -> Response:
    return _json(LoginAnswer(holder.name, holder.role, holder.tenant, page))


def _json(answer: LoginAnswer | WaysAnswer) -> Response:
    headers = {**dict([SERVER_NAME]), "Cache-Control": "no-store"}
    return Response(body=msgspec.json.encode(answer), headers=headers, content_type="application/json")
