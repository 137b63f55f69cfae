"""What the service manager hears, and the sockets it hands over: real sockets, real descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.notify import Notifier, keep_telling
from proxy.observe.sockets import NotAListener, inherited_sockets

ABSTRACT = "@tollkeeper-test-"


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.env = {"NOTIFY_SOCKET": name}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.settimeout(60)

    def hears(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def hears_nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"{ABSTRACT}{os.getpid()}"
    receiving = Manager(name)
    yield receiving
    receiving.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    telling = Notifier(manager.env)
    yield telling
    telling.close()


def test_ready_and_stopping_come_with_their_status(manager: Manager, notifier: Notifier) -> None:
    assert notifier.ready("no calls in flight")
    assert manager.hears() == ["READY=1", "STATUS=no calls in flight"]
    assert notifier.stopping("3 calls in flight")
    assert manager.hears() == ["STOPPING=1", "STATUS=3 calls in flight"]


def test_reloading_says_when_by_the_clock_the_manager_uses(manager: Manager, notifier: Notifier) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notifier.reloading()
    first, second = manager.hears()
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_more_time_is_asked_for_in_microseconds(manager: Manager, notifier: Notifier) -> None:
    assert notifier.extend_timeout(40.5)
    assert manager.hears() == ["EXTEND_TIMEOUT_USEC=40500000"]


def test_a_status_is_one_line_and_sent_only_when_it_is_news(manager: Manager, notifier: Notifier) -> None:
    assert notifier.status("2 calls\nREADY=1\r\nin flight")
    assert manager.hears() == ["STATUS=2 calls READY=1 in flight"]
    assert notifier.status("2 calls READY=1 in flight")
    assert manager.hears_nothing()


def test_a_status_that_is_no_utf_8_is_sent_all_the_same(manager: Manager, notifier: Notifier) -> None:
    assert notifier.status("model \udcff")
    assert manager.hears() == ["STATUS=model ?"]


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣٠"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_the_watchdog_is_fed_only_by_the_process_it_watches(env: dict[str, str], seconds: float | None) -> None:
    assert Notifier(env, pid=77).watchdog_seconds == seconds


def test_signs_of_life_come_twice_a_period_and_at_least_every_five_seconds() -> None:
    assert Notifier({"WATCHDOG_USEC": "4000000"}).interval == 2.0
    assert Notifier({"WATCHDOG_USEC": "30000000"}).interval == 5.0
    assert Notifier({}).interval == 5.0


async def test_the_event_loop_feeds_the_watchdog_again_and_again(manager: Manager) -> None:
    notifier = Notifier({**manager.env, "WATCHDOG_USEC": "20000"})
    telling = asyncio.create_task(keep_telling(notifier, lambda: "1 call in flight"))
    heard = [(await asyncio.to_thread(manager.hears))[0] for _ in range(4)]
    assert heard == ["WATCHDOG=1", "STATUS=1 call in flight", "WATCHDOG=1", "WATCHDOG=1"]
    notifier.close()
    await asyncio.wait_for(telling, 60)


async def test_without_a_manager_the_loop_is_left_alone() -> None:
    await asyncio.wait_for(keep_telling(Notifier({}), lambda: "unused"), 60)


def test_without_a_watchdog_no_sign_of_life_is_sent(manager: Manager, notifier: Notifier) -> None:
    assert not notifier.alive()
    assert manager.hears_nothing()


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234", "@", "/", "/nowhere/at/all", "/" + "x" * 400])
def test_a_missing_or_bogus_manager_never_fails(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})
    said = [notifier.ready("up"), notifier.reloading(), notifier.status("x"), notifier.alive()]
    said += [notifier.extend_timeout(1), notifier.stopping("down")]
    assert not any(said)
    notifier.close()


@given(st.text())
def test_no_text_in_the_variable_makes_it_fail(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": f"@tollkeeper-nobody{name}"})
    assert not notifier.ready("up")
    notifier.close()


def test_a_manager_that_is_gone_or_never_reads_is_not_waited_for(tmp_path: Path) -> None:
    deaf = Manager(str(tmp_path / "deaf"))
    notifier = Notifier(deaf.env)
    sent = sum(notifier.status(f"{number} calls in flight") for number in range(100_000))
    assert 0 < sent < 100_000, "the queue of a socket is bounded"
    deaf.close()
    assert not notifier.ready("up")
    notifier.close()
    assert not notifier.ready("up")


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Two listening sockets on neighbouring, inheritable descriptors, as a manager leaves them."""
    taken: list[int] = []
    for offset in range(2):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            taken.append(os.dup2(listener.fileno(), 200 + offset))
    yield taken
    for descriptor in taken:
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test has closed it


def handed(count: object, names: str | None = None, pid: object = 77) -> dict[str, str]:
    env = {"LISTEN_FDS": str(count), "LISTEN_PID": str(pid), "PATH": "/bin"}
    return env if names is None else {**env, "LISTEN_FDNAMES": names}


def take(env: dict[str, str]) -> dict[str, list[socket.socket]]:
    return inherited_sockets(env, pid=77, first=200)


@pytest.mark.parametrize(
    ("count", "names", "expected"),
    [
        (1, "data", {"data": 1}),
        (2, "data:admin", {"data": 1, "admin": 1}),
        (2, "data:data", {"data": 2}),
        (2, "data", {"data": 1, "unknown": 1}),
        (2, ":admin", {"unknown": 1, "admin": 1}),
        (2, None, {"unknown": 2}),
        (0, "data", {}),
        ("two", "data", {}),
        ("-1", "data", {}),
        ("9" * 5000, "data", {}),
        ("", "", {}),
    ],
)
def test_sockets_are_taken_over_by_name(
    descriptors: list[int], count: object, names: str | None, expected: dict[str, int]
) -> None:
    env = handed(count, names)
    found = take(env)
    assert {name: len(sockets) for name, sockets in found.items()} == expected
    assert env == {"PATH": "/bin"}, "no child may take the sockets for its own"
    for taken in chain.from_iterable(found.values()):
        assert not taken.get_inheritable()
        with socket.create_connection(taken.getsockname(), timeout=60) as client:
            served, _ = taken.accept()
            assert served.getpeername() == client.getsockname()
            served.close()
        taken.close()


def test_sockets_meant_for_another_process_are_left_alone(descriptors: list[int]) -> None:
    env = handed(2, "data", pid=78)
    assert take(env) == {}
    assert env == {"PATH": "/bin"}
    assert all(os.get_inheritable(descriptor) for descriptor in descriptors)


def test_without_variables_there_is_nothing() -> None:
    assert inherited_sockets({}) == {}


def test_a_descriptor_that_is_not_open_is_named(descriptors: list[int]) -> None:
    os.close(descriptors[1])
    with pytest.raises(NotAListener, match=r"'admin' \(descriptor 201\) .*Bad file descriptor"):
        take(handed(2, "data:admin"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])  # what had been taken is closed again


def test_a_file_is_no_socket(descriptors: list[int], tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        os.dup2(file.fileno(), 200)
    with pytest.raises(NotAListener, match="'data'.*Socket operation on non-socket"):
        take(handed(1, "data"))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["datagrams", "connected, not listening"])
def test_a_socket_that_does_not_listen_is_refused(descriptors: list[int], kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        os.dup2(other.fileno(), 200)
    with pytest.raises(NotAListener, match="no listening stream socket"):
        take(handed(1, "data"))
