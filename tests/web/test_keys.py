"""Who is asking."""

from __future__ import annotations

import hashlib
import time

import pytest
from multidict import CIMultiDict

from proxy.errors import InvalidApiKey
from proxy.policy.values import Caller
from proxy.web.client.keys import NOTED_SECONDS, OPEN, Keyring


def caller(name: str, key: str) -> Caller:
    return Caller(name, key_sha256=hashlib.sha256(key.encode()).digest())


KEY, OTHER_KEY = bytes(32), b"\1" * 32
ALICE = caller("alice", "sk-alice")
BOB = caller("bob", "sk-bob")
RING = Keyring([ALICE, BOB], KEY)

ACCEPTED = [
    ([("Authorization", "Bearer sk-alice")], ALICE),
    ([("authorization", "bearer sk-bob")], BOB),
    ([("Authorization", "BEARER   sk-bob ")], BOB),
    ([("x-api-key", "sk-alice")], ALICE),
    ([("X-API-Key", " sk-alice ")], ALICE),
    ([("api-key", "sk-bob")], BOB),
    ([("Authorization", "Bearer sk-unknown"), ("x-api-key", "sk-alice")], ALICE),
    ([("Authorization", "Basic x"), ("api-key", "sk-bob")], BOB),
    ([("Authorization", "Bearer sk-alice"), ("x-api-key", "sk-bob")], ALICE),
]


@pytest.mark.parametrize(("headers", "expected"), ACCEPTED)
def test_a_key_is_known_in_every_header_that_clients_use(headers: list[tuple[str, str]], expected: Caller) -> None:
    assert RING.caller(CIMultiDict(headers)) is expected


USER = Caller("user", uid=1000)
BOTH = Caller("both", key_sha256=hashlib.sha256(b"sk-both").digest(), uid=1001)
USERS = Keyring([ALICE, USER, BOTH, Caller("gone", uid=1002, expires_ms=1)], KEY)


@pytest.mark.parametrize(
    ("headers", "uid", "expected"),
    [
        ([], 1000, USER),
        ([("Authorization", "Bearer anything")], 1000, USER),
        ([("Authorization", "Bearer sk-alice")], 1000, ALICE),
        ([], 1001, BOTH),
        ([("x-api-key", "sk-both")], None, BOTH),
        ([("x-api-key", "")], 1002, None),
        ([], 1003, None),
        ([], 0, None),
        ([], None, None),
    ],
)
def test_a_user_of_this_machine_needs_no_key(
    headers: list[tuple[str, str]], uid: int | None, expected: Caller | None
) -> None:
    if expected is None:
        with pytest.raises(InvalidApiKey):
            USERS.caller(CIMultiDict(headers), lambda: uid)
    else:
        assert USERS.caller(CIMultiDict(headers), lambda: uid) is expected
    assert USERS.caller_of(b"") is USERS.caller_of(b"Authorization: Bearer anything") is None
    assert (USERS.owning("user"), USERS.owning("gone")) == (USER, None)


REFUSED = [
    [],
    [("Authorization", "")],
    [("Authorization", "Bearer")],
    [("Authorization", "Bearer ")],
    [("Authorization", "Bearer sk-unknown")],
    [("Authorization", "Bearer sk-alice2")],
    [("Authorization", "Bearer sk-alic")],
    [("Authorization", "Bearer SK-ALICE")],
    [("Authorization", "Basic sk-alice")],
    [("Authorization", "sk-alice")],
    [("Authorization", "Bearer caf\udce9")],
    [("Authorization", "Bearer é")],
    [("Authorization", "Bearer " + hashlib.sha256(b"sk-alice").hexdigest())],
    [("x-api-key", "")],
    [("api-key", "sk-unknown")],
    [("Cookie", "sk-alice")],
    [("Proxy-Authorization", "Bearer sk-alice")],
]


def refusal(headers: list[tuple[str, str]]) -> InvalidApiKey:
    with pytest.raises(InvalidApiKey) as caught:
        RING.caller(CIMultiDict(headers))
    return caught.value


@pytest.mark.parametrize("headers", REFUSED)
def test_one_message_for_every_reason(headers: list[tuple[str, str]]) -> None:
    error = refusal(headers)
    assert error.message == refusal([]).message
    assert (error.status, error.code, error.should_retry, error.param) == (401, "invalid_api_key", False, None)
    assert "sk-" not in error.message


