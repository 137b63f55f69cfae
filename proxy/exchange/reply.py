"""One upstream reply: its head, and its body whole or as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from proxy.dialects import Dialect
from proxy.errors import ProxyError, UpstreamReset
from proxy.exchange.io.off_loop import LARGE, OffLoop
from proxy.exchange.io.response import Broken, NotHttp, Response, Sink
from proxy.exchange.io.stepper import Timeout
from proxy.policy.retries.retry import Seen, Trouble, retry_after_seconds
from proxy.policy.values import Provider
from proxy.wire.error_objects import Missing, code_of, message_of, missing_from
from proxy.wire.findings import Findings
from proxy.wire.headers import Headers, lines_of, replaced, safe
from proxy.wire.long_texts import count_pictures
from proxy.wire.passing import Passing
from proxy.wire.reader import StreamReader
from proxy.wire.reply_head import ReplyHead
from proxy.wire.structs import often_set

if TYPE_CHECKING:
    from proxy.exchange.background.responses import OnDisk, Watcher
    from proxy.exchange.held import Held
    from proxy.exchange.image_calls import ImageInterpreter
    from proxy.exchange.translating import Interpreter

LARGEST_WHOLE = 8 * 2**20
LATE_SECONDS = 3.0
_NOTHING_LEFT = Response(None, 0, ReplyHead({}, []), [], True)
_SPENT_CODES = (b"insufficient_quota", b"credit_balance_exhausted")


@often_set
class Reply(Struct, eq=False):
    """What came back. `first` holds bytes read already; `whole` says that they are all.

    `reader` sees a stream's events pass; a whole JSON reply its findings read once; what passes as it came is read off the loop.
    `is_good`: all of a JSON reply with status 200 and no error in it is in hand, and passes as it came. `broken_by`: what ended it before its end. `first_byte_at`: when its head came, or a stream's first event; monotonic seconds.
    """

    head: ReplyHead
    _response: Response
    provider: Provider
    off_loop: OffLoop
    findings: Findings
    status: int
    is_event_stream: bool
    is_json: bool
    first_byte_at: float
    first: bytes = b""
    whole: bool = False
    is_good: bool = False
    _reader: StreamReader | None = None
    _passing: Passing | None = None
    ended: bool = False
    _own_type: str | None = None
    interpreter: Interpreter | ImageInterpreter | None = None
    trouble: Trouble = "none"
    settler: Held | Watcher | None = None
    broken_by: ProxyError | None = None

    @property
    def reader(self) -> StreamReader:
        """Who reads it while it passes."""
        if self._reader is None:
            self._reader = StreamReader(self.findings)
        return self._reader

    @property
    def headers(self) -> Headers:
        """The upstream's headers that may cross."""
        passed = self.head.passing
        return passed if self._own_type is None else replaced(passed, [("Content-Type", self._own_type)])

    @property
    def block(self) -> bytes:
        """The same as lines, each with its end."""
        return (self.head.lines or self.head.block) if self._own_type is None else lines_of(self.headers)

    def generation_id(self) -> str | None:
        """OpenRouter's id of this call: the header, else the body (wire.md 1.11)."""
        fields = self.head.fields
        if "x-generation-id" in fields and (told := fields["x-generation-id"]):
            return safe(told)
        return self.findings.generation_id

    @property
    def fields(self) -> dict[str, str]:
        """The first value of every header, by its name in lower case."""
        return self.head.fields

    async def read_chunk(self) -> bytes:
        """The next bytes, as they came; empty at the end. Raises `Broken` or `NotHttp`."""
        return await self._response.read()

    def forget_headers(self) -> None:
        """They are out; a long stream need not keep more than what is asked for later."""
        self.head = self._response.head = self.head.rest()

    def take(self) -> bytes | None:
        """Of a reply under way what is there; empty at the end, None where there is only `news`. Raises `UpstreamReset`."""
        try:
            chunk = self._response.take()
        except (Broken, NotHttp) as error:
            error.__traceback__ = None  # the response keeps it, and its frames this call
            raise UpstreamReset(f"{self.provider.name} broke the connection in the middle of its answer.") from None
        if chunk and self._passing is not None:
            self._passing.feed(chunk)
        elif chunk == b"":
            self.end()
        return chunk

    def news(self) -> Awaitable[None]:
        """Until more has come."""
        return self._response.news()

    def show(self, sink: Sink | None) -> None:
        """Have `sink` see first what comes; what it takes is neither news nor to be taken."""
        if self._response.sink is not sink:
            self._response.sink = sink

    async def next_chunk(self) -> bytes:
        """`take`, waited for."""
        while (chunk := self.take()) is None:
            await self.news()
        return chunk

    def end(self) -> None:
        """All has come."""
        self.ended = True
        if self._passing is not None:
            self._passing.finish()

    def is_no_stream(self) -> None:
        """What calls itself events, and is something else: pass it as it came."""
        self.is_event_stream = False
        self._passing = Passing(self.reader, "")
        self._passing.feed(self.first)
        if self.ended:
            self.whole = True
            self.end()

    async def read_on(self) -> None:
        """Read behind the end of a stream, for a while: some tell its usage only there."""
        with contextlib.suppress(TimeoutError, Broken, NotHttp):
            async with asyncio.timeout(LATE_SECONDS):
                while chunk := await self._response.read():
                    self.reader.feed(chunk)
        self.reader.finish()

    async def read_whole(self, most: int, timeout: Timeout) -> None:
        """Read the body into `first` if it is at most `most` bytes; else leave the rest to be passed."""
        chunks, size = list[bytes](), 0
        while size <= most:
            if not (chunk := await self._response.read()):
                self.whole = True
                break
            timeout.heard()
            chunks.append(chunk)
            size += len(chunk)
        self.first = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self.whole and self.is_json:
            await self.off_loop(size, self.findings.see_whole, self.first)
            self.is_good = self.status == 200 and self.findings.error is None
        elif self.is_json and self.status < 300:
            self._passing = Passing(self.reader, "")
            self._passing.feed(self.first)

    @property
    def judged_status(self) -> int:
        """The status, or what an error inside a 200 stands for."""
        findings = self.findings
        is_inside = self.status < 400 and findings.error is not None and findings.failed
        return findings.error_status if is_inside else self.status

    def replace_body(self, body: bytes, content_type: str = "application/json") -> None:
        """Put a body of ours where the upstream sent none at all, or one that the client cannot read."""
        self.first, self._own_type = body, content_type

    def seen(self, dialect: Dialect, now: datetime) -> Seen:
        """What judging needs of the head and the body read so far; `now` in UTC."""
        status = self.judged_status
        if status < 400:
            return Seen(status=status)
        return Seen(
            status=status,
            retry_after=retry_after_seconds(self.fields.get("retry-after-ms"), self.fields.get("retry-after"), now),
            quota=status == 429 and any(code in self.first for code in _SPENT_CODES),
            affordable=dialect.affordable(self.status, self.first),
            missing=self.missing,
            is_of_account=status == 429 and not dialect.is_about_one_model(self.fields, self.first),
        )

    @property
    def missing(self) -> Missing:
        """What it says is not there."""
        status = self.judged_status
        return missing_from(status, self._told()) if status in (400, 404) else "unknown"

    @property
    def pictures(self) -> int:
        """How many pictures came, of a reply that is pictures: those that passed, or stand in what is in hand."""
        passed = self._passing.pictures if self._passing is not None else 0
        said = self.interpreter.pictures if self.interpreter is not None else 0
        return passed or said or count_pictures(self.first)

    def verdict(self) -> tuple[str, str | None]:
        """The outcome in one word, and why it failed, in the word of whoever failed: None where it did not. For records."""
        findings, status = self.findings, str(self.status)
        if findings.error is None and self.broken_by is None:
            return status, None
        code = None if self.broken_by is None else self.broken_by.code
        if self.status >= 400:
            return status, code or (None if findings.error is None else status)
        if findings.error is not None and findings.broke:
            return f"200_error_{findings.error_status}", code or code_of(findings.error)
        return code or status, code

    def error_message(self) -> str:
        """The message of an error reply, whatever its shape (wire.md T109); never the raw body."""
        return message_of(self._told()) or f"{self.provider.name} answered with status {self.status}."

    def _told(self) -> Any:
        """What there is of an error."""
        if self.status < 400:
            return self.findings.error
        try:
            return msgspec.json.decode(self.first)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

    @property
    def came_as_events(self) -> bool:
        """Whether it is a stream of events."""
        return self.is_event_stream or (self._passing is not None and self._passing.is_stream)

    @property
    def complete(self) -> bool:
        """Whether everything came that was to come."""
        if self.is_event_stream:
            return self.findings.terminal or (self.ended and self.findings.complete)
        return self.whole or self.ended

    def settle(self) -> OnDisk | None:
        """Settle the attempt, before what ends the call goes out; what comes back is to be called and awaited before that."""
        return None if self.settler is None else self.settler.resolve(self, self.provider)

    def close(self) -> None:
        """Resolve the hold and let go of the connection, at once or once nothing more is to be heard. Synchronous."""
        if self.settler is not None and not self.settler.is_over:
            self.settler.resolve(self, self.provider)
            if self.is_event_stream and self._may_say_more() and self.settler.listen(self):
                return
            self.settler.close(self)
        if self._response.connection is not None:
            self._response.release()

    def _may_say_more(self) -> bool:
        """Whether a stream said all it meant to, and its connection is still open."""
        return self.findings.terminal and self.broken_by is None and not self.ended and not self._response.at_end

    def release(self) -> None:
        """Give the connection back if the reply was read to its end, else close it."""
        self._response.release()


