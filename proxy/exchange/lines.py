"""Finished calls as their lines in the log, many at once: what a call has in common with many others is put into JSON once.

Nearly every call differs from one before it in its ids, key, times, tokens and cost only. All else makes up its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict, astuple

from proxy.exchange.record import Entry, Record
from proxy.exchange.times import instant
from proxy.observe.logs import LONGEST, is_plain, level_of
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.credits import Credits
from proxy.wire.marks import UNMARKED

_MOST_KINDS = 2000
_entries = msgspec.json.Decoder(Entry)

_NO_TOKENS = (None, None, None, None)

Ended = tuple[Record, float]  # with the monotonic time of its end


class Line(Struct, frozen=True, gc=False):
    """The fields of an entry, then what a line of the log has besides. What is JSON already stands for all members from
    there to the next that each call has for itself."""

    is_odd: ClassVar[bool] = False

    request_id: str
    upstream_request_id: str | None
    at: str
    key: str | None
    endpoint: Raw
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: str | None
    cost_source: Raw
    first_byte_seconds: float | None
    first_token_seconds: float | None
    total_seconds: float
    overhead_seconds: float
    client_left: Raw
    session: str | None
    tags: Raw
    tenant: str | None
    use_case: Raw
    decision: str | None
    arm: Raw
    cost_credits: str | None
    cache: Raw
    saved_usd: str | None
    event: str
    level: str
    time: str

    def entry(self) -> Entry:
        """The call as one value."""
        return _entries.decode(msgspec.json.encode(self))


class OddLine(Entry, frozen=True, gc=False):
    """The same of a call in which something has to be escaped, cut or taken out before it is written."""

    is_odd: ClassVar[bool] = True

    event: str = ""
    level: str = ""
    time: str = ""

    def entry(self) -> Entry:
        """The call as one value."""
        return Entry(*astuple(self)[:-3])


Pieces = tuple[Raw, ...]  # of a line, in turn
_NO_PIECES: Pieces = (Raw(),) * 7
_OWN = frozenset(name for name, kind in Line.__annotations__.items() if kind != "Raw")


class Kind(Struct, frozen=True, eq=False):
    """Calls that differ in what each has for itself: the first one's entry, the level of their lines, and the JSON that all
    these have; () where something in it is odd."""

    entry: Entry
    level: str
    pieces: Pieces


class Alike(Struct):
    """Calls of one kind that ended together, whosever they are. `entry` is that of another one of the kind."""

    entry: Entry
    ended: list[Ended]
    lines: list[Line | OddLine]


class Told(Struct):
    """Calls that ended: their lines in turn, and by their kinds. `has_odd`: not all of the lines are as they are written."""

    lines: list[Line | OddLine]
    alike: list[Alike]
    has_odd: bool


class Kinds:
    """The kinds of calls there have been lately."""

    def __init__(self) -> None:
        self._known: dict[object, Kind] = {}
        self._newest: tuple[object, Kind | None] = (None, None)

    def told(self, ended: Sequence[Ended], unit: Credits | None) -> Told:
        """All there is to tell of these, with what they cost in the operator's own unit, where there is one."""
        lines: list[Line | OddLine] = []
        alike: dict[Kind, Alike] = {}
        newest: Kind | None = None
        same: Alike | None = None
        has_odd = False
        is_usual = _are_usual(ended)
        for one, time in zip(ended, _instants(ended), strict=True):
            kind = self._kind(*one)
            if kind.pieces and (is_usual or _are_usual((one,))):
                line: Line | OddLine = _line(one, kind.pieces, (kind.level, time), unit)
            else:
                line, has_odd = _odd_line(one, kind, time, unit), True
            lines.append(line)
            if same is None or kind is not newest:
                newest, same = kind, alike.get(kind)
                if same is None:
                    same = alike[kind] = Alike(kind.entry, [], [])
            same.ended.append(one)
            same.lines.append(line)
        return Told(lines, list(alike.values()), has_odd)

    def _kind(self, record: Record, at: float) -> Kind:
        error, listener = record.error, record.listener
        flags = () if listener is None or error is not None else listener.flags(at - record.started)
        refused = None if error is None else (error.kind, error.code)
        same = (  # all that its entry and the metrics depend on, but for what each call has for itself
            record.endpoint, record.model, record.label, record.target, record.served, record.stream, record.phase,
            record.status, record.failure, record.failure_status, record.missing, record.calls, record.pending,
            record.cost_source, record.client_left, record.shadow_rejections, record.marks.tags, record.use_case,
            record.arm, record.cache, record.losses, tuple(record.tried), tuple(record.adjusted), flags, refused,
        )  # fmt: skip
        newest, kind = self._newest
        if kind is not None and same == newest:  # as nearly always, and found out in half the time
            return kind
        kind = self._known.get(same)
        if kind is None:
            if len(self._known) >= _MOST_KINDS:
                self._known.clear()
            kind = self._known[same] = _begun(_entry((record, at), flags, None))
        self._newest = same, kind
        return kind


