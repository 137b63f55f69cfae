"""Calls made for jobs: by the line of every other call, in the name of the key that asked."""

from __future__ import annotations

import math
from collections.abc import Iterable

from proxy.dialects import Incoming
from proxy.exchange.bookkeeping import Bookkeeping
from proxy.jobs.door import ResultDoor
from proxy.stores.jobs import Job, Task
from proxy.web.client.api import Api
from proxy.web.client.heads import Asked, Head
from proxy.wire.endpoints import endpoint_for, split_path


class Calls:
    """Knows which calls a crash interrupted, as the journal was read at the start."""

    def __init__(self, api: Api, books: Bookkeeping) -> None:
        self._api = api
        self._files = books.files
        self._held = {orphan.hold.request_id for orphan in books.orphans}

    @property
    def is_closing(self) -> bool:
        """Whether no call may begin any more."""
        return self._api.parts.closing is not None

    def next_id(self) -> str:
        """The id of a call that is to be made."""
        return self._api.next_id()

    def begin(self, job: Job, body: bytes, request_id: str, door: ResultDoor) -> bool:
        """Make a call; False where its key does not exist any more."""
        caller = self._api.parts.keys.named(job.key)
        if caller is None:
            return False
        self._api.begin(door, Asked(head_for(job.endpoint), caller, b""), body, request_id)
        return True

    def was_sent(self, task: Task) -> bool:
        """Whether the call that a line became has reached a provider, as far as journal and ledger know."""
        if task.request_id in self._held:
            return True
        return any(row.provider for row in self._files.find(task.request_id))


def head_for(url: str, headers: Iterable[tuple[str, str]] = (("Content-Type", "application/json"),)) -> Head:
    """The head of a request to `url`, a path with its prefix."""
    path, query, _ = split_path(url)
    kept = tuple(headers)
    content_type = next((value for name, value in kept if name.lower() == "content-type"), "application/json")
    return Head(
        method="POST",
        path=path,
        query=query,
        endpoint=endpoint_for("POST", path),
        cors=[],
        incoming=Incoming(kept),
        content_type=content_type,
        read_timeout_seconds=math.inf,
        speaks_anthropic=path.startswith("/messages"),
        model=None,
        route=None,
    )
