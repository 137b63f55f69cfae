"""Host against DNS rebinding, Origin against web pages: every combination that has hurt somebody."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from proxy.policy.values import Listen
from proxy.web.faults import HostNotAllowed, OriginNotAllowed
from proxy.web.guard import ALLOWED_METHODS, Guard, cors_headers

LOOPBACK = Listen(port=8655)
NAMED = Listen(host="192.0.2.7", port=8655, hosts=("Box.Example",), origins=("https://App.example/", "null"))
SIX = Listen(host="2001:db8::1", port=8655)
EVERYWHERE = Listen(host="0.0.0.0", port=8655)
EVERYWHERE_SIX = Listen(host="::", port=8655, hosts=("box.example",))
SOCKET = Listen(socket="/run/tollkeeper.sock", host="0.0.0.0")


def check(listen: Listen, *, host: str = "localhost", **headers: str) -> None:
    sent = {"Host": host, **headers}
    Guard(listen).check(make_mocked_request("POST", "/v1/chat/completions", sent))


ANSWERED = [
    (LOOPBACK, "localhost"),
    (LOOPBACK, "localhost:8655"),
    (LOOPBACK, "LOCALHOST:8655"),
    (LOOPBACK, "localhost."),
    (LOOPBACK, "localhost.:8655"),
    (LOOPBACK, "127.0.0.1"),
    (LOOPBACK, "127.0.0.1:8655"),
    (LOOPBACK, "[::1]"),
    (LOOPBACK, "[::1]:8655"),
    (NAMED, "192.0.2.7:8655"),
    (NAMED, "box.example"),
    (NAMED, "BOX.example.:80"),
    (NAMED, "localhost:1"),
    (SIX, "[2001:db8::1]:8655"),
    (SIX, "[2001:DB8::1]"),
    (EVERYWHERE, "192.0.2.7:8655"),
    (EVERYWHERE, "[2001:db8::1]:8655"),
    (EVERYWHERE, "localhost"),
    (EVERYWHERE_SIX, "10.0.0.1"),
    (EVERYWHERE_SIX, "box.example:8655"),
    (SOCKET, "anything.example"),
    (SOCKET, ""),
]


@pytest.mark.parametrize(("listen", "host"), ANSWERED)
def test_it_answers_to_its_own_names(listen: Listen, host: str) -> None:
    check(listen, host=host)


REBOUND = [
    (LOOPBACK, "evil.example"),
    (LOOPBACK, "evil.example:8655"),
    (LOOPBACK, "127.0.0.1.nip.io"),
    (LOOPBACK, "localhost.evil.example"),
    (LOOPBACK, "evil.example.localhost.evil.example"),
    (LOOPBACK, "localhost.."),
    (LOOPBACK, "0.0.0.0"),
    (LOOPBACK, "0.0.0.0:8655"),
    (LOOPBACK, "[::]"),
    (LOOPBACK, "127.0.0.2"),
    (LOOPBACK, "2130706433"),
    (LOOPBACK, "0x7f000001"),
    (LOOPBACK, "127.1"),
    (LOOPBACK, "::1"),
    (LOOPBACK, ""),
    (LOOPBACK, "user@localhost"),
    (LOOPBACK, "192.0.2.7"),
    (NAMED, "evil.example"),
    (NAMED, "sub.box.example"),
    (EVERYWHERE, "0.0.0.0"),
    (EVERYWHERE, "0.0.0.0:8655"),
    (EVERYWHERE, "[::]:8655"),
    (EVERYWHERE, "evil.example"),
    (EVERYWHERE, "192.0.2.7.nip.io"),
    (EVERYWHERE, "2130706433"),
    (EVERYWHERE_SIX, "[::]"),
    (EVERYWHERE_SIX, "0.0.0.0"),
]


@pytest.mark.parametrize(("listen", "host"), REBOUND)
def test_it_answers_to_no_other_name(listen: Listen, host: str) -> None:
    with pytest.raises(HostNotAllowed) as caught:
        check(listen, host=host)
    assert (caught.value.status, caught.value.code, caught.value.should_retry) == (403, "host_not_allowed", False)
    assert not host or host not in caught.value.message


LET_IN = [
    (NAMED, "https://app.example"),
    (NAMED, "https://APP.example"),
    (NAMED, "https://app.example/"),
    (NAMED, "null"),
    (LOOPBACK, "http://localhost:3000"),
    (LOOPBACK, "https://127.0.0.1"),
    (LOOPBACK, "http://[::1]:5173"),
    (NAMED, "http://192.0.2.7:3000"),
]


@pytest.mark.parametrize(("listen", "origin"), LET_IN)
def test_pages_of_this_machine_and_named_ones_may_ask(listen: Listen, origin: str) -> None:
    check(listen, Origin=origin)


KEPT_OUT = [
    (LOOPBACK, "https://evil.example"),
    (LOOPBACK, "null"),
    (LOOPBACK, ""),
    (LOOPBACK, "http://localhost.evil.example"),
    (LOOPBACK, "http://127.0.0.1.nip.io"),
    (LOOPBACK, "http://0.0.0.0:8655"),
    (LOOPBACK, "localhost"),
    (LOOPBACK, "file://localhost"),
    (LOOPBACK, "chrome-extension://localhost"),
    (LOOPBACK, "https://app.example"),
    (NAMED, "http://app.example"),
    (NAMED, "https://app.example:444"),
    (NAMED, "https://sub.app.example"),
    (NAMED, "https://app.example.evil.example"),
    (NAMED, "http://box.example"),
    (EVERYWHERE, "http://0.0.0.0:3000"),
    (EVERYWHERE, "http://192.0.2.7"),
    (SOCKET, "https://evil.example"),
]


@pytest.mark.parametrize(("listen", "origin"), KEPT_OUT)
def test_no_other_page_may_ask(listen: Listen, origin: str) -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        check(listen, Origin=origin)
    assert (caught.value.status, caught.value.code, caught.value.should_retry) == (403, "origin_not_allowed", False)


OWN = [
    (NAMED, "box.example", "https://box.example", True),
    (NAMED, "box.example:8656", "http://Box.Example:8656", True),
    (NAMED, "box.example", "https://box.example:444", False),
    (NAMED, "box.example", "https://sub.box.example", False),
    (NAMED, "localhost", "https://box.example", False),
    (EVERYWHERE, "192.0.2.9:8656", "http://192.0.2.9:8656", True),
    (EVERYWHERE, "192.0.2.9:8656", "http://192.0.2.9:3000", False),
    (SOCKET, "evil.example", "http://evil.example", False),
]


@pytest.mark.parametrize(("listen", "host", "origin", "is_own"), OWN)
def test_a_listener_with_pages_lets_its_own_in_under_the_name_they_have(
    listen: Listen, host: str, origin: str, is_own: bool
) -> None:
    request = make_mocked_request("POST", "/keys", {"Host": host, "Origin": origin})
    if is_own:
        Guard(listen, has_pages=True).check(request)
    else:
        with pytest.raises(OriginNotAllowed):
            Guard(listen, has_pages=True).check(request)
    with pytest.raises(OriginNotAllowed):
        Guard(listen).check(request)


@pytest.mark.parametrize("host", ["evil.example", "0.0.0.0"])
def test_a_page_that_is_let_in_still_needs_our_name(host: str) -> None:
    with pytest.raises(HostNotAllowed):
        check(LOOPBACK, host=host, Origin="http://localhost:3000")


def test_nothing_is_said_to_pages_where_no_page_asks() -> None:
    assert cors_headers(make_mocked_request("POST", "/", {"Host": "localhost"})) == []


def test_a_page_that_asks_may_read_the_reply() -> None:
    request = make_mocked_request("POST", "/", {"Origin": "https://app.example"})
    assert cors_headers(request) == [
        ("Access-Control-Allow-Origin", "https://app.example"),
        ("Vary", "Origin"),
        ("Access-Control-Expose-Headers", "*"),
    ]


@pytest.mark.parametrize(
    ("asked", "allowed"), [({}, "*"), ({"Access-Control-Request-Headers": "authorization,x-a"}, "authorization,x-a")]
)
def test_a_preflight_is_told_what_it_may_send_and_nothing_of_private_networks(
    asked: dict[str, str], allowed: str
) -> None:
    request = make_mocked_request("OPTIONS", "/", {"Origin": "https://app.example", **asked})
    headers = dict(cors_headers(request))
    assert headers["Access-Control-Allow-Methods"] == ", ".join(ALLOWED_METHODS)
    assert headers["Access-Control-Allow-Headers"] == allowed
    assert "Access-Control-Allow-Private-Network" not in headers
    assert "Access-Control-Allow-Credentials" not in headers
