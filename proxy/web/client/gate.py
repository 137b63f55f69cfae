"""The gate before every call: how many at once, whose turn it is, and how much of bodies is read at a time.

Where nobody waits it costs a few counters. Where many do, a few calls enter with each turn of the event loop, keys in
turn: what is under way in one turn stays short, whoever floods.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable

from aiohttp.web_request import BaseRequest

from proxy.errors import Overloaded, RequestTooLarge
from proxy.exchange.io.pool import Pool
from proxy.policy.limits.turns import Turns
from proxy.web.upload import Upload

MOST_CALLS = 10_000
DESCRIPTORS = 65_536
OURS = 30
PER_TURN = 16
_FEW = 8  # whoever takes one of the last has the loop's next turn seen to: that none of its turns has more is all that counts
# What a call costs at least, in the bytes that cost as much to read.
_BYTES_OF_A_CALL = 64 * 1024
RETRY_SECONDS = 1.0


def allow_descriptors() -> None:
    """Take as many descriptors as the system lets this process have: what a shell gives by default is for programs that
    open a few files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_descriptors() -> int:
    """Four fifths of the descriptors this process may have open; the rest, `OURS` where there are few, is for files, the ledger,
    the admin port and the control socket."""
    all_of_them = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(all_of_them * 4 // 5, max(all_of_them - OURS, all_of_them // 4))


class Shares:
    """Something of which there are `most`. The last tenth is for keys that hold less than their share of all.

    A share counts everybody who holds something, and one more: there is always room for who comes new.
    """

    def __init__(self, most: int) -> None:
        self.total = 0
        self._held: dict[str, int] = {}
        self.grow_to(most)

    def grow_to(self, most: int) -> None:
        """There are so many, from now on; or so few."""
        self.most, self.ample = most, most * 9 // 10

    def take(self, key: str, amount: int = 1) -> bool:
        """Take `amount` more for a key; False, and nothing is taken, where it may not have it."""
        held, after = self._held, self.total + amount
        of_key = held.get(key, 0) + amount
        if after > self.ample:
            holders = len(held) + (key not in held)
            if after > self.most or of_key > self.most // (holders + 1):
                return False
        self.total, held[key] = after, of_key
        return True

    def give_back(self, key: str, amount: int = 1) -> None:
        """A key has `amount` less."""
        self.total -= amount
        held = self._held
        left = held[key] - amount
        if left > 0:
            held[key] = left
        else:
            del held[key]


class Gate:
    """`enter` takes one of the `calls` for a key, to be given back at its end. `bodies` are the bytes of bodies being read."""

    def __init__(self, most_body_bytes: int, pool: Pool) -> None:
        """A call has a descriptor on either side; what stands in the `pool` has one as well."""
        self._pool = pool
        self.calls = Shares(min(MOST_CALLS, most_descriptors() // 2))
        self.bodies = Shares(most_body_bytes)
        self._turns: Turns[asyncio.Future[None]] = Turns()
        self._free = PER_TURN  # so many may enter before the loop is to go round; none while somebody waits

    def enter(self, key: str, body: bytes | BaseRequest | Upload) -> Awaitable[None] | None:
        """Come in, at once or, awaiting what comes back, in turn, with a body in hand or still to be read.

        Raises `Overloaded`.
        """
        if not self.calls.take(key):
            raise Overloaded("Too many calls are under way; try again in a moment.", retry_after=RETRY_SECONDS)
        free = self._free = self._free - 1
        if free > _FEW:
            return None
        return self._few_are_free(key, body)

    def _few_are_free(self, key: str, body: bytes | BaseRequest | Upload) -> Awaitable[None] | None:
        loop = asyncio.get_running_loop()
        if self._free == _FEW:
            loop.call_soon(self._turn)
        if self._free >= 0:
            return None
        self._free, turn = 0, loop.create_future()
        to_read = 0 if isinstance(body, bytes) else body.content_length or 0
        self._turns.join(key, 1 + to_read // _BYTES_OF_A_CALL, turn)
        return self._in_turn(key, turn)

    async def _in_turn(self, key: str, turn: asyncio.Future[None]) -> None:
        try:
            await turn
        except BaseException:
            self.calls.give_back(key)
            raise

    def has_room_for(self, connections: int) -> bool:
        """Whether so many connections of clients leave a descriptor for every call's other side, as all may call at once.
        Connections to providers that wait for a call give way."""
        most = most_descriptors()
        if connections + self.calls.total + self._pool.idle_connections > most:
            self._pool.close_idle()
        return connections + self.calls.most <= most

    def _turn(self) -> None:
        """The loop has gone round: the next few may enter."""
        free = PER_TURN
        while free and (turn := self._turns.next()) is not None:
            if not turn.done():  # whose client has left
                turn.set_result(None)
                free -= 1
        self._free = free
        if free <= _FEW:
            asyncio.get_running_loop().call_soon(self._turn)


class Room:
    """What one body takes of all that are being read. `with Room(bodies, key) as room:` gives it back."""

    __slots__ = ("_bodies", "_key", "_taken")

    def __init__(self, bodies: Shares, key: str) -> None:
        self._bodies = bodies
        self._key = key
        self._taken = 0

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        if self._taken:
            self._bodies.give_back(self._key, self._taken)

    def grow(self, size: int) -> None:
        """The body has come to `size` bytes. Raises `Overloaded`, or `RequestTooLarge` where it would never fit."""
        if size > self._bodies.ample:
            allowed = f"{self._bodies.ample / 2**20:.3g} MiB"
            raise RequestTooLarge(
                f"The request body is larger than the {allowed} that one may have of `max_body_total`."
            )
        if not self._bodies.take(self._key, size - self._taken):
            raise Overloaded(
                "Too much is being sent here at once (`max_body_total`); try again in a moment.",
                retry_after=RETRY_SECONDS,
            )
        self._taken = size
