"""Finished calls as their lines in the log, many at once: what a call has in common with many others is put into JSON once.

Nearly every call differs from one before it in its ids, key, times, tokens and cost only. All else makes up its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import floor
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict, astuple

from proxy.exchange.entry import Entry
from proxy.exchange.record import Ended, Record
from proxy.exchange.times import THREE_DIGITS, instant
from proxy.observe.logs import LONGEST, is_plain, level_of
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.credits import Credits
from proxy.wire.marks import UNMARKED

if TYPE_CHECKING:
    from proxy.observe.seen import Meter

_MOST_KINDS = 8192
_TO_WHOLE = 1.5 * 2**52  # a float that is added to this one, and then less it, is whole: the nearest there is
_entries = msgspec.json.Decoder(Entry)


class Line(Struct, frozen=True, gc=False):
    """What calls have for themselves, and as JSON the members that follow it, up to the next of these. Among the last ones is
    what only some have for themselves."""

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


_TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_UNKNOWN: Any = msgspec.defstruct("_Unknown", _TOKENS, frozen=True)(None, None, None, None)  # of who does not say any
# of the lines of a kind: their level, whether they say a cost, and what was saved; and the JSON of a line, in turn. The third of
# these has a place for each of what only some calls have, the last is that one where a call has none
Pieces = tuple[str, bool, bool, Raw, Raw, bytes, Raw]
Seldom = tuple[str | None, ...]  # in the order of _SELDOM
_SELDOM = ("session", "tenant", "decision", "cost_credits", "saved_usd")
_NO_SELDOM: Seldom = (None,) * len(_SELDOM)
_NO_JSON = Raw(), Raw(), b"", Raw()
_OWN = frozenset(name for name, kind in Line.__annotations__.items() if kind != "Raw")


class Kind(Struct, eq=False):
    """Calls that differ in what each has for itself: the first one's entry, and what their lines have in common. `is_odd`: not
    all of that is as it is written. `meter`: where the metrics count them, once they have."""

    entry: Entry
    pieces: Pieces
    is_odd: bool = False
    meter: Meter | None = None


class Alike(Struct, gc=False):
    """Calls of one kind that ended together, whosever they are. `entry` is that of another one of the kind. `has_seldom`: some
    may have a tenant, or else what few have."""

    entry: Entry
    ended: list[Ended]
    lines: list[Line | OddLine]
    kind: Kind | None = None
    has_seldom: bool = True


class Told(Struct):
    """Calls that ended: their lines in turn, and by their kinds. `has_odd`: not all of the lines are as they are written."""

    lines: list[Line | OddLine]
    alike: list[Alike]
    has_odd: bool


class Kinds:
    """The kinds of calls there have been lately."""

    def __init__(self) -> None:
        self._known: dict[object, Kind] = {}

    def told(self, ended: Sequence[Ended], unit: Credits | None) -> Told:
        """All there is to tell of these, with what they cost in the operator's own unit, where there is one."""
        runs, alike, has_seldom = self._parted(ended)
        is_usual = _are_usual(ended, has_seldom=has_seldom)
        has_odd = not is_usual or any([kind.is_odd for kind in alike])
        if has_odd:
            parts: list[Any] = [_told(kind, same.ended, unit, is_usual=is_usual) for kind, same in alike.items()]
        else:
            groups = [(kind.pieces, same.ended) for kind, same in alike.items()]
            parts = list(_lines(groups, unit, has_seldom=has_seldom))
        for same, own in zip(alike.values(), parts, strict=True):
            same.lines.extend(own)  # to set a field of a Struct takes longer
        lines = list(chain.from_iterable([same.lines[begin:end] for same, begin, end in runs]))
        return Told(lines, list(alike.values()), has_odd)

    def _parted(self, ended: Sequence[Ended]) -> tuple[list[tuple[Alike, int, int]], dict[Kind, Alike], bool]:
        """Which of which kind came in turn, those of each kind, without their lines, and whether some have what few have."""
        begins, has_seldom, count = list[tuple[int, Kind]](), False, 0
        newest: tuple[Any, ...] = ()
        for record, at in ended:
            error, listener, marks = record.error, record.listener, record.marks
            shared = (  # all that its entry and the metrics depend on, but for what each call has for itself
                record.endpoint, record.model, record.label, record.target, record.served, record.stream, record.phase,
                record.status, record.failure, record.failure_status, record.missing, record.calls, record.pending,
                record.cost_source, record.client_left, record.shadow_rejections, marks.tags, record.use_case,
                record.arm, record.cache, record.losses,
                () if listener is None or error is not None else listener.flags(at - record.started),
                None if error is None else (error.kind, error.code), record.tried, record.adjusted,
            )  # fmt: skip
            if shared != newest:  # as few are, and found out in half the time
                newest = shared
                begins.append((count, self._kind((record, at), shared)))
            if marks is not UNMARKED or record.tenant or record.decision:
                has_seldom = True
            count += 1
        runs, parted = list[tuple[Alike, int, int]](), dict[Kind, Alike]()
        for (begin, kind), end in zip(begins, [*[begin for begin, _ in begins[1:]], count], strict=True):
            same = parted.get(kind) or parted.setdefault(kind, Alike(kind.entry, [], [], kind, has_seldom))
            runs.append((same, there := len(same.ended), there + end - begin))
            same.ended.extend(ended[begin:end])
        return runs, parted, has_seldom

    def _kind(self, ended: Ended, shared: tuple[Any, ...]) -> Kind:
        known, others = self._known, shared[:-2]
        shared = (*others, tuple(shared[-2]), tuple(shared[-1]))
        kind = known.get(shared)
        if kind is None:
            if len(known) >= _MOST_KINDS:
                known.clear()
            flags: tuple[str, ...] = others[-2]
            said = "", bool(ended[0].cost_source) and not ended[0].pending, ended[0].cost_source == "cached"
            ((own,),) = _lines([((*said, *_NO_JSON), [ended])], None, has_seldom=False)
            kind = known[shared] = _begun(_entry(ended, own, flags, None), said[1:])
        return kind


