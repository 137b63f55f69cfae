"""The names of calls."""

from __future__ import annotations

import secrets
from itertools import count


class RequestIds:
    """Ids that no other call has: a nonce of this process, and a counter."""

    def __init__(self) -> None:
        self._start = "req_" + secrets.token_hex(8)
        self._numbers = count()

    def next(self) -> str:
        """The next one."""
        return f"{self._start}{next(self._numbers):08x}"
