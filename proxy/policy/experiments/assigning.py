"""Which arm a call belongs to: a hash of what stays together, so that nothing has to be remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_WHOLE = float(2**32)


def arm_of(experiment: str, unit: bytes, shares: Sequence[float]) -> int:
    """The arm's place. `unit` is what stays together: a session or a key under its key's name, or one call.

    Of two draws the first says whether it is one of the newcomers, the second which: as their share grows, nobody who has
    one goes back to the first arm or to another newcomer.
    """
    digest = hashlib.blake2b(unit, digest_size=8, key=experiment.encode()[:64]).digest()
    if int.from_bytes(digest[:4]) / _WHOLE * 100 >= sum(shares[1:]):
        return 0
    point = int.from_bytes(digest[4:]) / _WHOLE * sum(shares[1:])
    for place, share in enumerate(shares[1:], 1):
        if point < share:
            return place
        point -= share
    return max(place for place, share in enumerate(shares) if share)


def is_copied(scope: str, unit: bytes, share: float) -> bool:
    """Whether a shadow arm gets a copy of this call."""
    digest = hashlib.blake2b(unit, digest_size=4, key=scope.encode()[:64]).digest()
    return int.from_bytes(digest) / _WHOLE * 100 < share