def _begun(entry: Entry, says: tuple[bool, bool]) -> Kind:
    said = level_of(entry.status), *says
    odd = Kind(entry, (*said, *_NO_JSON), is_odd=True)
    try:
        members = msgspec.json.decode(msgspec.json.encode(entry), type=dict[str, Raw])
    except UnicodeEncodeError:
        return odd
    pieces: list[bytes] = []
    before = ""
    for name, value in members.items():
        if name not in _OWN:
            text = b"%b" if name in _SELDOM else bytes(value).replace(b"%", b"%%")
            if before in _OWN:
                pieces.append(text)
            else:
                pieces[-1] += b',"%b":%b' % (name.encode(), text)
        before = name
    if not all(len(piece) <= LONGEST and is_plain(piece) for piece in pieces):
        return odd
    endpoint, source, left = pieces
    template = left + b',"event":"call"'
    return Kind(entry, (*said, Raw(endpoint % ()), Raw(source % ()), template, _rest(template, _NO_SELDOM)))


def _told(kind: Kind, ended: Sequence[Ended], unit: Credits | None, *, is_usual: bool) -> list[Line | OddLine]:
    """The lines of these, some of which are odd. `is_usual`: nothing of their own is."""
    told: list[Line | OddLine] = []
    for one in ended:
        is_odd = kind.is_odd or not (is_usual or _are_usual([one], has_seldom=True))
        pieces = (*kind.pieces[:3], *_NO_JSON) if is_odd else kind.pieces
        ((line,),) = _lines([(pieces, [one])], unit, has_seldom=True)
        entry = _entry(one, line, kind.entry.flags, unit) if is_odd else None
        told.append(line if entry is None else OddLine(**asdict(entry), event="call", level=line.level, time=line.time))
    return told


