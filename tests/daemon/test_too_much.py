"""Too much at once, on the real process: a flood by one key leaves the others their turns, their places and their bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import select
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from harness.crowd import Answer, read_answer
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.http import Connection, Ended, Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import hang, json_reply, pause, then
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]
KEYS = {"a": {"key": "sk-a"}, "b": {"key": "sk-b"}}
BODY = json.dumps(chat_body()).encode()
CHAT = "/v1/chat/completions"


def request(daemon: Daemon, key: str, body: bytes = BODY) -> bytes:
    return daemon.request(
        "POST", CHAT, [("Authorization", f"Bearer sk-{key}"), ("Content-Type", "application/json")], body
    )


def ask(daemon: Daemon, key: str, body: bytes = BODY) -> Reply:
    with daemon.connect() as connection:
        connection.send(request(daemon, key, body))
        return connection.read_reply()


class Flood:
    """Clients of key `a` that ask again as soon as they are answered, while key `b` asks one after the other."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.answers = Counter[str]()
        self._over = False

    async def run(self, clients: int, calls: int) -> None:
        """Let the flood rise, then count what either key gets until `b` has had its calls."""
        tasks = [asyncio.ensure_future(self._ask("a", 10**6)) for _ in range(clients)]
        while self.answers["a"] < clients:
            await asyncio.sleep(0.05)
        self.answers.clear()
        await self._ask("b", calls)
        self._over = True
        await asyncio.wait_for(asyncio.gather(*tasks), 60)

    async def _ask(self, key: str, calls: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.port)
        try:
            while calls and not (self._over and key == "a"):
                answer = Answer()
                writer.write(request(self.daemon, key))
                await asyncio.wait_for(read_answer(reader, answer), 60)
                if not self._over:
                    self.answers[key if answer.status == 200 else f"{key} {answer.status}"] += 1
                calls -= 1
        finally:
            writer.close()


