"""Logging in at the admin port: at a real provider of identity (npm's oidc-provider), and by an admin token."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.setting import CLIENT_KEY
from harness.surroundings import PATIENCE_SECONDS

from proxy.policy.operators import Group, Oidc
from proxy.web.operator.access.cookies import Holder, Sessions
from proxy.web.operator.access.oidc import About, Identity, LoginFailed

jwt = pytest.importorskip("jwt")

HOME = next(
    (folder for root in (REPOSITORY, Path(os.environ.get("AGENTS_HOME", REPOSITORY)))
     if (folder := root / ".agents" / "oidc-provider" / "node_modules").exists()), None
)  # fmt: skip
wants_provider = pytest.mark.skipif(
    HOME is None or shutil.which("node") is None,
    reason="npm's oidc-provider is not here: make .agents/oidc-provider/.ready",
)
OWNER, SECRET = "admin-canary-51b7", "client-canary/+"
PUBLIC = "https://admin.example"  # nobody goes there: the browser of the test knows who is meant
CALLBACK = f"{PUBLIC}/auth/callback"


class Browser:
    """Keeps cookies, and follows nothing by itself."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}
        self.set: dict[str, str] = {}

    def ask(
        self, method: str, url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, HTTPMessage, bytes]:
        parts = urlsplit(url)
        with closing(HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)) as connection:
            sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
            body = None if form is None else urlencode(form)
            if form is not None:
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, f"{parts.path}?{parts.query}", body, sent)
            reply = connection.getresponse()
            raw = reply.read()
        for line in reply.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name], self.set[name] = morsel.value, line
        return reply.status, reply.headers, raw


class Admin:
    """The admin port of a daemon, as a browser or a program asks it."""

    def __init__(self, daemon: Daemon) -> None:
        self.root = f"http://127.0.0.1:{daemon.admin_port}"
        self.browser = Browser()

    def ask(self, method: str, path: str, page: str | None = None, token: str | None = None) -> tuple[int, Any]:
        headers = {} if page is None else {"x-tollkeeper-page": page}
        headers |= {} if token is None else {"Authorization": f"Bearer {token}"}
        status, _, body = self.browser.ask(method, self.root + path, None, headers)
        return status, json.loads(body)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider of identity, by its address."""
    assert HOME is not None
    command = ["node", str(Path(__file__).with_name("oidc_provider.mjs")), str(HOME.parent), CALLBACK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture(scope="module")
def daemon(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    groups = {"books": {"role": "auditor"}, "leads": "operator", "staff": "viewer"}
    oidc = {"issuer": provider, "client_id": "tollkeeper", "client_secret": SECRET, "groups": groups}
    config = {
        "providers": {"mock": {}},
        "admin": {"host": "127.0.0.1", "port": 0, "token": OWNER},
        "auth": {"url": PUBLIC, "oidc": oidc},
        "keys": {"alice": {"key": CLIENT_KEY}},
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path_factory.mktemp("logins"), key=CLIENT_KEY) as running:
        yield running


def come_back(admin: Admin, user: str, query: str = "") -> str:
    """Go to the provider, log in there as somebody, and return where it sends the browser, as this daemon's address."""
    status, headers, body = admin.browser.ask("GET", f"{admin.root}/auth/login{query}")
    assert status == 303, body
    theirs, url = Browser(), headers["Location"]
    forms = iter(({"prompt": "login", "login": user, "password": "x"}, {"prompt": "consent"}))
    root = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    for _ in range(10):
        status, headers, body = theirs.ask("GET", url)
        if status == 200:
            place = re.search(r'action="([^"]+)"', body.decode())
            assert place is not None, body
            url = place[1] if place[1].startswith("http") else root + place[1]
            status, headers, body = theirs.ask("POST", url, next(forms))
        assert status in (302, 303), body
        url = headers["Location"] if headers["Location"].startswith("http") else root + headers["Location"]
        if url.startswith(CALLBACK):
            return url.replace(PUBLIC, admin.root)
    raise AssertionError(f"the provider does not come to an end: {url}")


