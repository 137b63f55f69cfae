"""Undoes a content encoding for reading, piece by piece and within bounds. What passes stays as it came."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

PIECE = 64 * 1024
# Text of events shrinks to a fiftieth; what grows more than this, or beyond all, was made to hurt.
MOST_GROWTH = 200
MOST_DECODED = 256 * 2**20
_ALWAYS_FINE = 2**20


class CannotDecode(Exception):
    """Nothing more can be made of it: an unknown encoding, broken bytes, or far too many."""


class _Inflating(Protocol):
    """What zlib's decompressor objects and those made to look like them can do."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Decoder:
    """Bytes of one reply in, decoded pieces out. `encoding` is the header's value."""

    def __init__(self, encoding: str) -> None:
        """Raises `CannotDecode` for an encoding nothing here undoes."""
        names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
        if len(names) > 1 or (names and names[0] not in _MAKERS):
            raise CannotDecode
        self._make = _MAKERS[names[0]] if names else None
        self._inflating: _Inflating | None = None
        self._start = b""
        self._is_over = False
        self._read = 0
        self._made = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that `data` adds. Raises `CannotDecode`."""
        if self._make is None:
            if data:
                yield data
            return
        self._read += len(data)
        if self._inflating is None:
            data, self._start = self._start + data, b""
            if len(data) < 2:  # the first two bytes tell both kinds of deflate apart
                self._start = data
                return
        while data:
            self._inflating = self._inflating or self._make(data)
            try:
                piece = self._inflating.decompress(data, PIECE)
            except (zlib.error, ValueError) as error:
                if self._is_over:
                    return  # padding behind the last part
                raise CannotDecode from error
            self._made += len(piece)
            if self._made > min(MOST_DECODED, _ALWAYS_FINE + MOST_GROWTH * self._read):
                raise CannotDecode
            if piece:
                yield piece
            data = self._inflating.unconsumed_tail
            if self._inflating.eof:
                data = self._inflating.unused_data
                self._inflating, self._is_over = None, True


def _gzip(_: bytes) -> _Inflating:
    return zlib.decompressobj(31)


def _deflate(start: bytes) -> _Inflating:
    """With zlib's head, as the standard says, or without, as some servers send it."""
    has_head = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.decompressobj(15 if has_head else -15)


class _Bounded:
    """A decompressor of `compression.zstd`'s kind in zlib's clothes."""

    unconsumed_tail = b""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        pieces = [self._inner.decompress(data, max_length)]
        while pieces[-1] and not self._inner.needs_input and not self._inner.eof:
            if sum(map(len, pieces)) > _ALWAYS_FINE + MOST_GROWTH * len(data):
                raise ValueError("too much")
            pieces.append(self._inner.decompress(b"", max_length))
        return b"".join(pieces)


def _zstd() -> Callable[[bytes], _Inflating] | None:
    """Python's own from 3.14 on, or its backport, where there is one: others cannot be bounded."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return lambda _: _Bounded(module.ZstdDecompressor())
    return None


class _Brotli:
    """Brotli's decompressor with the names of the others."""

    unused_data = b""

    def __init__(self, inner: Any, error: type[Exception]) -> None:
        self._inner = inner
        self._error = error

    @property
    def eof(self) -> bool:
        return bool(self._inner.is_finished())

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return bytes(self._inner.process(data, output_buffer_limit=max_length))
        except self._error as error:
            raise ValueError("not brotli") from error


def _br() -> Callable[[bytes], _Inflating] | None:
    """Brotli's from 1.2 on, where it is installed: older ones cannot be bounded."""
    try:
        module = importlib.import_module("brotli")
    except ImportError:
        return None
    if not hasattr(module.Decompressor, "can_accept_more_data"):
        return None
    return lambda _: _Bounded(_Brotli(module.Decompressor(), module.error))


_MAKERS: dict[str, Callable[[bytes], _Inflating]] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate}
for _name, _maker in (("br", _br()), ("zstd", _zstd())):
    if _maker is not None:
        _MAKERS[_name] = _maker
