"""What every server of the harness that only takes things in is made of."""

from __future__ import annotations

import threading
from socketserver import TCPServer
from typing import Generic, Self, TypeVar

from harness.surroundings import PATIENCE_SECONDS

ItemT = TypeVar("ItemT")


class Taker(Generic[ItemT]):
    """`with` it `server` runs; `came` is what was taken so far, the oldest first."""

    def __init__(self, server: TCPServer) -> None:
        self.came: list[ItemT] = []
        self._news = threading.Condition()
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever)
        self.port = int(server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, item: ItemT) -> None:
        """One more."""
        with self._news:
            self.came.append(item)
            self._news.notify_all()

    def wait_for(self, number: int) -> list[ItemT]:
        """All of them, once there are so many."""
        with self._news:
            fits = self._news.wait_for(lambda: len(self.came) >= number, PATIENCE_SECONDS)
            assert fits, f"{len(self.came)} of {number} came: {self.came}"
            return list(self.came)
