"""Who is asking: the key a client presents, and the caller it stands for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from proxy.errors import InvalidApiKey
from proxy.policy.values import Caller

OPEN = Caller("open")


class Keyring:
    """Looks keys up by a keyed hash, whose key lives as long as the process; no key is kept."""

    def __init__(self, callers: Iterable[Caller]) -> None:
        """Without callers every key is welcome and counts as `open` (loopback only; the configuration sees to that)."""
        self._pepper = secrets.token_bytes(32)
        self._callers = {self._digest(caller.key_sha256): caller for caller in callers}

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Identify the caller. Raises `InvalidApiKey`, with one message for every reason."""
        if not self._callers:
            return OPEN
        for presented in _presented(headers):
            digest = self._digest(hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest())
            found = self._callers.get(digest)
            if found is not None and hmac.compare_digest(self._digest(found.key_sha256), digest):
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
