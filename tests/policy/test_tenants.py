"""Tables over what a tenant makes of its keys' calls: the nearest choice counts, every bound holds."""

from __future__ import annotations

import gc
import json
import sys
from datetime import UTC
from hashlib import sha256
from typing import Any

import pytest
from holding import take
from msgspec.structs import replace

from proxy.data import snapshot_bytes
from proxy.errors import EndpointNotServed, InvalidValue, ModelNotFound
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.account import Fits
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import GLOBAL, Budget, Limit, key_scope, tenant_scope
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import allowed_models, check_shared, choose
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import Names
from proxy.policy.privacy import keeps_nothing, preference
from proxy.policy.tenants import (
    Accounts,
    children,
    in_name_of,
    is_own,
    is_within,
    most_output,
    own_scopes,
    owner_of,
    scopes_of,
)
from proxy.policy.values import Alias, Caller, Credential, Listen, Provider, Settings, Tenant
from proxy.secret import Secret
from proxy.web.client.keys import Keyring
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import endpoint_for

SHARED = Provider(
    "openrouter",
    "openrouter",
    "https://openrouter.ai/api/v1",
    Secret("sk-shared"),
    headers=(("X-Title", "ours"), ("X-Api-Key", "sk-header")),
)
LOCAL = Provider("local", "openai", "http://127.0.0.1:11434/v1", zdr=True)
OPENAI = Provider("openai", "openai", "https://api.openai.com/v1", Secret("sk-openai"))
PROVIDERS = {one.name: one for one in (SHARED, LOCAL, OPENAI)}
TENANTS = {
    "umbrella": Tenant(
        "umbrella",
        credentials={"openrouter": Credential(Secret("sk-umbrella"), "there"), "openai": Credential(Secret("o"), "x")},
        default_model="openai/gpt-4o",
        max_output=1000,
        models=("openai/*", "anthropic/*"),
        lossy="reject",
    ),
    "acme": Tenant(
        "acme",
        "umbrella",
        credentials={"openrouter": Credential(Secret("sk-acme"), "here")},
        max_output=4000,
        models=("openai/*", "google/*"),
        zdr=True,
    ),
    "broken": Tenant("broken", credentials={"openrouter": Credential(Secret("?"), "store", "no master key")}),
    "plain": Tenant("plain"),
}
ACCOUNTS = Accounts(PROVIDERS, TENANTS)
ALICE = ACCOUNTS.resolved(Caller("alice", tenant="acme"))
NAMES = Names(
    Settings(Listen(), Listen(), "", PROVIDERS, aliases={"quick": Alias("openai/gpt-4o-mini")}),
    read_feed(snapshot_bytes()),
    {},
)


