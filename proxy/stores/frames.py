"""One record on disk: length (u32 LE), CRC-32 of length and payload (u32 LE), MessagePack payload."""

from __future__ import annotations

import struct
from itertools import takewhile
from typing import Any, get_args
from zlib import crc32

import msgspec

from proxy.policy.money.periods import LAST_START
from proxy.stores.records import MOST_INT, Hold, Record, Row, Settled

HEADER = struct.Struct("<II")
MOST_PAYLOAD = 2**20
_MAPS = frozenset([bytes([0x80 | count]) for count in range(16)] + [b"\xde", b"\xdf"])  # how one begins in MessagePack
_USUAL_PAYLOAD = 2**12  # and no longer
_LONG_PAYLOAD = 2**16
_LONG_TEXT = 1000
_HEADED = HEADER.pack
_PACK = struct.Struct("<I").pack
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
_ANY: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()
_ROW = Row.__struct_fields__
_FIELDS: dict[Any, tuple[str, ...]] = {kind.__struct_config__.tag: kind.__struct_fields__ for kind in get_args(Record)}


class _Amount(msgspec.Struct, frozen=True, array_like=True, tag="hold"):
    """Of a hold, what money hangs on."""

    id: str
    amount_pusd: int
    charges: tuple[tuple[str, int], ...] = ()


class Unreadable(Exception):
    """The bytes are what was written, but no record we know: a later version's, most likely.

    `hold` is there where it can be told that one was taken, and how much.
    """

    def __init__(self, reason: str, hold: Hold | None) -> None:
        super().__init__(reason)
        self.hold = hold


class _Checksums(dict[int, int]):
    """Of lengths, each worked out once."""

    def __missing__(self, length: int) -> int:
        found = self[length] = crc32(_PACK(length))
        return found


_OF_LENGTH = _Checksums()


def framed(record: Record) -> bytes:
    """The record as it stands in a segment. Never fails for what a client or an upstream may have sent."""
    try:
        payload = _ENCODE(record)
    except (UnicodeEncodeError, OverflowError):
        payload = _ENCODE(_tamed(record))
    length, is_too_much = len(payload), False
    if type(record) is Hold:
        is_too_much = record.amount_pusd > MOST_INT  # readers take no larger amount for one
    elif type(record) is Settled:
        row = record.row
        is_too_much = row.cost_pusd > MOST_INT or row.hold_pusd > MOST_INT
    if is_too_much or length > _USUAL_PAYLOAD:
        payload = _ENCODE(_tamed(record)) if is_too_much or length > _LONG_PAYLOAD else payload
        return _HEADED(len(payload), checksum(payload)) + payload
    return _HEADED(length, crc32(payload, _OF_LENGTH[length])) + payload


def checksum(payload: bytes) -> int:
    """Covers the length too, so that a run of zeros is never a frame."""
    return crc32(payload, crc32(_PACK(len(payload))))


def unframed(payload: bytes) -> Record:
    """The record of a payload whose checksum was right. Raises `Unreadable`."""
    try:
        return msgspec.convert(_listed(_ANY.decode(payload)), Record) if _is_map(payload) else _DECODER.decode(payload)
    except (ValueError, RecursionError) as error:  # bad UTF-8 is no MsgspecError
        raise Unreadable(str(error), _rescued(payload)) from None


def _is_map(payload: bytes) -> bool:
    """Whether it is a record as they were written at first, each field with its name."""
    return payload[:1] in _MAPS


def _listed(told: dict[str, Any]) -> list[Any]:
    """Such a record as it is written now: what it has from its first field on. Those that it lacks were appended later."""
    kind = told.get("type")
    found = [kind]
    for name in takewhile(told.__contains__, _FIELDS.get(kind, ())):
        is_row = name in ("row", "was") and isinstance(told[name], dict)
        found.append([told[name][one] for one in takewhile(told[name].__contains__, _ROW)] if is_row else told[name])
    return found


def _rescued(payload: bytes) -> Hold | None:
    """The hold of a record whose other fields cannot be read."""
    try:
        told = _ANY.decode(payload)
        named = told if isinstance(told, dict) else dict(zip(("type", *Hold.__struct_fields__), told, strict=False))
        found = msgspec.convert([named.get(name, ()) for name in ("type", "id", "amount_pusd", "charges")], _Amount)
    except (ValueError, RecursionError, TypeError):
        return None
    request_id = found.id.rpartition(".")[0] or found.id
    return Hold(
        id=found.id,
        at_ms=0,
        request_id=request_id,
        attempt=1,
        key="",
        endpoint="",
        asked="",
        model="",
        provider="unknown",
        upstream_model="",
        stream=False,
        amount_pusd=max(0, min(found.amount_pusd, MOST_INT)),
        charges=tuple((budget, period) for budget, period in found.charges if 0 <= period <= LAST_START),
    )


def _tamed(value: object) -> object:
    """The same value without lone surrogates, endless texts and numbers no database column holds."""
    if isinstance(value, str):
        return value[:_LONG_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-MOST_INT, min(value, MOST_INT))
    if isinstance(value, tuple):
        return tuple(_tamed(item) for item in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _tamed(getattr(value, name)) for name in value.__struct_fields__})
    return value
