"""Signed webhooks as Standard Webhooks has them (standardwebhooks.com): signatures, what an answer means, waits."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

from proxy.secret import Secret

Answer = Literal["delivered", "gone", "failed"]

WAITS_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
LONGEST_AGE_SECONDS = 3 * 86400.0

_PREFIX = "whsec_"


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


def signed_headers(secret: Secret, message_id: str, now: int, body: bytes) -> dict[str, str]:
    """The three headers of one try at `now`, UTC epoch seconds. A message keeps its id over all tries."""
    signed = hmac.new(hook_key(secret), f"{message_id}.{now}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def meaning(status: int) -> Answer:
    """Any 2xx is taken; 410 wants nothing more; everything else, redirects among it, may pass."""
    if 200 <= status < 300:
        return "delivered"
    return "gone" if status == 410 else "failed"


def wait_seconds(tries: int, age_seconds: float, jitter: float) -> float | None:
    """How long to wait after so many tries; None where the message is too old. `jitter` is from 0 to 1."""
    if age_seconds >= LONGEST_AGE_SECONDS:
        return None
    return WAITS_SECONDS[min(tries, len(WAITS_SECONDS)) - 1] * (0.9 + 0.2 * jitter)