def call(path: str = "/chat/completions", **members: Any) -> Call:
    body = json.dumps({"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}], **members})
    return read_call(endpoint_for("POST", path), "POST", (path, ""), ("application/json", body.encode()))


def test_the_nearest_choice_counts_and_every_bound_holds() -> None:
    assert ALICE.scopes == ("key:alice", "tenant:acme", "tenant:umbrella", "global")
    assert (ALICE.default_model, ALICE.max_output, ALICE.lossy, ALICE.zdr) == ("openai/gpt-4o", 1000, "reject", True)
    assert ACCOUNTS.resolved(Caller("bob", tenant="acme", lossy="allow")).lossy == "allow"
    assert ACCOUNTS.resolved(Caller("carol")) == Caller("carol")
    with pytest.raises(KeyError):
        ACCOUNTS.resolved(Caller("dave", tenant="nobody"))


@pytest.mark.parametrize(
    ("tenant", "provider", "key", "whose"),
    [
        ("acme", "openrouter", "sk-acme", "acme"),
        ("acme", "openai", "o", "umbrella"),
        ("umbrella", "openrouter", "sk-umbrella", "umbrella"),
        ("plain", "openrouter", "sk-shared", ""),
        ("", "openrouter", "sk-shared", ""),
        ("gone", "openrouter", "sk-shared", ""),
    ],
)
def test_a_provider_is_reached_with_the_nearest_key(tenant: str, provider: str, key: str, whose: str) -> None:
    found = ACCOUNTS.find(provider, tenant)
    assert found is not None and found.api_key is not None
    assert (found.api_key.reveal(), found.tenant) == (key, whose)


def test_nothing_of_the_shared_account_goes_along_with_a_key_of_ones_own() -> None:
    assert ACCOUNTS.own["acme"]["openrouter"].headers == (("X-Title", "ours"),)
    assert ACCOUNTS.own["broken"]["openrouter"].api_key is None
    assert ACCOUNTS.own["broken"]["openrouter"].is_unreadable
    off = {"openrouter": replace(SHARED, shut="it is off")}
    assert Accounts(off, TENANTS).own["acme"]["openrouter"].shut == "it is off"
    lost = {"openrouter": replace(SHARED, shut="no master key", is_unreadable=True)}
    assert Accounts(lost, TENANTS).own["acme"]["openrouter"].shut == ""


@pytest.mark.parametrize(
    ("models", "asked", "allowed"),
    [
        ((), "openai/gpt-4o", True),
        ((), "quick", True),
        ((), None, True),  # umbrella's default
        ((), "google/gemini-2.5-flash", False),  # acme lets it, umbrella does not
        ((), "anthropic/claude-sonnet-4.5", False),  # the other way round
        (("quick",), "quick", True),
        (("quick",), "openai/gpt-4o", False),
        (("google/*",), "google/gemini-2.5-flash", False),  # a key cannot widen
    ],
)
def test_every_list_of_models_must_let_a_call_pass(models: tuple[str, ...], asked: str | None, allowed: bool) -> None:
    caller = ACCOUNTS.resolved(Caller("alice", models, tenant="acme"))
    if allowed:
        assert choose(caller, NAMES, asked).targets
    else:
        with pytest.raises(ModelNotFound) as refused:
            choose(caller, NAMES, asked)
        assert "google/" not in refused.value.message
    assert "google/gemini-2.5-flash" not in allowed_models(caller, NAMES)


@pytest.mark.parametrize(
    ("members", "cap"),
    [
        ({}, 1000),
        ({"max_tokens": 1000}, None),
        ({"max_tokens": None}, 1000),
        ({"max_tokens": 0}, 1000),
        ({"max_tokens": -1}, 1000),  # "no end", some servers say
        ({"max_tokens": "many"}, 1000),
        ({"max_tokens": True}, 1000),
        ({"max_output_tokens": 5000}, 1000),  # nobody reads it here
    ],
)
def test_who_sets_no_maximum_gets_the_tenants(members: dict[str, Any], cap: int | None) -> None:
    asked = call(**members)
    weight, found = most_output(ALICE, asked, weigh(asked))
    assert found == cap
    assert weight.requested.maximum == 1000


@pytest.mark.parametrize(
    "members",
    [
        {"max_tokens": 1001},
        {"max_completion_tokens": 10**400},
        {"max_tokens": 10, "max_completion_tokens": 1001},
        {"max_tokens": "1001"},
        {"max_tokens": 1000.5},
    ],
)
def test_who_asks_for_more_is_told_which_setting_is_in_the_way(members: dict[str, Any]) -> None:
    asked = call(**members)
    with pytest.raises(InvalidValue, match="1000 tokens .`tenants.acme.max_output`") as refused:
        most_output(ALICE, asked, weigh(asked))
    assert refused.value.param in members


def test_defaults_above_the_largest_output_are_lowered_and_those_below_stay() -> None:
    for text, cap in ((b"5000", 1000), (b"300", None)):
        assert most_output(ALICE, call(), weigh(call(), (("max_tokens", text),)))[1] == cap
    embeddings = call("/embeddings", input="x", max_tokens=5000)
    assert most_output(ALICE, embeddings, weigh(embeddings))[1] is None


def test_what_others_use_up_as_well_is_not_told() -> None:
    assert own_scopes(ALICE) == ("key:alice", "tenant:acme")
    assert own_scopes(Caller("carol")) == ("key:carol", "global")
    assert not is_own(ALICE, "tenant:umbrella")
    assert not is_own(ALICE, "global")
    assert is_own(Caller("carol"), "global")


def test_a_tenant_is_its_own_and_its_parents() -> None:
    assert [of for of in TENANTS if is_within(TENANTS, "acme", of)] == ["umbrella", "acme"]
    assert not is_within(TENANTS, "", "acme")
    assert is_within(TENANTS, "gone", "gone")  # rows of a tenant that is no more
    assert children(TENANTS, "umbrella") == ["acme"]


@pytest.mark.parametrize(
    ("tenant", "provider", "is_shared"),
    [
        ("acme", "openrouter", False),
        ("acme", "openai", True),
        ("umbrella", "openai", False),
        ("plain", "local", True),
        ("", "openai", False),
    ],
)
def test_what_a_provider_keeps_is_for_accounts_of_ones_own(tenant: str, provider: str, is_shared: bool) -> None:
    caller, endpoint = ACCOUNTS.resolved(Caller("alice", tenant=tenant)), endpoint_for("GET", "/files")
    if is_shared:
        with pytest.raises(EndpointNotServed, match="'files'"):
            check_shared(caller, endpoint, provider)
    else:
        check_shared(caller, endpoint, provider)


@pytest.mark.parametrize(
    ("provider", "path", "promises"),
    [
        (SHARED, "/chat/completions", True),
        (SHARED, "/messages", True),
        (SHARED, "/embeddings", True),
        (SHARED, "/images", False),
        (SHARED, "/moderations", False),
        (OPENAI, "/chat/completions", False),
        (LOCAL, "/chat/completions", True),
    ],
)
def test_where_nothing_is_kept(provider: Provider, path: str, promises: bool) -> None:
    assert keeps_nothing(provider, call(path)) is promises
    empty = Call(endpoint_for("GET", "/files"), "/files", "", "GET", b"")
    assert keeps_nothing(provider, empty)  # nothing is sent


@pytest.mark.parametrize(
    ("members", "default", "sent"),
    [
        ({}, None, {"zdr": True, "data_collection": "deny"}),
        ({"provider": None}, None, {"zdr": True, "data_collection": "deny"}),
        ({"provider": "x"}, None, {"zdr": True, "data_collection": "deny"}),
        (
            {"provider": {"order": ["azure"], "zdr": False, "data_collection": "allow"}},
            None,
            {"order": ["azure"], "zdr": True, "data_collection": "deny"},
        ),
        ({}, b'{"sort":"price"}', {"sort": "price", "zdr": True, "data_collection": "deny"}),
    ],
)
def test_the_preference_is_put_among_the_clients_own(members: Any, default: bytes | None, sent: Any) -> None:
    found = preference(SHARED, call(**members), default)
    assert json.loads(found["provider"]) == sent
    assert preference(LOCAL, call(**members), default) == {}


def test_a_preference_that_says_something_twice_is_replaced() -> None:
    body = b'{"model":"m","messages":[],"provider":{"zdr":false,"zdr":false}}'
    twice = read_call(endpoint_for("POST", "/chat/completions"), "POST", ("/chat/completions", ""), ("", body))
    assert json.loads(preference(SHARED, twice)["provider"]) == {"zdr": True, "data_collection": "deny"}


def lines_of_a_call(tenants: int, keys: int) -> int:
    """How many lines are run for the admission of one call and its end, where there are so many."""
    known = {"above": Tenant("above"), **{f"t{n}": Tenant(f"t{n}", "above", max_output=9) for n in range(tenants)}}
    accounts = Accounts(PROVIDERS, known)
    callers = [
        accounts.resolved(Caller(f"k{n}", key_sha256=sha256(b"sk-%d" % n).digest(), tenant=f"t{n % tenants}"))
        for n in range(keys)
    ]
    scopes = [GLOBAL, *(tenant_scope(name) for name in known), *(key_scope(caller.name) for caller in callers)]
    keyring = Keyring(callers, b"k" * 32)
    books = Books(Budget(f"{scope}:month", scope, "month", 10**15, UTC) for scope in scopes)
    limiter = Limiter(Limit(f"{scope}:minute", scope, "requests", 1000, "minute") for scope in scopes)
    lines = 0

    def count(frame: object, event: str, argument: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    def call_once(number: int, hold: str) -> None:
        caller = keyring.caller_of(b"Authorization: Bearer sk-%d" % number)
        assert caller is not None
        accounts.find("openrouter", caller.tenant)
        under = scopes_of(caller)
        limits = limiter.of(under)
        assert limits.take(10, 10**9) is not None
        assert isinstance(books.judge(under, caller.name, 10, 1e9), Fits)
        assert len(take(books, hold, under, caller.name, 10, 1e9)) == 4
        books.settle(hold, 7)
        limits.leave()

    before = sys.gettrace()
    gc.disable()  # who listens to it would be counted
    sys.settrace(count)
    try:
        call_once(keys - 1, "first")
        call_once(keys - 1, "second")
    finally:
        sys.settrace(before)
        gc.enable()
    return lines


def test_a_call_takes_no_more_where_there_are_a_thousand_tenants_and_ten_thousand_keys() -> None:
    assert lines_of_a_call(1000, 10_000) == lines_of_a_call(1, 1)


def test_what_is_asked_in_a_callers_name_owns_nothing_of_his() -> None:
    caller = Caller("bob", tenant="acme", owner="alice#1")
    assert owner_of(in_name_of("shadow:m", caller)) == "acme/shadow:m" != owner_of(caller)
