"""Wrong tokens by address: after a few, an address has to wait before another is looked at. Nobody elsewhere does."""

from __future__ import annotations

import ipaddress

AT_ONCE = 10.0
SECONDS_EACH = 6.0
_MOST_ADDRESSES = 4096


class Guesses:
    """`now` is monotonic seconds."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, address: str, now: float) -> float:
        """How long this address has to wait; 0 where it may try."""
        return max(0.0, (1.0 - self._tries(_group(address), now)) * SECONDS_EACH)

    def wrong(self, address: str, now: float) -> None:
        """It was a wrong one."""
        group = _group(address)
        left = self._tries(group, now) - 1.0
        self._left.pop(group, None)
        if len(self._left) >= _MOST_ADDRESSES:
            del self._left[next(iter(self._left))]
        self._left[group] = (left, now)

    def _tries(self, group: str, now: float) -> float:
        left, at = self._left.get(group, (AT_ONCE, now))
        return min(AT_ONCE, left + (now - at) / SECONDS_EACH)


def _group(address: str) -> str:
    """Of version 6 the network, of which one machine has all addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
