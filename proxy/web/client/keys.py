"""Who is asking: the key a client presents, and the caller it stands for."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from msgspec.structs import replace

from proxy.errors import InvalidApiKey
from proxy.policy.tenants import name_of_owner, owner_of
from proxy.policy.values import Caller
from proxy.stores.secrets.hash_key import keyed, keyed_hash

OPEN = Caller("open")
_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid (unix(7))
NOTED_SECONDS = 10.0
MOST_LINES = 16_384  # remembered by their digests


class Keyring:
    """Looks keys up by a keyed hash; no key is kept."""

    def __init__(self, callers: Iterable[Caller], key: bytes, *, is_open: bool | None = None) -> None:
        """`key` is that of the hashes. `is_open`: every key is welcome and counts as `open` (loopback only; the
        configuration sees to that).

        Not said, it is open where there are no callers. `used` says when each caller last called (UTC epoch ms).
        """
        self._key = key
        callers = list(callers)
        keyed_callers = [caller for caller in callers if caller.key_hmac or caller.key_sha256]
        self._callers = {caller.key_hmac or keyed(key, caller.key_sha256): caller for caller in keyed_callers}
        self._by_uid = {
            caller.uid: caller for caller in reversed(callers) if caller.uid is not None
        }  # the first one counts
        self._is_open = not callers if is_open is None else is_open
        self._line_key = secrets.token_bytes(32)
        self._by_line: dict[bytes, Caller] = {}
        self.used: dict[str, int] = {}

    def caller(self, headers: Mapping[str, str], peer_uid: Callable[[], int | None] = lambda: None) -> Caller:
        """Identify the caller: by a key, else by the user at the other end of a Unix socket.

        Raises `InvalidApiKey`, with one message for every reason.
        """
        if self._is_open:
            return OPEN
        for presented in _presented(headers):
            found = self._callers.get(keyed_hash(self._key, presented))
            if found is not None and self.admits(found):
                return found
        if self._by_uid and (uid := peer_uid()) in self._by_uid and self.admits(user := self._by_uid[uid]):
            return user
        raise InvalidApiKey(
            "The API key is missing or not valid here. Send one of Tollkeeper's own keys (`keys:` in its "
            "configuration) as 'Authorization: Bearer KEY'; keys of providers are not accepted."
        )

    def caller_of(self, line: bytes) -> Caller | None:
        """Identify the caller by the line of one header, as it came; None where it takes more to tell."""
        if self._is_open:
            return OPEN
        digest = hashlib.blake2b(line, digest_size=16, key=self._line_key).digest()
        found = self._by_line.get(digest)
        if found is None and (secret := _secret_in(line)):
            found = self._callers.get(keyed_hash(self._key, secret))
            if found is not None:
                if len(self._by_line) >= MOST_LINES:
                    self._by_line.clear()
                self._by_line[digest] = found
        return found if found is not None and self.admits(found) else None

    def owning(self, owner: str) -> Caller | None:
        """Whose these things are, for what is done in its stead; None where its key does not count any more."""
        if self._is_open:
            return OPEN if owner == OPEN.name else None
        found = self._by_owner.get(owner)
        return found if found is not None and self.admits(found) else None

    def name_of(self, owner: str) -> str:
        """What whose things these are is called now, else was when its key was made; of a tenant `tenant/key`."""
        found = self._by_owner.get(owner)
        return name_of_owner(owner) if found is None else owner_of(replace(found, owner=""))

    @cached_property
    def _by_owner(self) -> dict[str, Caller]:
        found: dict[str, Caller] = {}
        for caller in (*self._callers.values(), *self._by_uid.values()):
            found.setdefault(owner_of(caller), caller)
        return found

    def admits(self, caller: Caller) -> bool:
        """Whether a caller's key still counts, which is noted as its use."""
        return self.admitted_until(caller) > 0

    def admitted_until(self, caller: Caller) -> float:
        """The same, as the time (UTC epoch seconds) at which to ask again: the use is noted to ten seconds. 0: it does not."""
        now = time.time()
        if caller is OPEN:
            return now + NOTED_SECONDS
        if caller.expires_ms is not None and now * 1000 >= caller.expires_ms:
            return 0.0
        self.used[caller.name] = int(now * 1000)
        return now + NOTED_SECONDS if caller.expires_ms is None else min(now + NOTED_SECONDS, caller.expires_ms / 1000)


def peer_uid(transport: asyncio.BaseTransport | None) -> int | None:
    """The user at the other end of a Unix socket, as the kernel has known it since the connection was made (Linux); None
    at any other end."""
    found = None if transport is None else transport.get_extra_info("socket")
    if found is None or found.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    _, uid, _ = _CREDENTIALS.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def _presented(headers: Mapping[str, str]) -> Iterable[str]:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip()
    for name in ("x-api-key", "api-key"):
        if key := headers.get(name, "").strip():
            yield key


def _secret_in(line: bytes) -> str:
    """The key that the line of one header presents; "" where it presents none."""
    name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
    value = value.strip()
    if name.lower() == "authorization":
        scheme, _, value = value.partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""
    return value
