"""Secrets at rest: AES-256-GCM under a data key of their tenant, which is wrapped by a master key.

A sealed secret is bound to its tenant and its place, so that one put elsewhere in the ledger does not open. What does
not open is told as such, with the master key it wants; it is never taken for absent.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.stores.failures import StoreError
from proxy.stores.secrets.master_keys import KEY_BYTES, MasterKeys
from proxy.stores.settings import DataKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_FORMAT = "v1"


class Unreadable(StoreError):
    """A secret cannot be opened with the master keys there are; the message says which one is missing or wrong."""


class Sealer:
    """Seals and opens, with the data keys the ledger has, from any thread: two first secrets at once hang on one key."""

    def __init__(self, masters: MasterKeys, keys: Iterable[DataKey]) -> None:
        self.masters = masters
        self._turn = threading.Lock()
        self._fresh: dict[str, DataKey] = {}
        self._keys = {key.id: key for key in keys}
        self._opened: dict[str, AESGCM] = {}

    @property
    def has_keys(self) -> bool:
        """Whether anything was ever sealed here."""
        return bool(self._keys)

    @property
    def keys(self) -> list[DataKey]:
        """The data keys, the oldest first."""
        return list(self._keys.values())

    def begin(self, now: float) -> None:
        """Make a first master key, where there is none and nothing was ever sealed. Raises `MasterKeysUnusable`."""
        with self._turn:
            if not self.masters.active and not self.has_keys:
                self.masters.make_first(now)

    def seal(self, tenant: str, place: str, text: str, at_ms: int) -> str:
        """`v1.<id of the data key>.<nonce>.<ciphertext>`. Raises `Unreadable` where there is no master key."""
        with self._turn:
            key = self._key_of(tenant, at_ms)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher(key).encrypt(nonce, text.encode(), _bound(tenant, place))
        return ".".join((_FORMAT, key.id, _text(nonce), _text(sealed)))

    def open(self, tenant: str, place: str, sealed: str) -> str:
        """The text again. Raises `Unreadable`."""
        from cryptography.exceptions import InvalidTag

        shape, identity, *parts = [*sealed.split("."), "", "", ""][:4]
        key = self._keys.get(identity)
        if shape != _FORMAT or key is None:
            raise Unreadable(f"the data key {identity or '?'} of {place} is not in the ledger")
        try:
            nonce, ciphertext = map(_bytes, parts)
            return self._cipher(key).decrypt(nonce, ciphertext, _bound(tenant, place)).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(f"what is stored as {place} was changed, or stood elsewhere") from None

    def check(self, key: DataKey) -> str:
        """Why this data key cannot be opened; "" where it can."""
        try:
            self._cipher(key)
        except Unreadable as error:
            return str(error)
        return ""

    def rewrapped(self, key: DataKey) -> DataKey:
        """The same data key under the active master key. Raises `Unreadable`."""
        plain = self._unwrapped(key)
        return self._wrapped(key.id, key.tenant, plain, key.created_ms)

    def take_on(self, masters: MasterKeys, keys: Iterable[DataKey]) -> None:
        """Other master keys, and the data keys as the ledger has them now; what is not yet there is wrapped as they are."""
        with self._turn:
            self.masters = masters
            self._opened = {}
            for key in self._fresh.values():
                self._fresh[key.id] = key if self.check(key) else self.rewrapped(key)
            self._keys = {key.id: key for key in (*self._keys.values(), *keys, *self._fresh.values())}

    def fresh(self) -> list[DataKey]:
        """The data keys made here that are not yet known to be in the ledger, to be kept with what they seal."""
        with self._turn:
            return list(self._fresh.values())

    def kept(self, keys: Iterable[DataKey]) -> None:
        """These are in the ledger."""
        with self._turn:
            for key in keys:
                self._fresh.pop(key.id, None)

    def _key_of(self, tenant: str, at_ms: int) -> DataKey:
        """The tenant's newest that can be opened, else a new one."""
        for key in reversed(self._keys.values()):
            if key.tenant == tenant and not self.check(key):
                return key
        made = self._wrapped(f"d{secrets.token_hex(6)}", tenant, secrets.token_bytes(KEY_BYTES), at_ms)
        self._fresh[made.id] = made
        self._keys[made.id] = made
        return made

    def _wrapped(self, identity: str, tenant: str, plain: bytes, created_ms: int) -> DataKey:
        label = self.masters.active
        if not label:
            missing = ", ".join(sorted({key.label for key in self._keys.values()}))
            hint = f", and what is stored hangs on {missing}: put it back, or run this as the daemon is run"
            absent = f"there is no master key in {self.masters.source}{hint if missing else ''}"
            raise Unreadable(self.masters.trouble or absent)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._master(label).encrypt(nonce, plain, _bound(tenant, identity))
        return DataKey(identity, tenant, label, wrapped, created_ms)

    def _cipher(self, key: DataKey) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        found = self._opened.get(key.id)
        if found is None:
            found = self._opened[key.id] = AESGCM(self._unwrapped(key))
        return found

    def _unwrapped(self, key: DataKey) -> bytes:
        from cryptography.exceptions import InvalidTag

        if key.label not in self.masters.keys:
            missing = f"the master key {key.label} is not in {self.masters.source}; put it back there"
            raise Unreadable(self.masters.trouble or missing)
        nonce, sealed = key.wrapped[:_NONCE_BYTES], key.wrapped[_NONCE_BYTES:]
        try:
            return self._master(key.label).decrypt(nonce, sealed, _bound(key.tenant, key.id))
        except (InvalidTag, ValueError):
            raise Unreadable(
                f"the master key {key.label} in {self.masters.source} is another than the one used"
            ) from None

    def _master(self, label: str) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.masters.keys[label])


def sealed_under(sealed: str) -> str:
    """The id of the data key a secret was sealed under; "" for what is none."""
    return [*sealed.split("."), ""][1]


def _bound(tenant: str, place: str) -> bytes:
    return f"{tenant}\0{place}".encode()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("no base64") from error
