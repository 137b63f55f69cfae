"""A reply of OpenRouter's images API, or of a model that drew in chat, on its way to a client of OpenAI's.

No picture is held: its base64 passes piece by piece, whatever its size.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from proxy.errors import CallerError
from proxy.translate.bridge import decode
from proxy.translate.faults import fault_of
from proxy.translate.images.faults import image_fault
from proxy.translate.images.image_request import ImageRequest
from proxy.translate.images.refusals import InvalidPrompt
from proxy.translate.images.writers import EventWriter, ReplyWriter, Shelf, Writer, begin, end, kind_of, shown, usage_of
from proxy.translate.values import Fault
from proxy.translate.writing import encode
from proxy.wire.long_texts import LongTexts, Piece, TooLarge
from proxy.wire.sse import data_of

Source = Literal["images", "chat"]

_KEYS: dict[Source, frozenset[bytes]] = {"images": frozenset({b"b64_json"}), "chat": frozenset({b"url"})}
_TYPE = re.compile(rb'"type"\s*:\s*"image_generation\.(partial_image|completed)"')
_LONGEST_PREFIX = 256  # "data:image/svg+xml;base64,"
# how models say that they will not draw this
_DECLINED = re.compile(r"content_filter|safety|prohibited|blocklist|recitation|moderation", re.IGNORECASE)


class PictureText:
    """Base64 out of the pieces of texts: without the head of a data URL, and without what JSON escapes."""

    def __init__(self, source: Source) -> None:
        self._key = "url" if source == "chat" else "b64_json"
        self._head: bytes | None = None  # of a text that may be a data URL
        self._held = b""
        self._open = False
        self.media_type = ""

    def take(self, piece: Piece) -> tuple[bool, bytes, bool]:
        """Of a piece: whether a picture begins with it, more of its base64, and whether it ends. A text that is no picture is
        none of this."""
        if piece.key != self._key:
            return False, b"", False
        text, begins = piece.text, False
        if piece.first:
            self._held = b""
            self._open = begins = self._key == "b64_json"
            self._head = None if begins else b""
        if self._head is not None:
            text = self._behind_head(text)
            begins = self._open
        if not self._open:
            return False, b"", False
        text = self._plain(text, at_end=piece.last)
        self._open = not piece.last
        return begins, text, piece.last

    def _behind_head(self, text: bytes) -> bytes:
        """What follows the comma of a data URL; other addresses are no pictures."""
        assert self._head is not None
        self._head += text
        head, comma, behind = self._head.partition(b",")
        if not comma and len(head) < _LONGEST_PREFIX:
            return b""
        self._head = None
        if comma and head.startswith(b"data:image"):
            self._open = True
            self.media_type = head[5:].partition(b";")[0].decode("latin-1").replace("\\/", "/")
        return behind

    def _plain(self, text: bytes, *, at_end: bool) -> bytes:
        """What stands in base64 is escaped by nobody but for its slashes."""
        if self._held or b"\\" in text:
            text = self._held + text
            self._held = b"\\" if text.endswith(b"\\") and not at_end else b""
            text = text[: len(text) - len(self._held)].replace(b"\\/", b"/")
        return text


class WholeReply:
    """A reply that is one JSON object; the client gets one too, or (`as_events`) the stream it asked for."""

    def __init__(self, source: Source, image_request: ImageRequest, created: int, shelf: Shelf | None) -> None:
        self._source = source
        self._created = created
        self._texts = LongTexts(_KEYS[source])
        self._picture = PictureText(source)
        self._writer: Writer = (
            EventWriter(image_request, created)
            if image_request.streamed
            else ReplyWriter(image_request, created, shelf)
        )
        self.pictures = 0

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes for these. Raises `CallerError` for what is no reply."""
        out = bytearray()
        try:
            for piece in self._texts.feed(chunk):
                begins, text, ends = self._picture.take(piece)
                out += self._writer.open() if begins else b""
                out += self._writer.text(text) if text else b""
                out += self._writer.close() if ends else b""
                self.pictures += ends
        except TooLarge:
            raise CallerError("It holds more than pictures.") from None
        return bytes(out)

    def finish(self) -> bytes:
        """The end of it. Raises `InvalidPrompt` where the model would not draw, `CallerError` where it did not."""
        told = decode(self._texts.take_rest())
        if not self.pictures:
            _refuse(told, self._source)
        rows = told.get("data")
        first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        media_type = self._picture.media_type or str(first.get("media_type") or "")
        return self._writer.finish(self._created, media_type, usage_of(told.get("usage")))


