"""A real receiver of webhooks, which verifies every message as the reference library does before it answers."""

from __future__ import annotations

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from harness.surroundings import PATIENCE_SECONDS
from harness.taking import Taker

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
TOKEN = "token-in-the-address"


class Receiver(Taker[dict[str, Any]]):
    """`with Receiver() as receiver:`; answers with `statuses`, one after the other, then with 204. `port` 0 is any free one.
    `location`: where a redirect would lead; `retry_after` goes with every answer; `hangs`: nothing is answered before the end. `raw` are the bodies as they came,
    with their headers."""

    def __init__(self, *statuses: int, port: int = 0, secret: str | bytes = SECRET) -> None:
        self.statuses = deque(statuses)
        self.ids: list[str] = []
        self.raw: list[tuple[bytes, dict[str, str]]] = []
        self.location = ""
        self.retry_after = ""
        self.hangs = False
        self._end = threading.Event()
        self._verifier = Webhook(secret)
        super().__init__(ThreadingHTTPServer(("127.0.0.1", port), self._handler()))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was verified, tries that were answered with an error among it."""
        return self.came

    @property
    def hook(self) -> dict[str, Any]:
        """The entry of `alerts:` that leads here."""
        return self.entry(self.port)

    @staticmethod
    def entry(port: int) -> dict[str, Any]:
        """The same where nobody listens yet."""
        return {"url": f"http://127.0.0.1:{port}/hook?to={TOKEN}", "secret": SECRET}

    def __exit__(self, *error: object) -> None:
        self._end.set()
        super().__exit__(*error)

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        message = self._verifier.verify(body, headers)
        with self._news:
            self.ids.append(headers["webhook-id"])
            self.raw.append((body, headers))
            self.take(message)
            return self.statuses.popleft() if self.statuses else 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == f"/hook?to={TOKEN}" and self.headers["Content-Type"] == "application/json"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver._take(headers, body)
                if receiver.hangs:
                    receiver._end.wait(PATIENCE_SECONDS)
                    return
                self.send_response(status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                if receiver.retry_after:
                    self.send_header("Retry-After", receiver.retry_after)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
