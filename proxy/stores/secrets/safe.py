"""Where what clients sent and got is sealed from: everybody's data key, which goes to the ledger when it is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from proxy.stores.ledger.writer import Writer
from proxy.stores.secrets.sealing import Sealer
from proxy.stores.settings import DataKey, keep_data_key

Sealing = Callable[[], Sealer]  # whoever seals now; the master keys may be others than a moment ago


class Safe:
    """From any thread."""

    def __init__(self, sealing: Sealing, writer: Writer) -> None:
        self._sealing = sealing
        self._writer = writer

    def seal(self, place: str, text: str) -> tuple[str, list[Future[None]]]:
        """The sealed text, and what is done once its data key is in the ledger. Raises `StoreError`."""
        sealer = self._sealing()
        sealer.begin(time.time())
        sealed = sealer.seal("", place, text, int(time.time() * 1000))
        return sealed, [self._kept(sealer, key) for key in sealer.fresh()]

    def open(self, place: str, sealed: str) -> str:
        """The text again. Raises `Unreadable`."""
        return self._sealing().open("", place, sealed)

    def _kept(self, sealer: Sealer, key: DataKey) -> Future[None]:
        future = self._writer.submit(partial(keep_data_key, key=key))
        future.add_done_callback(lambda done: None if done.cancelled() or done.exception() else sealer.kept([key]))
        return future
