"""The data port: one line for every request. From the accepted head to `Exchange.serve`, and the errors back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import chain, count
from typing import cast

from aiohttp.http import HttpVersion10
from aiohttp.web_request import BaseRequest
from msgspec.structs import replace

from proxy.errors import InternalError, Overloaded, ProxyError, ShuttingDown
from proxy.exchange.client import Client
from proxy.exchange.io.deadlines import Deadlines
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.io.stepper import Stepper
from proxy.exchange.job import Job
from proxy.exchange.prepared import Prepared
from proxy.exchange.record import Ended, Record, record_of
from proxy.policy.money.weight import LONG_BYTES, are_texts, likely_tokens_of, weigh
from proxy.web.client.first_of_kind import Body, read_whole, worked_out
from proxy.web.client.heads import Head
from proxy.web.client.parts import Entrance, Parts
from proxy.web.client.request_checks import let_in
from proxy.web.client.senders import Heads, Sender
from proxy.web.closing import Answered
from proxy.web.connection import Connection
from proxy.web.errors import error_reply
from proxy.web.lane import LARGEST_BODY, Ahead
from proxy.web.upload import Upload
from proxy.wire.body_template import before_messages
from proxy.wire.endpoints import OWN
from proxy.wire.json_text import SMALL
from proxy.wire.request_head import HeadParts

_LAST_DIGITS = [f"{number:03x}" for number in range(16**3)]


class Api:
    """Answers every request of the data port. `finished` gets the record of each call and when it ended, `crashed` our own bugs."""

    def __init__(self, parts: Parts, finished: Callable[[Ended], object], crashed: Callable[[str], None]) -> None:
        self.parts = parts
        self.ahead: Ahead = parts.exchange.admission.accounting.journal
        self.outbox = parts.exchange.upstream.outbox
        parts.exchange.admission.accounting.journal.gather(self.outbox.put)
        self.hasher = blake2b(digest_size=16, key=secrets.token_bytes(32))
        self._ids = chain.from_iterable(map(partial(_ids_of, f"req_{secrets.token_hex(8)}"), count()))
        self.running: dict[Stepper, Record] = {}
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._finished = finished
        self._crashed = crashed
        self._has_left = self._left

    def known(self, digest: bytes, body_bytes: int) -> Sender | None:
        """Whose head this is the digest of, credential and all, if so large a body may be sent with it."""
        parts = self.parts
        sender = parts.heads.senders.get(digest)
        if sender is None:
            return None
        if time.time() >= sender.admitted_until:
            sender.admitted_until = parts.keys.admitted_until(sender.caller)
            if not sender.admitted_until:
                return None
        return sender if body_bytes <= parts.quick_bytes or self._may_be_so_large(sender, body_bytes) else None

    def recognised(
        self, digest: bytes, of_all: bytes, parts: HeadParts, body_bytes: int, begins: bool
    ) -> Sender | None:
        """The same of a head like one that came before, whoever sent it, by the digest of its outline; `known` has it next time,
        where its values have come before as well, in a call that `begins`."""
        sender = self.parts.heads.recognised(digest, of_all, parts, self.parts.keys, begins)
        return sender if sender is not None and self._may_be_so_large(sender, body_bytes) else None

    def _may_be_so_large(self, sender: Sender, body_bytes: int) -> bool:
        if self.parts.closing is not None or body_bytes > self.parts.max_body:
            return False
        return body_bytes <= LARGEST_BODY or _reads_all(sender.head)

    def next_id(self) -> str:
        """The id of a request that is still to begin, which no other has: a nonce of this process, and a counter."""
        return next(self._ids)

    def begin(self, connection: Entrance, sender: Sender, body: bytes | Upload, request_id: str | None = None) -> None:
        """Answer a request whose head is known."""
        head, now = sender.head, time.monotonic()
        record = Record(
            request_id or next(self._ids), now, time.time(), "reading", sender.endpoint, sender.shape,
            sender.key, sender.tenant,
        )  # fmt: skip
        if sender.is_odd:
            record.cors, record.speaks_anthropic, record.timing = head.cors, head.speaks_anthropic, sender.caller.timing
        if (call := connection.stepper) is None:
            call = connection.stepper = Stepper(self._deadlines)
        client = Client(
            connection, record, self._deadlines, head.method, head.is_http_1_0, head.keeps, call, self._has_left
        )
        connection.client, self.running[call] = client, record
        call.run(self._line(client, record, sender, body), connection.answered)

    async def answer(self, request: BaseRequest) -> Answered:
        """Answer any other request, read off the wire by the HTTP library."""
        record, connection = record_of(self.next_id()), cast(Connection, request.protocol)
        is_http_1_0, call = request.version == HttpVersion10, Stepper(self._deadlines)
        client = Client(
            connection, record, self._deadlines, request.method, is_http_1_0, request.keep_alive, call, self._left
        )
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.begin(client)
        self.running[call] = record
        call.run(self._line(client, record, None, request), partial(_tell, over))
        try:
            await over
        except asyncio.CancelledError:
            client.stepper.cancel()
            raise
        finally:
            connection.finish()
        return Answered(keeps=client.keeps and not client.gone)

    def _left(self, client: Client) -> None:
        """A client has gone, which is nothing to a call whose reply is kept for it."""
        if not client.takers or not client.client_left():
            self.parts.drainer.left(client.stepper, client.record)

    async def _line(self, client: Client, record: Record, sender: Sender | None, body: Body) -> None:
        """One request, from its head to its last byte. No sender: its head is still to be judged."""
        parts = self.parts
        entered: str | None = None
        try:
            if (sender := sender or let_in(parts, cast(BaseRequest, body), client, record)) is None:
                return
            if (turn := parts.gate.enter(sender.key, body)) is not None:
                await turn
            entered = sender.key
            body = await read_whole(parts, body, record) if type(body) is Upload else body
            if job := _as_before(parts, sender, body, record) or await worked_out(parts, sender, body, client, record):
                body = b""  # which is read by now: a long stream need not keep it
                await parts.exchange.serve(client, job)
        except ProxyError as error:
            self._refuse(error, client, body)
        except asyncio.CancelledError:
            if record.cut_by is None or record.client_left is not None:
                raise
            if parts.closing is not None:
                parts.closing.cut += 1
            self._refuse(record.cut_by, client, body)
        except Exception:
            self._crashed(record.request_id)
            self._refuse(InternalError("A bug in Tollkeeper; its log has the details."), client, body)
        finally:
            client.over()
            del self.running[client.stepper]
            if record.client_left is not None:
                parts.drainer.ended(client.stepper)
            if entered is not None:
                parts.gate.calls.give_back(entered)
            record.held = record.findings = None  # which know it: such rings would be left to the garbage collector
            if record.error is not None or parts.closing is not None:
                self._note_end(record)
            if record.unsettled:  # a look-up delays it
                record.when_settled = partial(self._finished, (record, time.monotonic()))
            elif record.endpoint != "health":
                self._finished((record, time.monotonic()))

    def cut(self, request_id: str, error: ProxyError) -> bool:
        """End a call under way with an error its client is told; False where there is no such call."""
        for call, record in self.running.items():
            if record.request_id == request_id:
                record.cut_by = error
                return call.cancel()
        return False

    def cut_all(self, error: ProxyError) -> None:
        """End every call under way."""
        for call, record in list(self.running.items()):
            record.cut_by = error
            call.cancel()

    def _note_end(self, record: Record) -> None:
        if (
            self.parts.closing is not None
            and record.endpoint != "health"
            and not isinstance(record.error, ShuttingDown)
        ):
            self.parts.closing.finished += 1
        if record.error is not None and record.key is not None and not record.calls:
            self.parts.exchange.admission.refused.note(record)

    def _refuse(self, error: ProxyError, client: Client, body: Body) -> None:
        """Say no: as a reply of its own, or inside one that has begun."""
        record = client.record
        error.__traceback__ = error.__context__ = error.__cause__ = (
            None  # whose frames hold the body, and the record of it
        )
        record.error = error
        if client.has_begun:
            client.cut(error, record.shape)
            return
        record.phase = "done" if record.phase == "reading" else record.phase
        is_unread = isinstance(body, BaseRequest) and not body.content.is_eof()
        is_last = isinstance(error, ShuttingDown) or (is_unread and isinstance(error, Overloaded))
        is_last = is_last or (isinstance(body, Upload) and body.unread)
        if is_last or error.status in (408, 413, 415, 417):
            client.keeps = False
        client.whole(error.status, *error_reply(error, client.refusal_headers(), anthropic=record.speaks_anthropic))


def _as_before(parts: Parts, sender: Sender, body: object, record: Record) -> Job | None:
    """What is asked of a provider by a call like one before; None where there was none."""
    found = sender.bodies.latest
    if found is None or type(body) is not bytes or len(body) > SMALL:
        return None
    if not body.startswith(found.template.begins) or not body.endswith(found.template.ends):
        found = _prepared_before(sender, body, found, are_texts=True)
        if found is None:
            return None
    weighed, requested, likely_tokens, template = None, found.requested, None, found.template
    if requested is not None:
        messages = template.messages_of(body) if template.hole else body[template.messages]
        if messages is not None and _are_texts(parts.heads, sender, messages):
            likely_tokens = likely_tokens_of(body, requested)
    if requested is not None and likely_tokens is not None:
        text_tokens = len(body) + requested.tools_tokens
    else:
        found = _prepared_before(sender, body, found, are_texts=False) if len(body) <= LARGE else None
        if found is None:
            return None
        weighed = weigh(replace(found.call, body=body), found.plan.defaults)
        if weighed.requested.tools.asked:
            return None  # which models those are is judged where a call is like none before
        requested, text_tokens, likely_tokens = weighed.requested, weighed.text_tokens, weighed.likely_tokens
    call, plan, head = replace(found.call, body=body), found.plan, sender.head
    until = record.started + head.read_timeout_seconds
    record.model, record.stream = call.model, call.stream
    record.marks, record.label = found.marks, plan.label
    return Job(
        call, requested, text_tokens, likely_tokens, sender.caller, plan, head.incoming, record, until, found.scopes, found.scopes,
        head.rank, found, weighed,
    )  # fmt: skip


def _are_texts(heads: Heads, sender: Sender, messages: bytes) -> bool:
    if len(messages) <= LONG_BYTES:
        return are_texts(messages)
    return heads.conversations.are_texts(sender.key, messages)


def _prepared_before(sender: Sender, body: bytes, latest: Prepared, *, are_texts: bool) -> Prepared | None:
    """What was worked out for bodies like this one. That messages in brackets `are_texts`, which proves that it is like
    that, is for whoever asks to see."""
    bodies = sender.bodies
    others = bodies.by_before and bodies.by_before.get(before_messages(body, latest.template.member))
    for found in others or (latest,):
        template = found.template
        if (are_texts and body.startswith(template.begins) and body.endswith(template.ends)) or template.fits(body):
            bodies.latest = found
            return found
    return None


def _ids_of(nonce: str, number: int) -> Iterator[str]:
    """The next 4,096 ids; to put a number into each takes several times as long."""
    return map(f"{nonce}{number:05x}".__add__, _LAST_DIGITS)


def _reads_all(head: Head) -> bool:
    """Whether the body of such a request is read here, and nowhere else."""
    return head.method == "POST" and head.endpoint.name not in OWN


def _tell(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
