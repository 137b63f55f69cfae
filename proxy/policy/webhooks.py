"""Signed webhooks as Standard Webhooks has them (standardwebhooks.com): signatures, what an answer means, waits."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urlsplit

from proxy.policy.operators import Hook
from proxy.policy.retries.retry import retry_after_seconds
from proxy.secret import Secret

Answer = Literal["delivered", "gone", "failed"]

WAITS_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
DAY_SECONDS = 86400.0
_TAKES_NO_MORE = (429, 503)

# IPv6 addresses that stand for one of IPv4: NAT64 (RFC 6052), 6to4 (RFC 3056)
_NAT64 = IPv6Network("64:ff9b::/96")
_LAST_32_BITS = 0xFFFFFFFF

_PREFIX = "whsec_"
_MOST_SECRETS = 2


def hook_key(secret: Secret) -> bytes:
    """The bytes that sign: `whsec_` and base64 stand for what that holds, any other text for itself.

    Raises ValueError with a sentence.
    """
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        return text.encode()
    encoded = text.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("begins with whsec_, and no base64 follows")
    return key


def signed_headers(secrets: Iterable[Secret], message_id: str, now: int, body: bytes) -> dict[str, str]:
    """The three headers of one try at `now`, UTC epoch seconds. A message keeps its id over all tries. Of several
    secrets each signs, so that a receiver may hold any of them."""
    content = f"{message_id}.{now}.".encode() + body
    signed = [hmac.new(hook_key(secret), content, hashlib.sha256).digest() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signed),
    }


def meaning(status: int) -> Answer:
    """Any 2xx is taken; 410 wants nothing more; everything else, redirects among it, may pass."""
    if 200 <= status < 300:
        return "delivered"
    return "gone" if status == 410 else "failed"


def asked_wait(status: int, retry_after: str | None, now: datetime) -> float:
    """How long a receiver that takes no more for now asks to be left alone."""
    return (retry_after_seconds(None, retry_after, now) or 0.0) if status in _TAKES_NO_MORE else 0.0


def wait_seconds(tries: int, left_seconds: float, jitter: float, asked_seconds: float = 0.0) -> float | None:
    """How long to wait after so many tries; None where the message's time is over. `jitter` is from 0 to 1. `asked_seconds`: as
    long as the receiver asked for, which counts up to our own longest wait."""
    if left_seconds <= 0:
        return None
    usual = WAITS_SECONDS[min(tries, len(WAITS_SECONDS)) - 1] * (0.9 + 0.2 * jitter)
    return max(usual, min(asked_seconds, WAITS_SECONDS[-1]) * (1 + 0.1 * jitter))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large: no loopback, private, link-local or reserved one, in
    whatever way it is written. What is no address is none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    within = _within(found) if isinstance(found, IPv6Address) else None
    return _is_public(found) and (within is None or _is_public(within))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast


def _within(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & _LAST_32_BITS)
    return address.ipv4_mapped or address.sixtofour


def asked_hook(url: str, secrets: str | None) -> Hook:
    """What a client asks to be told by: an address, and one or two secrets with a space between. Raises ValueError."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise ValueError("must be an address such as https://host/path")
    given = [Secret(one) for one in (secrets or "").split()]
    if not 0 < len(given) <= _MOST_SECRETS:
        raise ValueError("wants a secret beside it that signs what is sent, or two while it changes")
    for one in given:
        hook_key(one)
    return signed_hook(url, given)


def is_private(hook: Hook) -> bool:
    """Whether its address is plainly none of the internet; where a name leads to is only known when it is asked for."""
    host = urlsplit(hook.url.reveal()).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return not is_public(host)


def signed_hook(url: str, secrets: Sequence[Secret]) -> Hook:
    """An address and one or two that sign, the newest first."""
    first, *rest = secrets
    return Hook(Secret(url), first, rest[0] if rest else None)
