"""Logins at a provider of identity: OpenID Connect's authorization code with PKCE, state and nonce.

Whatever the provider sends is checked: the signature of its token by the keys it publishes, for whom it is, until when, and
that it answers the question this browser asked. Its library is imported by the first login.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from proxy.config.checks import is_loopback
from proxy.exchange.io.tls import client_context
from proxy.policy.operators import Group, Oidc

if TYPE_CHECKING:
    from aiohttp import ClientSession

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_ANSWER_SECONDS = 10.0
_PENDING_SECONDS = 600.0
_MOST_PENDING = 1000
_MOST_BYTES = 2**20
_KNOWN_SECONDS = 3600.0
_LEEWAY_SECONDS = 60


class LoginFailed(Exception):
    """Nobody has logged in; the message says why, in a sentence without what the provider sent."""


class About(Struct, frozen=True):
    """What a provider says of itself, as far as it matters (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Tokens(Struct, frozen=True):
    """What a code is exchanged for."""

    id_token: str
    access_token: str = ""


class Question(Struct, frozen=True):
    """A login under way. `binder_sha256` is of what only the browser that asked has; `ends_at` is monotonic seconds."""

    nonce: str
    verifier: str
    redirect_uri: str
    to: str
    binder_sha256: bytes
    ends_at: float


class Asked(Struct, frozen=True):
    """Where the browser is to go, and what it is to keep until it comes back."""

    url: str
    binder: str


class Known(Struct, frozen=True):
    """Who has logged in, what they may (None: nothing), and where the browser wanted to go."""

    name: str
    group: Group | None
    to: str


class Identity:
    """One provider of identity. Raises `LoginFailed`."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self._pending: dict[str, Question] = {}
        self._about: tuple[About, float] | None = None
        self._keys: tuple[list[dict[str, Any]], float] = ([], 0.0)

    async def ask(self, redirect_uri: str, to: str) -> Asked:
        """Begin a login."""
        async with self._client() as client:
            about = await self._known(client)
        state, nonce, verifier, binder = (secrets.token_urlsafe(32) for _ in range(4))
        now = time.monotonic()
        self._pending = {name: one for name, one in self._pending.items() if now < one.ends_at}
        while len(self._pending) >= _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[state] = Question(nonce, verifier, redirect_uri, to, _sha256(binder), now + _PENDING_SECONDS)
        query = {
            "response_type": "code",
            "client_id": self.oidc.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.oidc.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _base64(_sha256(verifier)),
            "code_challenge_method": "S256",
        }
        return Asked(_with_query(about.authorization_endpoint, query), binder)

    async def answer(self, query: Mapping[str, str], binder: str) -> Known:
        """End a login: what the user is called, and the first of their groups that has a role."""
        question = self._pending.pop(query.get("state", ""), None)
        if question is None or time.monotonic() >= question.ends_at:
            raise LoginFailed("This login is unknown here, or took too long; begin again at /auth/login.")
        if not hmac.compare_digest(question.binder_sha256, _sha256(binder)):
            raise LoginFailed("This login was begun by another browser; begin again at /auth/login.")
        if "error" in query or "code" not in query:
            raise LoginFailed("The provider of identity has refused the login.")
        if query.get("iss", self.oidc.issuer).rstrip("/") != self.oidc.issuer.rstrip("/"):
            raise LoginFailed("The answer is of another provider of identity than was asked (RFC 9207).")
        async with self._client() as client:
            about = await self._known(client)
            tokens = await self._exchange(client, about, query["code"], question)
            claims = await self._claims(client, about, tokens.id_token, question.nonce)
            told = claims if self.oidc.groups_claim in claims else await self._user(client, about, tokens, claims)
        return Known(_name_in({**told, **claims}), self._group(told), question.to)

    def _group(self, claims: Mapping[str, Any]) -> Group | None:
        """The first of the configured groups that the user is in."""
        found = claims.get(self.oidc.groups_claim)
        theirs = {found} if isinstance(found, str) else {one for one in found or () if isinstance(one, str)}
        return next((group for group in self.oidc.groups if group.name in theirs), None)

    async def _claims(self, client: ClientSession, about: About, id_token: str, nonce: str) -> dict[str, Any]:
        """What the token says, once all of it is checked."""
        import jwt  # seldom wanted

        try:
            key = await self._key(client, about, jwt.get_unverified_header(id_token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                id_token,
                jwt.PyJWK(key).key,
                algorithms=[key["alg"]] if key.get("alg") in _ALGORITHMS else _ALGORITHMS,
                audience=self.oidc.client_id,
                issuer=about.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError):
            raise LoginFailed(
                "The token of the provider of identity is not valid: signature, issuer, audience or time."
            ) from None
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise LoginFailed("The token of the provider of identity answers another login.")
        if claims.get("azp", self.oidc.client_id) != self.oidc.client_id:
            raise LoginFailed("The token of the provider of identity is for another client.")
        return claims

    async def _key(self, client: ClientSession, about: About, kid: object) -> dict[str, Any]:
        """The key that has signed; an unknown one may be new."""
        keys, at = self._keys
        found = [key for key in keys if kid is None or key.get("kid") == kid]
        if not found or time.monotonic() - at > _KNOWN_SECONDS:
            told = await self._json(client, about.jwks_uri)
            keys = [key for key in told.get("keys", ()) if isinstance(key, dict) and key.get("use", "sig") == "sig"]
            self._keys = (keys, time.monotonic())
            found = [key for key in keys if kid is None or key.get("kid") == kid]
        if not found:
            raise LoginFailed("The token of the provider of identity is signed by a key it does not publish.")
        return found[0]

    async def _exchange(self, client: ClientSession, about: About, code: str, question: Question) -> Tokens:
        """The tokens for a code, as this client."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": question.redirect_uri,
            "code_verifier": question.verifier,
        }
        headers, secret = {}, self.oidc.client_secret
        if secret is not None and "client_secret_basic" in about.token_endpoint_auth_methods_supported:
            pair = f"{quote(self.oidc.client_id, safe='')}:{quote(secret.reveal(), safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self.oidc.client_id
            form |= {} if secret is None else {"client_secret": secret.reveal()}
        told = await self._json(client, about.token_endpoint, headers, form)
        try:
            return msgspec.convert(told, Tokens)
        except msgspec.ValidationError:
            raise LoginFailed("The provider of identity gave no token for the login.") from None

    async def _user(
        self, client: ClientSession, about: About, tokens: Tokens, claims: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What it says of the user beside the token, of the same user."""
        if about.userinfo_endpoint is None or not tokens.access_token:
            return {}
        told = await self._json(client, about.userinfo_endpoint, {"Authorization": f"Bearer {tokens.access_token}"})
        return told if told.get("sub") == claims["sub"] else {}

    async def _known(self, client: ClientSession) -> About:
        """What the provider says of itself, asked once an hour."""
        now = time.monotonic()
        if self._about is None or now - self._about[1] > _KNOWN_SECONDS:
            told = await self._json(client, self.oidc.issuer.rstrip("/") + "/.well-known/openid-configuration")
            try:
                about = msgspec.convert(told, About)
            except msgspec.ValidationError:
                raise LoginFailed("What answers at `auth.oidc.issuer` is no provider of identity.") from None
            if about.issuer.rstrip("/") != self.oidc.issuer.rstrip("/"):
                raise LoginFailed("The provider of identity says it is another than `auth.oidc.issuer`.")
            self._about = (about, now)
        return self._about[0]

    def _client(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        return ClientSession(
            connector=TCPConnector(ssl=client_context(self.oidc.ca_file), force_close=True),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=_ANSWER_SECONDS),
        )

    async def _json(
        self,
        client: ClientSession,
        url: str,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A JSON object of the provider's, over TLS unless it is on this machine."""
        from aiohttp import ClientError

        parts = urlsplit(url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise LoginFailed("The provider of identity must be reached over https:.")
        method = "GET" if form is None else "POST"
        try:
            async with client.request(method, url, headers=headers, data=form, allow_redirects=False) as reply:
                raw = await reply.content.read(_MOST_BYTES)
                if reply.status != 200:
                    raise LoginFailed(f"The provider of identity has answered {reply.status} at {parts.path}.")
            found: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
            return found
        except (ClientError, TimeoutError, OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
            raise LoginFailed("The provider of identity cannot be reached, or answers what nobody can read.") from None


def _name_in(claims: Mapping[str, Any]) -> str:
    """What the user is called: the address if it is theirs, else a name that does not change."""
    if isinstance(claims.get("email"), str) and claims.get("email_verified") is not False:
        return str(claims["email"])
    return str(claims.get("preferred_username") or claims["sub"])


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