@wants_provider
def test_a_login_has_the_role_of_its_first_group_and_wants_cookie_and_page(daemon: Daemon) -> None:
    admin = Admin(daemon)
    assert admin.ask("GET", "/usage")[0] == 401  # with logins, reading wants one on loopback, too
    status, _, body = admin.browser.ask("GET", come_back(admin, "staff+leads"))
    told = json.loads(body)
    page = told.pop("page_token")
    assert (status, told) == (200, {"name": "staff+leads@example.org", "role": "operator", "tenant": None})
    kept = admin.browser.set["__Host-tollkeeper"]
    assert all(word in kept for word in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"))
    assert admin.ask("GET", "/auth/session", page) == (200, {**told, "page_token": None})
    assert admin.ask("GET", "/usage", page)[0] == 200
    assert admin.ask("DELETE", "/keys/nobody", page)[0] == 404  # an operator may
    assert admin.ask("POST", "/reload", page)[0] == 403
    for path in ("/usage", "/auth/session"):  # neither is enough alone
        assert admin.ask("GET", path)[0] == 401
        assert admin.ask("GET", path, "another")[0] == 401
        assert Admin(daemon).ask("GET", path, page)[0] == 401
    assert admin.ask("POST", "/auth/logout")[0] == 401
    cookies = {name: value for name, value in admin.browser.cookies.items() if value}
    assert admin.ask("POST", "/auth/logout", page)[0] == 200
    admin.browser.cookies = cookies
    assert admin.ask("GET", "/usage", page)[0] == 401
    rows = Admin(daemon).ask("GET", "/audit?action=login.*", token=OWNER)[1]["rows"]
    assert (rows[0]["action"], rows[0]["actor"]) == ("login.done", "staff+leads@example.org")
    assert not any(word in daemon.output + json.dumps(rows) for word in (page, SECRET, *cookies.values()))


@wants_provider
def test_a_page_of_this_port_may_be_where_the_browser_goes(daemon: Daemon) -> None:
    admin = Admin(daemon)
    status, headers, _ = admin.browser.ask("GET", come_back(admin, "books", "?to=/"))
    assert status == 303
    place, _, page = headers["Location"].partition("#page=")
    assert place == "/" and admin.ask("GET", "/audit", page)[0] == 200
    assert admin.browser.ask("GET", f"{admin.root}/auth/login?to=//evil.example")[0] == 400


@wants_provider
def test_who_has_no_group_here_may_nothing(daemon: Daemon) -> None:
    admin = Admin(daemon)
    status, _, body = admin.browser.ask("GET", come_back(admin, "strangers"))
    assert (status, json.loads(body)["error"]["code"]) == (403, "role_not_sufficient")
    assert "__Host-tollkeeper" not in admin.browser.cookies


@wants_provider
def test_an_answer_counts_once_and_for_the_browser_that_asked(daemon: Daemon) -> None:
    admin, other = Admin(daemon), Admin(daemon)
    back = come_back(admin, "leads")
    query = parse_qs(urlsplit(back).query)
    refused = [
        other.browser.ask("GET", back),  # of another browser: over with that
        admin.browser.ask("GET", back),
        admin.browser.ask("GET", f"{admin.root}/auth/callback?code={query['code'][0]}&state=unknown"),
        admin.browser.ask("GET", come_back(admin, "leads").replace("iss=", "iss=http%3A%2F%2Fevil.example%2F&was=")),
        admin.browser.ask("GET", re.sub("code=[^&]*", "error=access_denied", come_back(admin, "leads"))),
        admin.browser.ask("GET", re.sub("code=[^&]*", "code=guessed", come_back(admin, "leads"))),
    ]
    for status, _, body in refused:
        assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key"), body
    rows = Admin(daemon).ask("GET", "/audit?action=login.failed", token=OWNER)[1]["rows"]
    assert len(rows) >= len(refused) and "refused the login" in " ".join(row["reason"] for row in rows)


def test_an_admin_token_logs_in_until_it_is_revoked(tmp_path: Path) -> None:
    admins = {"ann": {"role": "viewer", "token": "canary-of-ann"}}
    config = {
        "providers": {"mock": {}},
        "admin": {"port": 0, "token": OWNER},
        "admins": admins,
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path) as daemon:
        admin = Admin(daemon)
        logged_in = json.dumps({"token": "canary-of-ann"}), {"Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", daemon.admin_port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("POST", "/auth/session", *logged_in)
            reply = connection.getresponse()
            page, kept = json.loads(reply.read())["page_token"], reply.headers["Set-Cookie"]
        assert kept.startswith("tollkeeper_session=") and "HttpOnly" in kept and "Secure" not in kept
        admin.browser.cookies = {name: one.value for name, one in SimpleCookie(kept).items()}
        assert admin.ask("GET", "/auth/session", page)[1]["name"] == "admin ann"
        assert admin.ask("POST", "/reload", page)[0] == 403
        assert admin.ask("GET", "/auth/login")[0] == 404  # there is no provider of identity
        file = daemon.folder / "config.yaml"
        file.write_text(file.read_text().replace("canary-of-ann", "canary-of-another"))
        assert admin.ask("POST", "/reload", token=OWNER)[0] == 200
        assert admin.ask("GET", "/usage", page)[0] == 401


NONCE = "nonce-of-the-login"
ABOUT = About("https://id.example", "https://id.example/auth", "https://id.example/token", "https://id.example/keys")


@pytest.fixture(scope="module")
def keys() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.asymmetric import rsa

    ours, theirs = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    return ours, theirs


def identity(key: Any) -> Identity:
    """One that knows the provider's key already, so that nothing is asked."""
    made = Identity(Oidc(ABOUT.issuer, "tollkeeper", None, ("openid",), "groups", (Group("leads", "owner"),)))
    known = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "k1", "alg": "RS256"}
    made._keys = ([known], time.monotonic())
    return made


TAMPERED: list[dict[str, Any]] = [
    {"aud": "another"},
    {"iss": "https://evil.example"},
    {"exp": 1},
    {"exp": None},
    {"nonce": "of another login"},
    {"nonce": None},
    {"aud": ["tollkeeper", "other"], "azp": "other"},
]


async def test_only_a_token_that_fits_in_every_way_is_believed(keys: tuple[Any, Any]) -> None:
    ours, theirs = keys
    now = int(time.time())
    right = {"iss": ABOUT.issuer, "sub": "u", "aud": "tollkeeper", "iat": now, "exp": now + 60, "nonce": NONCE}
    known = identity(ours)

    async def claims(token: str) -> dict[str, Any]:
        return await known._claims(None, ABOUT, token, NONCE)  # type: ignore[arg-type]

    signed = {"algorithm": "RS256", "headers": {"kid": "k1"}}
    assert (await claims(jwt.encode(right, ours, **signed)))["sub"] == "u"
    wrong = [{name: value for name, value in {**right, **change}.items() if value is not None} for change in TAMPERED]
    tokens = [jwt.encode(one, ours, **signed) for one in wrong]
    tokens.append(jwt.encode(right, theirs, **signed))
    tokens.append(jwt.encode(right, None, algorithm="none", headers={"kid": "k1"}))
    tokens.append(
        jwt.encode(right, "a secret long enough for this algorithm", algorithm="HS256", headers={"kid": "k1"})
    )
    tokens.append("no.token.atall")
    for token in tokens:
        with pytest.raises(LoginFailed):
            await claims(token)


def test_of_too_many_logins_the_oldest_ends_and_each_in_time() -> None:
    sessions = Sessions()
    cookie, page = sessions.open(Holder("ann", "viewer"), 10.0)
    kept = {"tollkeeper_session": cookie}
    assert sessions.find(kept, page, 9.0) == Holder("ann", "viewer")
    assert sessions.find(kept, page, 10.0) is sessions.find(kept, None, 0.0) is sessions.find({}, page, 0.0) is None
    for _ in range(1000):
        sessions.open(Holder("eve", "viewer"), 10.0)
    assert sessions.find(kept, page, 0.0) is None
