"""One record on disk: length (u32 LE), CRC-32 of length and payload (u32 LE), MessagePack payload."""

from __future__ import annotations

import struct
from itertools import takewhile
from typing import Any, get_args
from zlib import crc32

import msgspec

from proxy.policy.money.periods import LAST_START
from proxy.stores.journal.records import MOST_INT, Hold, Record, Row

HEADER = struct.Struct("<II")
MOST_PAYLOAD = 2**20
_MAPS = frozenset([bytes([0x80 | count]) for count in range(16)] + [b"\xde", b"\xdf"])  # how one begins in MessagePack
LENGTH = struct.Struct("<I")
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


def checksum(payload: bytes | bytearray) -> int:
    """Covers the length too, so that a run of zeros is never a frame."""
    return crc32(payload, crc32(LENGTH.pack(len(payload))))


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
