"""Heads written as they came: aiohttp leaves out of a header's value what is no UTF-8."""

from __future__ import annotations

from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from proxy.wire.headers import head_bytes, is_plain


class HeadWriter(StreamWriter):
    """The library's writer, with the bytes of header values as they came in, whatever they are (RFC 9110 5.5)."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Take the first line and the headers; they go out with the first bytes of the body."""
        await super().write_headers(status_line, headers)  # raises ValueError for control characters
        if not all(map(is_plain, headers.values())):
            self._headers_buf = head_bytes(status_line, headers.items())
