"""One request, measured before it is sent: what it brings and what it asks for."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.money.asks import ASKS_FIELDS, ASKS_MEMBERS, Asks, read_asks
from proxy.policy.money.intake import INTAKE_MEMBERS, Intake, read_intake
from proxy.wire.call import Call, Defaults, applied_defaults
from proxy.wire.form import read_form

_WANTED = INTAKE_MEMBERS | ASKS_MEMBERS
_LIKELY_IMAGE_TOKENS = 1_000
_LIKELY_AUDIO_TOKENS_PER_SECOND = 1  # of the seconds a file can have at most; real ones have a tenth


class Weight(Struct, frozen=True):
    """What a request weighs, whichever model serves it."""

    endpoint: str
    body_bytes: int
    intake: Intake
    asks: Asks


def weigh(call: Call, defaults: Defaults = ()) -> Weight:
    """Measure a request once, with the defaults of its alias that will be put in."""
    members: dict[str, Any] = {}
    if call.form is not None:
        fields = read_form(call.body, call.content_type, ASKS_FIELDS)
        members = {name: field.text for name, field in fields.items()}
    elif call.document is not None:
        members = {name: call.document.value(name) for name in call.document.members if name in _WANTED}
    added = applied_defaults(call, defaults, call.endpoint.max_field)
    for name, text in added:
        members[name] = msgspec.json.decode(text)
    added_bytes = sum(len(text) for _, text in added)
    return Weight(
        endpoint=call.endpoint.name,
        body_bytes=len(call.body) + added_bytes,
        intake=read_intake(call, members, added_bytes),
        asks=read_asks(call, members),
    )


def likely_tokens(weight: Weight) -> int:
    """What a limit on tokens reserves until the call's own count is known: 3.5 bytes a token, and the maximum."""
    asks, intake = weight.asks, weight.intake
    read = -(-max(0, intake.text_tokens) * 2 // 7) + intake.images * _LIKELY_IMAGE_TOKENS
    read += intake.audio_seconds * _LIKELY_AUDIO_TOKENS_PER_SECOND
    return read + (asks.maximum or 0) * (asks.copies or 1)