def _begun(entry: Entry) -> Kind:
    level = level_of(entry.status)
    try:
        members = msgspec.json.decode(msgspec.json.encode(entry), type=dict[str, Raw])
    except UnicodeEncodeError:
        return Kind(entry, level, ())
    pieces: list[bytes] = []
    before = ""
    for name, value in members.items():
        if name not in _OWN:
            if before in _OWN:
                pieces.append(bytes(value))
            else:
                pieces[-1] += b',"%b":%b' % (name.encode(), bytes(value))
        before = name
    is_usual = all(len(piece) <= LONGEST and is_plain(piece) for piece in pieces)
    return Kind(entry, level, tuple(map(Raw, pieces)) if is_usual else ())


def _line(ended: Ended, pieces: Pieces, told: tuple[str, str], unit: Credits | None) -> Line:
    """In the order of its fields, as an entry: by their names it takes four times as long."""
    (record, at), (level, time) = ended, told
    endpoint, source, left, tags, use_case, arm, cache = pieces
    read, written, cached, reasoning = _NO_TOKENS if (usage := record.usage) is None else (
        usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens
    )  # fmt: skip
    first_byte, first_token, total, ours = record.times.in_seconds(at)
    cost_usd = usd_text(record.cost_pusd) if record.cost_source and not record.pending else None
    return Line(
        record.request_id, record.upstream_request_id, instant(record.at), record.key, endpoint,
        read, written, cached, reasoning, cost_usd, source, first_byte, first_token, total, ours,
        left, record.marks.session or None, tags, record.tenant or None, use_case, record.decision or None, arm,
        None if unit is None or cost_usd is None else f"{unit.of(cost_usd)} {unit.name}", cache,
        usd_text(record.saved_pusd) if record.cost_source == "cached" else None,
        "call", level, time,
    )  # fmt: skip


def _entry(ended: Ended, flags: tuple[str, ...], unit: Credits | None) -> Entry:
    record, target, left_early = ended[0], ended[0].target, ended[0].left_early()
    own = _line(ended, _NO_PIECES, ("", ""), unit)
    return Entry(
        own.request_id, own.upstream_request_id, own.at, own.key, record.endpoint, record.model,
        None if target is None else record.label,
        None if target is None else target.provider,
        record.served, record.stream,
        499 if left_early else record.status,
        "caller_cancelled" if left_early else record.error_type(),
        record.error.code if record.error else record.failure,
        record.calls, tuple(record.tried), tuple(record.adjusted),
        own.input_tokens, own.output_tokens, own.cached_tokens, own.reasoning_tokens, own.cost_usd,
        "pending" if record.pending else record.cost_source,
        own.first_byte_seconds, own.first_token_seconds, own.total_seconds, own.overhead_seconds,
        record.client_left, record.shadow_rejections, own.session, record.marks.tags,
        own.tenant, record.use_case or None, flags, own.decision, record.arm or None, own.cost_credits,
        record.cache or None, own.saved_usd,
    )  # fmt: skip


def _odd_line(ended: Ended, kind: Kind, time: str, unit: Credits | None) -> OddLine:
    entry = _entry(ended, kind.entry.flags, unit)
    return OddLine(**asdict(entry), event="call", level=kind.level, time=time)


def _are_usual(ended: Sequence[Ended]) -> bool:
    """Whether nothing has to be escaped, cut or taken out of what others named for each call."""
    texts = [record.upstream_request_id for record, _ in ended if record.upstream_request_id]
    texts += [record.marks.session for record, _ in ended if record.marks is not UNMARKED]
    texts += {name for record, _ in ended for name in (record.key, record.tenant) if name}
    try:
        said = msgspec.json.encode(texts)
    except UnicodeEncodeError:
        return False
    return is_plain(said) and max(map(len, texts), default=0) <= LONGEST


def _instants(ended: Sequence[Ended]) -> list[str]:
    """When each ended: most in the same second as the one before."""
    found, second, text = [], 0, ""
    for record, at in ended:
        seconds = record.at + at - record.started
        if not 0 <= seconds - second < 1:
            second = int(seconds)
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        found.append(f"{text}.{str(int((seconds - second) * 1e6)).zfill(6)}Z")  # half the time of a format
    return found