def test_a_flood_by_one_key_leaves_another_its_turns(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    daemon = start_daemon(keys=KEYS)
    flood = Flood(daemon)
    asyncio.run(flood.run(400, 50))
    assert flood.answers["b"] == 50, "every call of the other key succeeded"
    # with everybody in one line it would be 400: a call would wait for all of those before it
    assert sum(_ended_meanwhile(daemon)) < 50 * 200, flood.answers


def _ended_meanwhile(daemon: Daemon) -> list[int]:
    """How many calls of `a` ended while each of `b`'s was with the daemon, by its own clock: clients have their own pace."""
    assert daemon.stop() == 0
    ends: dict[str, list[float]] = {"a": [], "b": []}
    took = []
    for line in daemon.log_lines():
        if line.get("event") == "call":
            began = datetime.fromisoformat(line["at"]).timestamp()
            ends[line["key"]].append(began + line["total_seconds"])
            took += [(began, ends["b"][-1])] if line["key"] == "b" else []
    ended = sorted(ends["a"])
    return [bisect(ended, end) - bisect(ended, began) for began, end in took]


@pytest.mark.parametrize("is_known", [False, True])
def test_bodies_are_read_together_up_to_their_ceiling(
    start_daemon: StartDaemon, upstream: Upstream, is_known: bool
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    daemon = start_daemon(keys=KEYS, max_body_total="4MiB")
    body = json.dumps(chat_body(user="x" * 2**20)).encode()
    with ExitStack() as stack:
        for _ in range(2 if is_known else 0):
            assert ask(daemon, "a").status == 200
        unfinished = [stack.enter_context(daemon.connect()) for _ in range(8)]
        for connection in unfinished:
            connection.send(request(daemon, "a", body)[:-1000])
        refused, waiting = _until_refused(unfinished, 5)
        for reply in refused:
            assert (reply.status, reply.error["code"]) == (503, "overloaded")
            assert reply.header("retry-after") == "1"
            assert "max_body_total" in reply.error["message"]
        assert ask(daemon, "a").status == 200, "a small body is always read"
        assert ask(daemon, "b", json.dumps(chat_body(user="x" * 200_000)).encode()).status == 200, "b has its share"
        assert ask(daemon, "a", body).error["code"] == "overloaded"
        for connection in waiting:
            connection.send(body[-1000:])
            assert connection.read_reply().status == 200
    assert ask(daemon, "a", body).status == 200, "what has been read makes room"


def test_a_body_that_would_never_fit_is_too_large_and_not_asked_for_again(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(keys=KEYS, max_body_total="1MiB")
    upstream.expect(json_reply(chat_reply()))
    assert ask(daemon, "a", json.dumps(chat_body(user="x" * 900_000)).encode()).status == 200
    refused = ask(daemon, "a", json.dumps(chat_body(user="x" * 1_000_000)).encode())
    assert (refused.status, refused.error["code"]) == (413, "request_too_large")
    assert "`max_body_total`" in refused.error["message"]
    assert (refused.header("x-should-retry"), refused.header("retry-after")) == ("false", None)


def _until_refused(connections: list[Connection], number: int) -> tuple[list[Reply], list[Connection]]:
    """The replies of so many that were refused, and those that wait."""
    refused, waiting = [], list(connections)
    while len(refused) < number:
        for connection in select.select(waiting, [], [], PATIENCE_SECONDS)[0]:
            refused.append(connection.read_reply())
            waiting.remove(connection)
    return refused, waiting


def test_calls_are_taken_as_descriptors_allow_and_the_greedy_are_refused(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(keys=KEYS, most_descriptors=250)
    upstream.expect(json_reply(chat_reply()), model="openai/quick", again=True)
    upstream.expect(hang, again=True)
    quick = json.dumps(chat_body("openai/quick")).encode()
    with ExitStack() as stack:
        for number in range(1, 91):  # nine tenths of two fifths of 250
            stack.enter_context(daemon.connect()).send(request(daemon, "a"))
            upstream.wait_for_calls(number)
        reply = ask(daemon, "a", quick)
        assert (reply.status, reply.error["code"]) == (503, "overloaded")
        assert (reply.header("retry-after"), reply.header("retry-after-ms")) == ("1", "1000")
        assert daemon.line_of(reply)["error_type"] == "policy_rate_limited"
        assert [ask(daemon, "b", quick).status for _ in range(20)] == [200] * 20
        assert daemon.metric("tollkeeper_rejections_total", key="a", reason="overloaded") == 1
    upstream.reset()


@pytest.mark.parametrize("most", [150, 64, 40])
def test_connections_beyond_the_descriptors_are_turned_away(
    start_daemon: StartDaemon, upstream: Upstream, most: int
) -> None:
    daemon = start_daemon(keys=KEYS, most_descriptors=most)
    upstream.expect(json_reply(chat_reply()), again=True)
    with ExitStack() as stack:
        idle = [stack.enter_context(daemon.connect()) for _ in range(200)]
        refused = idle[-1].read_to_end()
        assert b'"overloaded"' in refused and b"x-tollkeeper-request-id: req_" in refused
        assert daemon.metric("tollkeeper_build_info") == 1, "the admin port still answers"
    assert _soon(lambda: ask(daemon, "b").status == 200), "when they have gone there is room again"


def test_descriptors_that_run_short_are_not_told_as_a_providers_fault(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(keys=KEYS, most_descriptors=150)
    upstream.expect(then(pause(1), json_reply(chat_reply())), again=True)
    for _ in range(2):  # the second time connections to the provider stand that serve nobody
        with ExitStack() as stack:
            connections = [stack.enter_context(daemon.connect()) for _ in range(130)]
            for connection in connections:
                with contextlib.suppress(ConnectionError):  # turned away
                    connection.send(request(daemon, "a"))
            assert daemon.metric("tollkeeper_build_info") == 1, "the admin port still answers"
            answers = Counter(_answer(connection) for connection in connections)
        assert set(answers) == {(200, None), (503, "overloaded")}
        assert answers[200, None] >= 50


def test_a_flood_of_the_admin_port_leaves_the_data_port_its_connections(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(keys=KEYS, most_descriptors=250)
    upstream.expect(json_reply(chat_reply()), again=True)
    with ExitStack() as stack:
        idle = [stack.enter_context(Connection(daemon.admin_port)) for _ in range(300)]
        assert b'"overloaded"' in idle[-1].read_to_end()
        assert ask(daemon, "b").status == 200


def _answer(connection: Connection) -> tuple[int, str | None]:
    reply = connection.read_reply()
    return reply.status, None if reply.status == 200 else reply.error["code"]


def _soon(works: Callable[[], bool]) -> bool:
    """Whether it works within a hundred tries; a connection may end meanwhile."""
    for _ in range(100):
        with contextlib.suppress(Ended, ConnectionError):
            if works():
                return True
    return False


def test_the_soft_limit_of_a_shell_is_raised_to_what_the_system_allows(tmp_path: Path, upstream: Upstream) -> None:
    """`ulimit -Sn 256` before it: most shells give few, and let a process take more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY) as daemon:
            soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
            assert daemon.stop() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (soft, hard) == (min(65_536, before[1]), before[1])
