"""Calls made for jobs: by the line of every other call, in the name of the key that asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from multidict import CIMultiDict

from proxy.errors import CallEnded
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.jobs.result_connection import ResultConnection
from proxy.stores.jobs.job_rows import Job
from proxy.web.client.api import Api
from proxy.web.client.heads import Head, read_head
from proxy.web.client.senders import Sender
from proxy.wire.endpoints import endpoint_for, speaks_anthropic, split_path
from proxy.wire.headers import PRIORITY
from proxy.wire.marks import SESSIONS, TAGS


class Calls:
    """Knows which calls a crash interrupted, as the journal was read at the start."""

    def __init__(self, api: Api, books: Bookkeeping, opened: Callable[[str, str], str]) -> None:
        """`opened` opens what was sealed at its place."""
        self._opened = opened
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

    def begin(self, job: Job, body: bytes, request_id: str, connection: ResultConnection) -> bool:
        """Make a call; False where its key does not exist any more, or belongs to another tenant."""
        caller = self._api.parts.keys.owning(job.key)
        if caller is None:
            return False
        self._api.begin(connection, Sender(head_of_job(job, self._opened), caller), body, request_id)
        return True

    def cut(self, request_id: str) -> None:
        """End a call, which its reply says."""
        self._api.cut(request_id, CallEnded("This job was cancelled."))

    def was_sent(self, request_id: str) -> bool:
        """Whether a call has reached a provider, as far as journal and ledger know."""
        if request_id in self._held:
            return True
        return any(row.provider for row in self._files.find(request_id))


# what is of the connection, or of the way a call was asked for
_NOT_KEPT = frozenset({"prefer", "idempotency-key", "content-length", "expect", "host", "x-stainless-read-timeout"})

# a line of a batch has no head of its own, but the marks of its batch
OF_A_LINE = (("Content-Type", "application/json"), (PRIORITY, "batch"))
_MARKS = frozenset((TAGS, *SESSIONS))


def head_place(job_id: str) -> str:
    """What the headers of a job's call are sealed as."""
    return f"jobs.{job_id}.head"


def kept_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is kept of a request's head for a call that is made later."""
    return [(str(name), value) for name, value in headers if name.lower() not in _NOT_KEPT]


def marks_among(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The session and the tags of a batch, which are those of each of its lines."""
    return [(str(name), value) for name, value in headers if name.lower() in _MARKS]


def head_text(headers: Iterable[tuple[str, str]]) -> str:
    """Kept headers as JSON in ASCII: bytes that are no text stay what they are."""
    return json.dumps(list(headers))


def head_of_job(job: Job, opened: Callable[[str, str], str]) -> Head:
    """The head of a job's calls: the one it came with, else that of a line. Raises `StoreError`."""
    if not job.head:
        return head_of_line(job.endpoint)
    return head_for(job.endpoint, [(name, value) for name, value in json.loads(opened(head_place(job.id), job.head))])


def head_of_line(url: str) -> Head:
    """The head of a line of a batch for `url`."""
    return head_for(url, OF_A_LINE)


def head_for(url: str, headers: Iterable[tuple[str, str]]) -> Head:
    """The head of a request to `url`, a path with its prefix, read as every other: its provider, tags and session count."""
    path, query, _ = split_path(url)
    kept = CIMultiDict(headers)
    told = speaks_anthropic(url, has_version="anthropic-version" in kept)
    return read_head("POST", (path, query), endpoint_for("POST", path), kept, ([], told))
