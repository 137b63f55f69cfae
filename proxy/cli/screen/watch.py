"""Asks the daemon again and again, in a thread of its own: whatever it takes to answer, keys are heard."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import click
import msgspec
from msgspec import Struct

from proxy.cli.client import ask, running_since
from proxy.cli.home import Home
from proxy.cli.screen.snapshot import Snapshot, snapshot
from proxy.web.operator.timestamps import moment_ms

_PATIENCE = 10.0  # seconds
_HOUR_MS = 3_600_000
_USAGE_EVERY = 5.0  # seconds; it makes the daemon bring its ledger up to date


class Gone(Struct, frozen=True):
    """The daemon gave no answer; the sentence says why."""

    sentence: str


class Done(Struct, frozen=True):
    """What became of an order."""

    sentence: str


News = Snapshot | Gone | Done


class Source:
    """The daemon of one configuration. What cannot be answered raises click.ClickException."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._usage: dict[str, Any] = {}
        self._usage_due = 0.0

    def answers(self) -> dict[str, Any]:
        """Everything `top` shows, by the name of the order; usage may be some seconds old."""
        found = {name: self.ask(name) for name in ("live", "providers", "budgets")}
        if time.monotonic() >= self._usage_due:
            zone = self._home.zone
            since = {"usage": int(time.time() * 1000) - _HOUR_MS, "today": moment_ms("today", zone, is_end=False)}
            self._usage = {name: self.ask("usage", by="key", since_ms=begin) for name, begin in since.items()}
            self._usage_due = time.monotonic() + _USAGE_EVERY
        return {**found, **self._usage}

    def snapshot(self) -> Snapshot:
        """The same as values."""
        try:
            return snapshot(self.answers(), running_since(self._home))
        except msgspec.ValidationError as error:
            raise click.ClickException(f"the daemon is of another version: {error}") from None

    def ask(self, order: str, **params: Any) -> dict[str, Any]:
        """One order."""
        return ask(self._home, order, params, _PATIENCE)


class Watch:
    """`news` fills by itself inside the block; `wake` is called after each."""

    def __init__(self, source: Source, interval: float, wake: Callable[[], None]) -> None:
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._source = source
        self._interval = interval
        self._wake = wake
        self._to_end: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # nobody waits for it: an answer that is under way at the end is of no interest
        self._thread = threading.Thread(target=self._run, name="ask the daemon", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._to_end.put(None)

    @property
    def is_alive(self) -> bool:
        """Whether there will be more news."""
        return self._thread.is_alive()

    def end(self, request_id: str) -> None:
        """Have a call ended; what became of it is news."""
        self._to_end.put(request_id)

    def _run(self) -> None:
        try:
            while self._once():
                pass
        finally:
            self._wake()

    def _once(self) -> bool:
        """Look again when it is time, or at once after an order; False at the end."""
        with suppress(queue.Empty):
            request_id = self._to_end.get(timeout=self._interval)
            if request_id is None:
                return False
            self._tell(self._ended(request_id))
        self._tell(self._looked())
        return True

    def _tell(self, news: News) -> None:
        self.news.put(news)
        self._wake()

    def _ended(self, request_id: str) -> Done:
        try:
            self._source.ask("end", request_id=request_id)
            return Done(f"ended {request_id}")
        except click.ClickException as error:
            return Done(error.message)

    def _looked(self) -> Snapshot | Gone:
        try:
            return self._source.snapshot()
        except click.ClickException as error:
            return Gone(error.message)
