"""Roles: the table of rights as a matrix over every path of the admin port, and who is who."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY

from proxy.config.stored import sections
from proxy.policy.operators import Role
from proxy.web.operator.access.logins import LOGIN_PATHS
from proxy.web.operator.access.rights import PAGES, RIGHTS, ROLES, Resource, Right, Verb, may, right_of
from proxy.web.operator.admin_table import ROUTES, openapi

OWNER = "admin-canary-51b7"
ROLE_NAMES: tuple[Role, ...] = get_args(Role)
TOKENS = {role: f"canary-of-{role}" for role in ROLE_NAMES}
NAMES = {
    "key": "alice",
    "budget": "key:alice:total",
    "request_id": "req_x",
    "section": "models",
    "name": "m",
    "tenant": "acme",
}
# the section decides, or what the body says of it
SECTIONS = ("keys", "models", "providers", "budgets", "admins")


def ask(daemon: Daemon, method: str, path: str, token: str | None, body: Any = None) -> Reply:
    headers: Headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        reply = connection.read_head()
        if not (reply.header("content-type") or "").startswith("text/event-stream"):  # which has no end
            connection.read_body(reply, method)
        return reply


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {
        "providers": {"mock": {}},
        "admin": {"host": "127.0.0.1", "port": 0, "token": OWNER},
        "admins": {
            **{role: {"token": token, "role": role} for role, token in TOKENS.items()},
            "bound": {"token": "canary-of-bound", "role": "owner", "tenant": "acme"},
            "late": {"token": "canary-of-late", "role": "owner", "expires": "2026-01-01"},
        },
        "tenants": {"acme": {}},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "total"}]}},
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path_factory.mktemp("roles"), key=CLIENT_KEY) as running:
        yield running


def paths() -> Iterator[tuple[str, str, Right]]:
    """Every path of the port but health, and what it takes; those of settings for several sections."""
    for path, right in PAGES.items():
        yield "GET", path, right
    for route in ROUTES:
        for section in SECTIONS if "{section}" in route.path else ("models",):
            names = {**NAMES, "section": section}
            path = "/".join(names[p[1:-1]] if p.startswith("{") else p for p in route.path.split("/"))
            yield route.method, path, right_of(route.order, {"section": section} if "{section}" in route.path else {})


PATHS = list(paths())


def test_the_matrix_has_every_path() -> None:
    described = {(method.upper(), path) for path, item in openapi()["paths"].items() for method in item}
    everybodys = {("GET", "/healthz"), ("GET", "/readyz"), *LOGIN_PATHS}
    assert described == everybodys | {(r.method, r.path) for r in ROUTES} | {("GET", path) for path in PAGES}
    assert {right.resource for right in RIGHTS.values()} <= {resource for _, resource in ROLES["owner"]}


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_a_role_may_what_the_table_says_and_nothing_else(daemon: Daemon, role: Role) -> None:
    """What is allowed gets to its own answer, whatever that is; nothing here names what there is, so nothing changes."""
    for method, path, right in PATHS:
        if method == "POST" and path == "/reload" and may(role, right):
            continue  # another test reloads
        if path in ("/events", "/live") and may(role, right):
            continue  # they go on for ever
        reply = ask(daemon, method, path, TOKENS[role], {} if method in ("POST", "PATCH") else None)
        allowed = may(role, right) or path == "/metrics"  # which is everybody's on loopback
        assert (reply.status == 403) is not allowed, (role, method, path, reply.body)
        if not allowed:
            assert reply.error["code"] == "role_not_sufficient"
            assert f"may not {right.verb} {right.resource}" in reply.error["message"]
            assert TOKENS[role] not in reply.body.decode()


def test_the_table_is_the_one_of_the_design() -> None:
    """In words: design, section 16."""
    reads = {role: {resource for verb, resource in rights if verb == "read"} for role, rights in ROLES.items()}
    writes = {role: {resource for verb, resource in rights if verb == "write"} for role, rights in ROLES.items()}
    assert reads["viewer"] == {"models", "health", "usage", "calls"}
    assert reads["analyst"] == reads["viewer"] | {"costs", "analytics", "exports"}
    operated = {"keys", "budgets", "limits", "models", "routing", "jobs"}
    assert writes["operator"] == operated and reads["operator"] == reads["analyst"] | operated
    assert reads["auditor"] == {"audit", "settings history"}
    assert writes["viewer"] == writes["analyst"] == writes["auditor"] == set()
    assert all(writes["owner"] >= writes[role] and reads["owner"] >= reads[role] for role in ROLE_NAMES)


def described(words: str) -> set[str]:
    """Resources as the page of roles tells them."""
    named = {"[audit](audit.md)": "audit", "the history of settings": "settings history", " and ": ", ", "the ": ""}
    for said, meant in named.items():
        words = words.replace(said, meant)
    return set() if words == "nothing" else set(filter(None, words.split(", ")))


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below this line of the page."""
    lines = (REPOSITORY / "docs" / "roles.md").read_text().partition(f"{heading}\n")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in lines.splitlines()[1:]]


