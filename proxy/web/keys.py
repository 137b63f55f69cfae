"""Who is asking: the key a client presents, and the caller it stands for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping

from proxy.errors import InvalidApiKey
from proxy.policy.values import Caller

OPEN = Caller("open")


class Keyring:
    """Looks keys up by a keyed hash, whose key lives as long as the process; no key is kept."""

    def __init__(self, callers: Iterable[Caller], *, is_open: bool | None = None) -> None:
        """`is_open`: every key is welcome and counts as `open` (loopback only; the configuration sees to that).

        Not said, it is open where there are no callers. `used` says when each caller last called (UTC epoch ms).
        """
        self._pepper = secrets.token_bytes(32)
        self._callers = {self._digest(caller.key_sha256): caller for caller in callers}
        self._is_open = not self._callers if is_open is None else is_open
        self.used: dict[str, int] = {}

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Identify the caller. Raises `InvalidApiKey`, with one message for every reason."""
        if self._is_open:
            return OPEN
        now_ms = int(time.time() * 1000)
        for presented in _presented(headers):
            digest = self._digest(hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest())
            found = self._callers.get(digest)
            if found is None or not hmac.compare_digest(self._digest(found.key_sha256), digest):
                continue
            if found.expires_ms is None or now_ms < found.expires_ms:
                self.used[found.name] = now_ms
                return found
        raise InvalidApiKey(
            "The API key is missing or not valid here. Send one of Tollkeeper's own keys (`keys:` in its "
            "configuration) as 'Authorization: Bearer KEY'; keys of providers are not accepted."
        )

    def _digest(self, sha256: bytes) -> bytes:
        return hmac.digest(self._pepper, sha256, "sha256")


def _presented(headers: Mapping[str, str]) -> Iterable[str]:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip()
    for name in ("x-api-key", "api-key"):
        if key := headers.get(name, "").strip():
            yield key