def _refuse(told: dict[str, Any], source: Source) -> None:
    """No picture came: say why, as far as the reply does."""
    if told.get("error"):
        fault = image_fault(told, fault_of(told).status)
        if fault.code == InvalidPrompt.code:
            raise InvalidPrompt(fault.message, param=fault.param)
        raise CallerError(f"It is an error: {fault.message}")
    choices = told.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    reasons = (choice.get("native_finish_reason"), choice.get("finish_reason"))
    declined = next((r for r in reasons if isinstance(r, str) and _DECLINED.search(r)), None)
    if declined:
        raise InvalidPrompt("The model declined to draw this.", param=declined)
    raise CallerError("It answered in words and drew nothing." if source == "chat" else "There is no picture in it.")


class EventReply:
    """A stream of OpenRouter's images API. `ended`: all that was to come has come."""

    def __init__(self, image_request: ImageRequest, created: int) -> None:
        self._image_request = image_request
        self._created = created
        self._texts = LongTexts(_KEYS["images"])
        self._picture = PictureText("images")
        self._shows = False  # the event under way is one the client gets
        self._waiting: bytearray | None = None  # a picture whose event has not said yet what it is
        self.pictures = self._partials = 0
        self.ended = False

    @property
    def at_boundary(self) -> bool:
        """Whether something of ours may be written between events now."""
        return not self._shows

    def feed(self, chunk: bytes) -> bytes:
        """The client's events for these bytes."""
        out = bytearray()
        for piece in self._texts.feed(chunk):
            out += self._events()
            begins, text, _ = self._picture.take(piece)
            if begins:
                out += self._begin()
            if self._waiting is not None:
                self._waiting += text
            elif self._shows:
                out += text
        out += self._events()
        return bytes(out)

    def finish(self) -> bytes:
        """The stream is at its end."""
        out = self._events(at_end=True)
        self.ended = True
        return out

    def fail(self, fault: Fault) -> bytes:
        """An error of ours that ends the client's stream."""
        self.ended = True
        error = {"message": fault.message, "type": fault.type or None, "param": fault.param, "code": fault.code or None}
        return b"event: error\ndata: " + encode({"type": "error", "error": error}) + b"\n\n"

    def _begin(self) -> bytes:
        """A picture begins: its event mostly has said of which kind it is."""
        found = _TYPE.search(self._texts.rest)
        if found is None:
            self._waiting = bytearray()
            return b""
        return self._open(found[1].decode())

    def _open(self, event: str) -> bytes:
        """The beginning of an event; of pictures in the making no more are shown than were asked for."""
        if event == "partial_image":
            self._partials += 1
        self._shows = event != "partial_image" or self._partials <= self._image_request.partials
        return begin(kind_of(self._image_request, event)) if self._shows else b""

    def _events(self, *, at_end: bool = False) -> bytes:
        """What ends the events that are complete."""
        rest, out = self._texts.rest, bytearray()
        while (at := _blank(rest)) or (at_end and rest.strip()):
            cut = at or len(rest)
            skeleton = bytes(rest[:cut])
            del rest[:cut]
            if data := data_of(skeleton):
                out += self._end(data)
        return bytes(out)

    def _end(self, data: bytes) -> bytes:
        if data.startswith(b"[DONE]"):
            self.ended = True
            return b""
        told = decode(data)
        if told.get("error"):
            return b"event: error\ndata: " + encode({"type": "error", "error": told["error"]}) + b"\n\n"
        kind = str(told.get("type") or "").rpartition(".")[2]
        out = b""
        if self._waiting is not None:
            waiting, self._waiting = bytes(self._waiting), None
            out = self._open(kind)
            out += waiting if self._shows else b""
        self.pictures += kind == "completed"
        if not self._shows:
            return out
        self._shows = False
        shown_now = {"created_at": self._created, **shown(self._image_request, str(told.get("media_type") or ""))}
        if kind == "partial_image":
            return out + end({"partial_image_index": told.get("partial_image_index", 0), **shown_now})
        return out + end({**shown_now, "usage": usage_of(told.get("usage"))})


def _blank(rest: bytearray) -> int:
    """The offset behind the first blank line, 0 where there is none."""
    found = [(at, at + len(line)) for line in (b"\n\n", b"\r\n\r\n") if (at := rest.find(line)) >= 0]
    return min(found)[1] if found else 0