@pytest.mark.parametrize("headers", [[], [("Authorization", "Bearer anything")], [("x-api-key", "caf\udce9")]])
def test_without_callers_every_key_is_welcome_and_counts_as_open(headers: list[tuple[str, str]]) -> None:
    assert Keyring([], KEY).caller(CIMultiDict(headers)) is OPEN
    assert OPEN.name == "open"


def test_without_a_caller_left_nobody_is_welcome_unless_it_is_said_so() -> None:
    with pytest.raises(InvalidApiKey):
        Keyring([], KEY, is_open=False).caller(CIMultiDict({"api-key": "anything"}))
    assert Keyring([ALICE], KEY, is_open=True).caller(CIMultiDict()) is OPEN


def test_an_expired_key_is_refused_as_if_it_were_unknown() -> None:
    digest = ALICE.key_sha256
    for expires_ms, is_welcome in [(1, False), (2**62, True), (None, True)]:
        ring = Keyring([Caller("alice", key_sha256=digest, expires_ms=expires_ms)], KEY)
        if is_welcome:
            assert ring.caller(CIMultiDict({"api-key": "sk-alice"})).name == "alice"
            assert ring.used["alice"] > 1_700_000_000_000
        else:
            with pytest.raises(InvalidApiKey) as caught:
                ring.caller(CIMultiDict({"api-key": "sk-alice"}))
            assert caught.value.message == refusal([]).message
            assert ring.used == {}


def test_a_key_is_compared_by_its_hash_alone() -> None:
    made = Caller("made", key_sha256=bytes.fromhex(hashlib.sha256("gehéim".encode()).hexdigest()))
    assert Keyring(iter([made]), KEY).caller(CIMultiDict({"api-key": "gehéim"})) is made


def test_the_ring_keeps_neither_keys_nor_their_hashes_as_its_index() -> None:
    index = set(RING._callers)
    assert len(index) == 2
    assert not index & {ALICE.key_sha256, BOB.key_sha256}
    assert not index & set(Keyring([ALICE, BOB], OTHER_KEY)._callers)


@pytest.mark.parametrize("headers", [[("x-api-key", "")], []])
def test_a_caller_without_a_hash_lets_nobody_in(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidApiKey):
        Keyring([Caller("nobody")], KEY).caller(CIMultiDict(headers))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Authorization: Bearer sk-alice", ALICE),
        (b"authorization:  bearer  sk-alice ", ALICE),
        (b"x-api-key: sk-bob", BOB),
        (b"API-KEY: sk-bob", BOB),
        (b"Authorization: Bearer sk-nobody", None),
        (b"Authorization: Basic sk-alice", None),
        (b"Authorization: Bearer", None),
        (b"", None),
        (b"x-api-key: \xff", None),
    ],
)
def test_one_line_of_a_head_may_tell_who_asks(line: bytes, expected: Caller | None) -> None:
    assert [RING.caller_of(line), RING.caller_of(line)] == [expected, expected]
    assert Keyring([], KEY).caller_of(line) is OPEN


def test_a_key_told_by_its_line_expires_like_any_other() -> None:
    digest = hashlib.sha256(b"sk-alice").digest()
    ring = Keyring([Caller("alice", key_sha256=digest, expires_ms=1)], KEY)
    assert ring.caller_of(b"x-api-key: sk-alice") is None
    assert ring.used == {}


@pytest.mark.parametrize("expires_in_seconds", [None, 3600])
def test_whether_a_key_counts_is_asked_again_within_a_second(expires_in_seconds: float | None) -> None:
    before = time.time()
    expires_ms = None if expires_in_seconds is None else int((before + expires_in_seconds) * 1000)
    alice = Caller("alice", key_sha256=ALICE.key_sha256, expires_ms=expires_ms)
    found = Keyring([alice], KEY).admitted_until(alice)
    assert before + NOTED_SECONDS <= found <= time.time() + NOTED_SECONDS


def test_and_at_the_latest_when_it_expires() -> None:
    expires = round(time.time() + 0.9 * NOTED_SECONDS, 1)
    soon = Caller("soon", key_sha256=ALICE.key_sha256, expires_ms=round(expires * 1000))
    assert Keyring([soon], KEY).admitted_until(soon) == expires or time.time() >= expires
    gone = Caller("gone", key_sha256=ALICE.key_sha256, expires_ms=int(time.time() * 1000) - 1)
    assert Keyring([gone], KEY).admitted_until(gone) == 0.0
    assert Keyring([], KEY).admitted_until(OPEN) > time.time() - 1
