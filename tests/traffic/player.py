"""An upstream that answers every call with what a real provider once answered, in cuts nobody chose with care."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable

from harness.steps import Wire
from harness.upstream import Call, Upstream
from traffic.recorded import Exchange

MARK = "x-replay"
_ODD_PLACES = re.compile(rb"[\x80-\xff]+|\r\n|\n\n|\ndata: ?|\nevent: ?")
_MOST_CUTS = 60
_SINGLE_BYTES = 40
_EVENT = re.compile(rb"(.*?)(\r?\n\r?\n|\Z)", re.DOTALL)


class Player(Upstream):
    """Plays `exchanges` by the number a call carries in `x-replay`; `heard` holds those calls by number."""

    def __init__(self, exchanges: Iterable[Exchange], seed: int) -> None:
        super().__init__()
        self._exchanges = list(exchanges)
        self._seed = seed
        self.heard: dict[int, Call] = {}

    async def _answer(self, wire: Wire, head: bytes, body: bytes) -> None:
        call = Call(wire.number, head, body, 0.0, wire.closed, lambda: wire.sent_bytes)
        mark = call.header(MARK)
        if mark is None:
            await super()._answer(wire, head, body)
            return
        self.heard[int(mark)] = call
        chance = random.Random(f"{self._seed} {mark}")
        for piece in pieces(framed(self._exchanges[int(mark)], chance), chance):
            await wire.send(piece)


def framed(exchange: Exchange, chance: random.Random) -> bytes:
    """The reply as HTTP/1.1, chunked or with its length."""
    chunked = exchange.streamed or chance.random() < 0.3
    lines = [f"HTTP/1.1 {exchange.status} Recorded", *(f"{name}: {value}" for name, value in exchange.reply_headers)]
    lines.append("transfer-encoding: chunked" if chunked else f"content-length: {len(exchange.reply)}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if not chunked:
        return head + exchange.reply
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(exchange.reply, chance) if piece]
    return head + b"".join(chunks) + b"0\r\n\r\n"


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """`data` cut at random: anywhere, inside characters, line ends and names of fields, or byte by byte at its ends."""
    kind = chance.choice(("whole", "anywhere", "odd", "bytes"))
    places: list[int] = []
    if kind == "anywhere":
        places = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, _MOST_CUTS))]
    elif kind == "odd":
        spans = [match.span() for match in _ODD_PLACES.finditer(data)]
        places = [chance.randrange(*span) + 1 for span in chance.sample(spans, min(len(spans), _MOST_CUTS))]
    elif kind == "bytes":
        places = [*range(_SINGLE_BYTES), *range(max(0, len(data) - _SINGLE_BYTES), len(data))]
    bounds = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in zip(bounds, bounds[1:], strict=False) if start < end]


def without_usage_event(reply: bytes) -> bytes:
    """A stream without the event that only `include_usage` brings: usage, and an empty list of choices."""
    events = [match[1] + match[2] for match in _EVENT.finditer(reply)]
    return b"".join(event for event in events if not _is_usage_event(event))


def _is_usage_event(event: bytes) -> bool:
    data = b"".join(line.strip()[5:] for line in event.splitlines() if line.strip().startswith(b"data:"))
    try:
        document = json.loads(data)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("choices") == [] and bool(document.get("usage"))
