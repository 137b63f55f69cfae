"""Who sends a head is known again by what somebody reads of it; what only passes may differ every time."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.exchange.prepared import Prepared
from proxy.policy.values import Caller, Listen, Plan
from proxy.stores.secrets.hash_key import keyed_hash
from proxy.web.client.heads import read_head
from proxy.web.client.keys import Keyring
from proxy.web.client.senders import MOST_DIGESTS, MOST_PREPARED_BYTES, Heads, Sender
from proxy.web.guard import Guard, cors_headers, refuse_what_cannot_pass
from proxy.wire.body_template import BodyTemplates
from proxy.wire.call import Call
from proxy.wire.endpoints import endpoint_for, speaks_anthropic
from proxy.wire.json_object import read_object
from proxy.wire.marks import UNMARKED
from proxy.wire.request_head import is_heeded, parted

PATH = "/chat/completions"
ENDPOINT = endpoint_for("POST", PATH)
HASH_KEY = b"k" * 32
LONG = b'{"messages":[],"n":%d,"tools":[' + b"1," * 50_000 + b"1]}"
ANN, BOB = (Caller(name, key_hmac=keyed_hash(HASH_KEY, name)) for name in ("ann", "bob"))


class Watched(CIMultiDict[str]):
    """`asked`: the names of all that was asked for."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def getall(self, key: str, default: Any = ()) -> Any:
        self.asked.add(key)
        return super().getall(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_whatever_is_read_where_requests_are_let_in_is_part_of_an_outline() -> None:
    """Else a request would be taken for one that says otherwise."""
    headers = Watched(
        [
            ("Host", "localhost"),
            ("Origin", "http://localhost"),
            ("x-tollkeeper-webhook", "https://a.example/"),
            ("x-tollkeeper-webhook-secret", "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ]
    )
    request: Any = make_mocked_request("POST", "/v1" + PATH)
    request._headers = headers
    Guard(Listen(port=8655)).check(request)
    cors_headers(request)
    refuse_what_cannot_pass(request, PATH)
    speaks_anthropic(request.raw_path, has_version="anthropic-version" in request.headers)
    Keyring([ANN], HASH_KEY, is_open=True).caller(headers)
    with pytest.raises(Exception, match="key"):
        Keyring([ANN], HASH_KEY).caller(headers)
    read_head("POST", (PATH, ""), ENDPOINT, headers, ([], False))
    assert len(headers.asked) > 15
    assert [name for name in headers.asked if not is_heeded(name)] == []


class Clients:
    """Send heads to those that are known, and have them learnt as the HTTP library reads them."""

    def __init__(self) -> None:
        self.heads = Heads()
        self.keys = Keyring([ANN, BOB], HASH_KEY)

    def send(self, *lines: str, key: str = "ann", begins: bool = True) -> Sender | None:
        """Who sends such a head; None where the library is to read it."""
        text = "\r\n".join([f"POST /v1{PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *lines, "", ""])
        parts = parted(text.encode())
        found = self.heads.senders.get(text.encode()) or self.heads.recognised(
            parts.outline, text.encode(), parts, self.keys, begins
        )
        if found is None:
            headers = CIMultiDict(line.split(": ", 1) for line in text.split("\r\n")[1:-2])
            self.heads.learn(parts.outline, parts.values, read_head("POST", (PATH, ""), ENDPOINT, headers, ([], False)))
        return found


@pytest.fixture
def clients() -> Clients:
    clients = Clients()
    for number in range(2):
        assert clients.send(f"x-trace: {number}", "A: b") is None
    return clients


def test_every_value_passes_as_it_came(clients: Clients) -> None:
    for number in range(5):
        sender = clients.send(f"x-trace: t{number}", "A: b")
        assert sender is not None
        assert sender.caller is ANN
        assert list(sender.head.incoming.headers) == [("Host", "x"), ("x-trace", f"t{number}"), ("A", "b")]


def test_what_bodies_needed_is_known_whatever_passes(clients: Clients) -> None:
    bodies = [sender.bodies for number in range(3) if (sender := clients.send(f"x-trace: t{number}", "A: b"))]
    assert len(bodies) == 3
    assert bodies[0] is bodies[1] is bodies[2]
    other = clients.send("x-trace: t9", "A: b", key="bob")
    assert other is not None
    assert other.caller is BOB
    assert other.bodies is not bodies[0]


def test_what_comes_again_is_known_by_all_of_it(clients: Clients) -> None:
    first, second, third = (clients.send("x-trace: same", "A: b") for _ in range(3))
    assert first is not second
    assert second is third
    assert second is not None
    assert second.head.incoming.headers[1] == ("x-trace", "same")


def test_a_head_whose_body_is_still_to_come_has_not_come(clients: Clients) -> None:
    for begins in (False, False, True):
        assert clients.send("x-trace: same", "A: b", begins=begins) is not None
        assert clients.heads.senders == {}


def test_what_bodies_needed_is_known_however_often_values_come(clients: Clients) -> None:
    first, second, third = (clients.send(f"x-trace: {value}", "A: b") for value in ("new", "same", "same"))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.bodies is second.bodies is third.bodies
    assert first.head.prepared is third.head.prepared


def test_another_key_has_the_head_in_common(clients: Clients) -> None:
    one, other = clients.send("x-trace: 1", "A: b"), clients.send("x-trace: 1", "A: b", key="bob")
    assert one is not None
    assert other is not None
    assert one.head is other.head


@pytest.mark.parametrize("key", ["nobody", ""])
def test_who_has_no_key_is_not_known(clients: Clients, key: str) -> None:
    assert clients.send("x-trace: 1", "A: b", key=key) is None


@pytest.mark.parametrize(
    "line", ["Prefer: respond-async", "x-session-id: s", "x-tollkeeper-priority: batch", "Origin: x", "B: b"]
)
def test_what_somebody_reads_is_read(clients: Clients, line: str) -> None:
    assert clients.send("x-trace: 1", "A: b", line) is None


def test_of_what_never_comes_again_memory_has_an_end(clients: Clients) -> None:
    for number in range(MOST_DIGESTS + 10):
        clients.send(f"x-trace: {number:x}", "A: b")
    assert len(clients.heads.senders) <= 2
    assert len(clients.heads._came) <= MOST_DIGESTS


def test_what_bodies_needed_takes_no_more_than_so_many_bytes(clients: Clients) -> None:
    """As where every one of many sessions has long tools of its own."""
    templates, kept = BodyTemplates(), 0
    while (sender := clients.send("x-trace: 1", "A: b")) is not None:
        body = LONG % kept
        templates.learn(ENDPOINT, read_object(body), ("m", False, (), ()))
        template = templates.find(ENDPOINT, body)
        assert template is not None
        call = Call(ENDPOINT, PATH, "", "POST", b"", template=template)
        clients.heads.keep(sender, Prepared(template, call, Plan((), "m"), UNMARKED, (), None))
        kept += 1
        assert kept * 100_000 <= MOST_PREPARED_BYTES
    assert kept * 210_000 > MOST_PREPARED_BYTES
    assert clients.heads.senders == {}


def test_what_keys_have_in_common_is_counted_once(clients: Clients) -> None:
    templates, body = BodyTemplates(), LONG % 0
    templates.learn(ENDPOINT, read_object(body), ("m", False, (), ()))
    template = templates.find(ENDPOINT, body)
    assert template is not None
    call, plan = Call(ENDPOINT, PATH, "", "POST", b"", template=template), Plan((), "m")
    for number in range(MOST_PREPARED_BYTES // 99_000):
        sender = clients.send("x-trace: 1", "A: b")
        assert sender is not None, number
        clients.heads.keep(sender, Prepared(template, call, plan, UNMARKED, (str(number),), None))
