"""Calls under way whose replies others want as well: what goes out to a client is taken in beside, and who waits is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.exchange.client_connection import ClientConnection
from proxy.exchange.stand_ins import Before, Reading

# of a reply's body; also how far a client may fall behind one that is shared with it
MOST_BYTES = 8 * 2**20


class Flight:
    """A call under way, or just over, by its request id."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self._waiting: list[asyncio.Future[None]] = []

    async def news(self) -> None:
        """Until there is more to know of it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def wake(self) -> None:
        """Tell whoever waits."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class Recording(Before):
    """Stands before the client's connection and takes in what goes out over it. `client_left` hears that
    the client has, and says whether the call goes on all the same, `ended` hears that it is over, `heard` that more has gone out."""

    def __init__(
        self,
        connection: ClientConnection,
        client_left: Callable[[], bool],
        ended: Callable[[], None],
        heard: Callable[[], None] | None = None,
    ) -> None:
        self.reading = Reading(MOST_BYTES)
        self.client_left = client_left
        self.ended = ended
        super().__init__(connection)
        self._heard = heard

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the client has gone, and nobody else wants them."""
        self.reading.feed(data)
        if self._heard is not None:
            self._heard()
        return self._connection.send(data) or self.client_left()

    async def drained(self) -> None:
        """Until the client has caught up, or has gone and the call goes on without it."""
        try:
            await self._connection.drained()
        except ConnectionError:
            if not self.client_left():
                raise
