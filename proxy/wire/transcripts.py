"""How long the sound of a transcript was, where its reply says that and no usage (`verbose_json`, Groq's)."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct

from proxy.wire.usage import Usage

_MOST_SECONDS = 10**6


class _Transcript(Struct):
    duration: Any = None


_transcript = msgspec.json.Decoder(_Transcript, float_hook=Decimal)


def heard(body: bytes) -> Usage | None:
    """The seconds of a JSON transcript, begun ones whole; None where it tells of none that can be."""
    try:
        told = _transcript.decode(body).duration
        if isinstance(told, bool) or not isinstance(told, int | str | Decimal):
            return None
        seconds = Decimal(told)
    except (msgspec.DecodeError, InvalidOperation, RecursionError, UnicodeDecodeError):
        return None
    if not seconds.is_finite() or not 0 <= seconds <= _MOST_SECONDS:
        return None
    return Usage(audio_seconds=int(seconds.to_integral_value(ROUND_CEILING)))