def _lines(
    groups: Iterable[tuple[Pieces, Sequence[Ended]]], unit: Credits | None, *, has_seldom: bool
) -> Iterator[list[Line]]:
    """Of calls of each of these kinds. In the order of a line's fields: by their names it takes four times as long.
    Times are to the microsecond; what of the time to the reply was ours is what nobody else took."""
    whole, digits, second, to_second, milli, began = _TO_WHOLE, THREE_DIGITS, 0.0, "", -1, ""
    for (level, is_priced, has_more, endpoint, source, template, usual), ended in groups:
        lines: list[Line] = []
        has_more = has_more or has_seldom or unit is not None
        for record, at in ended:
            usage, start = record.usage or _UNKNOWN, record.started
            first_byte, token = record.first_byte_at, record.first_token_at
            ours = (first_byte or at) - start - record.upstream_seconds - record.waited_seconds
            cost_usd = usd_text(record.cost_pusd) if is_priced else None
            rest = record.at + at - start - second
            if not 0.0 <= rest < 1.0:  # most end in the same second as the one before
                second = (record.at + at - start) // 1.0
                rest, to_second = record.at + at - start - second, instant(int(second) * 1000).removesuffix("000Z")
            at_milli = floor(record.at * 1000)
            if at_milli != milli:  # many begin in the same millisecond
                milli, began = at_milli, instant(at_milli)
            micro = floor(rest * 1e6)
            lines.append(Line(
                record.request_id, record.upstream_request_id, began, record.key, endpoint,
                usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens, cost_usd, source,
                None if first_byte is None else ((first_byte - start) * 1e6 + whole - whole) / 1e6,
                None if token is None else ((token - start) * 1e6 + whole - whole) / 1e6,
                ((at - start) * 1e6 + whole - whole) / 1e6,
                (ours * 1e6 + whole - whole) / 1e6 if ours > 0.0 else 0.0,
                _rest(template, _seldom(record, cost_usd, unit)) if has_more else usual, level,
                f"{to_second}{digits[micro // 1000]}{digits[micro % 1000]}Z",
            ))  # fmt: skip
        yield lines


def _seldom(record: Record, cost_usd: str | None, unit: Credits | None) -> Seldom:
    return (
        record.marks.session or None,
        record.tenant or None,
        record.decision or None,
        None if unit is None or cost_usd is None else f"{unit.of(cost_usd)} {unit.name}",
        usd_text(record.saved_pusd) if record.cost_source == "cached" else None,
    )


@lru_cache(maxsize=512)
def _rest(template: bytes, seldom: Seldom) -> Raw:
    """The members at the end of a line, where they are for a line as it is."""
    return Raw(template and template % tuple(map(msgspec.json.encode, seldom)))


def _entry(ended: Ended, own: Line, flags: tuple[str, ...], unit: Credits | None) -> Entry:
    record, target, left_early = ended[0], ended[0].target, ended[0].left_early()
    session, tenant, decision, cost_credits, saved_usd = _seldom(record, own.cost_usd, unit)
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
        record.client_left, record.shadow_rejections, session, record.marks.tags,
        tenant, record.use_case or None, flags, decision, record.arm or None, cost_credits,
        record.cache or None, saved_usd,
    )  # fmt: skip


def _are_usual(ended: Sequence[Ended], *, has_seldom: bool) -> bool:
    """Whether nothing has to be escaped, cut or taken out of what others named for each call."""
    texts = [record.upstream_request_id for record, _ in ended if record.upstream_request_id]
    texts += filter(None, {record.key for record, _ in ended})
    if has_seldom:
        texts += filter(None, [text for record, _ in ended for text in (record.marks.session, record.tenant)])
    try:
        said = msgspec.json.encode(texts)
    except UnicodeEncodeError:
        return False
    return is_plain(said) and max(map(len, texts), default=0) <= LONGEST
