"""Long `data:` URLs, taken out of a JSON text before it is decoded: of a request with a picture they are nearly all.

Nobody reads more of one than its length. One without an escape ends at the next quote, so that what is left has the
same structure.
"""

from __future__ import annotations

import secrets

_URL = b'"data:'
_LONG = 4096
_NONCE = secrets.token_hex(8)  # no client knows the names

Lacking = dict[str, int]  # by how many bytes a name is shorter than what it stands for


def without_data(text: bytes, start: int, end: int) -> tuple[bytes, Lacking]:
    """The JSON text from `start` to `end` with a name in the place of every long `data:` URL."""
    pieces: list[bytes] = []
    lacking: Lacking = {}
    at, ascii_only = start, text.isascii()
    opening = text.find(_URL, start, end) if ascii_only else -1
    while opening >= 0:
        closing = text.find(b'"', opening + 1, end)
        if closing < 0:
            break
        if closing - opening > _LONG and text[opening - 1] != 0x5C and text.find(b"\\", opening, closing) < 0:
            name = f"data:{_NONCE}-{len(lacking)}"
            lacking[name] = closing - opening - 1 - len(name)
            pieces += (text[at : opening + 1], name.encode())
            at = closing
        opening = text.find(_URL, closing, end)
    pieces.append(text[at:end])
    return b"".join(pieces), lacking
