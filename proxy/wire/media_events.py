"""Streams of pictures and sound: each ends on an event whose type says so."""

from __future__ import annotations

_FAMILIES = ("image_generation.", "image_edit.", "speech.audio.", "transcript.text.")
_LAST = (".completed", ".done")


def is_last(kind: str) -> bool:
    """Whether a stream may end on an event of this type."""
    return kind.endswith(_LAST)


def is_midway(kind: str) -> bool:
    """Whether more has to follow an event of this type."""
    return kind.startswith(_FAMILIES) and not is_last(kind)