def test_the_page_says_of_every_role_what_the_table_of_rights_says() -> None:
    told: dict[str, dict[str, set[str]]] = {}
    for role, reads, changes in rows_of("| role | reads | changes |"):
        known, _, more = reads.rpartition("; ")
        former = told[known.split()[2]]["read"] if known else set()
        told[role] = {"read": former | described(more), "write": described(changes)}
    everything = {"everything"}
    assert told.pop("owner") == {"read": everything, "write": everything}
    assert told == {
        role: {verb: {resource for known, resource in ROLES[role] if known == verb} for verb in ("read", "write")}
        for role in ROLE_NAMES
        if role != "owner"
    }


def test_the_page_says_of_every_path_what_it_takes() -> None:
    """In the order of the table of rights, and of paths."""
    every = [("GET", path, right) for path, right in PAGES.items()]
    every += [(route.method, route.path, RIGHTS[route.order]) for route in ROUTES]
    expected = [
        [f"{verb} {'what the section takes' if by_section else resource}", ", ".join(paths), "yes" if by_tenant else "no"]
        for by_section in (False, True)
        for resource in get_args(Resource)
        for verb in get_args(Verb)
        for by_tenant in (True, False)
        if (paths := [
            f"`{method} {path}`"
            for method, path, right in every
            if (right.by_section, right.resource, right.verb, right.by_tenant) == (by_section, resource, verb, by_tenant)
        ])
    ]  # fmt: skip
    assert rows_of("| takes | paths | in a tenant |") == expected, as_table(expected)
    taken = {section: right_of("setting", {"section": section}).resource for section in sorted(sections())}
    rows = [
        [", ".join(f"`{section}`" for section, known in taken.items() if known == resource), resource]
        for resource in get_args(Resource)
        if resource in taken.values()
    ]
    assert rows_of("| section | takes |") == rows, as_table(rows)


def as_table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def test_with_admins_reading_wants_a_token_but_for_health_ready_and_metrics(daemon: Daemon) -> None:
    for method, path, _ in PATHS:
        for token in (None, CLIENT_KEY) if path == "/usage" else (None,):
            reply = ask(daemon, method, path, token)
            assert reply.status == (200 if path == "/metrics" else 401), path
    assert [ask(daemon, "GET", path, None).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_the_admin_token_is_owner_and_a_token_that_has_ended_is_none(daemon: Daemon) -> None:
    assert ask(daemon, "GET", "/settings", OWNER).status == 200
    assert ask(daemon, "GET", "/settings", "canary-of-late").status == 401
    row = ask(daemon, "GET", "/audit?action=login.failed", OWNER).json["rows"][0]
    assert row["target"] == "GET /settings"


@pytest.mark.parametrize("path", ["/events", "/live"])
def test_what_is_told_as_it_happens_ends_with_the_token_it_was_asked_with(daemon: Daemon, path: str) -> None:
    token, name = f"canary-of-{path[1:]}", f"/settings/admins/{path[1:]}"
    assert ask(daemon, "PUT", name, OWNER, {"token": token, "role": "analyst"}).status == 200
    with Connection(daemon.admin_port) as connection:
        host = f"127.0.0.1:{daemon.admin_port}"
        connection.send(request_bytes("GET", path, [("Authorization", f"Bearer {token}")], None, host))
        head = connection.read_head()
        assert head.status == 200
        assert ask(daemon, "DELETE", name, OWNER).status == 200
        before = daemon.chat("mock/echo", max_tokens=5).header("x-tollkeeper-request-id")
        connection.read_body(head, "GET")  # which has an end
        assert (before or "").encode() not in head.body


def test_an_admin_of_a_tenant_sees_nothing_that_is_not_told_by_tenant(daemon: Daemon) -> None:
    reply = ask(daemon, "GET", "/settings", "canary-of-bound")
    assert (reply.status, reply.error["code"]) == (403, "role_not_sufficient")
    assert "tenant acme" in reply.error["message"]


def test_what_a_body_tells_it_is_about_counts(daemon: Daemon) -> None:
    body = {"section": "providers", "name": "x", "version": 1}
    assert ask(daemon, "POST", "/settings/rollback", TOKENS["operator"], body).status == 403
    assert ask(daemon, "POST", "/settings/rollback", TOKENS["operator"], {**body, "section": "models"}).status == 404


def test_a_row_of_the_audit_names_the_admin(daemon: Daemon) -> None:
    assert ask(daemon, "PUT", "/settings/models/mine", TOKENS["operator"], "mock/echo").status == 200
    rows = ask(daemon, "GET", "/audit?action=setting.*", TOKENS["auditor"]).json["rows"]
    assert (rows[0]["actor"], rows[0]["target"]) == ("admin operator", "models.mine")
