"""Thoughts in the one opaque text that a client carries back: a signature, an encrypted content."""

from __future__ import annotations

import base64
import binascii

import msgspec

from proxy.translate.values import Reasoning

_MARK = "tk1."
_json = msgspec.json.Encoder()
_reasoning = msgspec.json.Decoder(Reasoning)


def seal(thought: Reasoning) -> str:
    """All that belongs to thoughts but their text, which is shown beside it. It hides nothing the client has not got."""
    untold = msgspec.structs.replace(thought, text="")
    return _MARK + base64.urlsafe_b64encode(_json.encode(untold)).decode()


def unseal(text: str, shown: str = "") -> Reasoning | None:
    """What `seal` made a text of, with the thoughts as they were shown; None where another made it."""
    if not text.startswith(_MARK):
        return None
    try:
        thought = _reasoning.decode(base64.urlsafe_b64decode(text[len(_MARK) :]))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    thought.text = shown
    return thought