def whole_json(whole: tuple[ReplyHead, bytes], provider: Provider, findings: Findings, off_loop: OffLoop) -> Reply:
    """A reply of small JSON, all of which has just come."""
    head, body = whole
    now, status = time.monotonic(), head.status
    findings.see_whole(body)
    is_good = status == 200 and findings.error is None
    return Reply(head, _NOTHING_LEFT, provider, off_loop, findings, status, False, True, now, body, True, is_good)


def reply_of(
    response: Response, provider: Provider, findings: Findings, off_loop: OffLoop, *, hides_usage: bool
) -> Reply:
    """A reply of which the head has just come, or all of it."""
    head, status, now = response.head, response.status, time.monotonic()
    if head.kind == "json":
        if response.ended and len(response.chunks) == 1 and status < 300 and len(response.chunks[0]) <= LARGE:
            body = response.chunks.pop()
            response.release()
            return whole_json((head, body), provider, findings, off_loop)
        return Reply(head, response, provider, off_loop, findings, status, False, True, now)
    reader = StreamReader(findings, hide_usage=hides_usage)
    passing = Passing(reader, head.encoding) if not head.kind and 200 <= status < 300 else None
    seen = off_loop, findings, status, head.kind == "events", False, now
    return Reply(head, response, provider, *seen, _reader=reader, _passing=passing)
