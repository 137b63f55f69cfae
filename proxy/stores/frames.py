"""One record on disk: length (u32 LE), CRC-32 of length and payload (u32 LE), MessagePack payload."""

from __future__ import annotations

import struct
import zlib

import msgspec

from proxy.stores.records import Record

HEADER = struct.Struct("<II")
MOST_PAYLOAD = 2**20
_LONG_PAYLOAD = 2**16
_LONG_TEXT = 1000
_MOST_INT = 2**63 - 1
_LENGTH = struct.Struct("<I")
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


class Unreadable(Exception):
    """The bytes are what was written, but no record we know: a later version's, most likely."""


def framed(record: Record) -> bytes:
    """The record as it stands in a segment. Never fails for what a client or an upstream may have sent."""
    try:
        payload = _ENCODE(record)
    except (UnicodeEncodeError, OverflowError):
        payload = _ENCODE(_tamed(record))
    if len(payload) > _LONG_PAYLOAD:
        payload = _ENCODE(_tamed(record))
    return HEADER.pack(len(payload), checksum(payload)) + payload


def checksum(payload: bytes) -> int:
    """Covers the length too, so that a run of zeros is never a frame."""
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))


def unframed(payload: bytes) -> Record:
    """The record of a payload whose checksum was right. Raises `Unreadable`."""
    try:
        return _DECODER.decode(payload)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


def _tamed(value: object) -> object:
    """The same value without lone surrogates, endless texts and numbers no database column holds."""
    if isinstance(value, str):
        return value[:_LONG_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_MOST_INT, min(value, _MOST_INT))
    if isinstance(value, tuple):
        return tuple(_tamed(item) for item in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _tamed(getattr(value, name)) for name in value.__struct_fields__})
    return value
