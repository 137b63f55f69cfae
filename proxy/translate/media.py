"""Pictures, documents and sound in data URLs, and out of them."""

from __future__ import annotations

import base64
import re
from typing import Any

from proxy.translate.values import Media

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


_LONGEST_SCHEME = 16
_SPELLED = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}
# base64 of the first bytes
_BEGIN = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
PDF = "application/pdf"
_TEXTS = ("text/", "application/json", "application/xml", "application/x-yaml")


def from_url(media: Media, url: str) -> Media:
    """Put what a URL holds, or where it leads, into `media`; of a file base64 alone will do."""
    found = _DATA.match(url)
    if found:
        told = (found[1] or "").lower()
        media.media_type, media.data = _SPELLED.get(told, told), url[found.end() :]
        if media.media_type == PDF:  # which some send as a picture
            media.kind = "file"
    elif media.kind == "file" and ":" not in url[:_LONGEST_SCHEME]:
        media.data = url
    else:
        media.url = url
    return media


def is_breakpoint(cache: Any) -> bool:
    """Whether a mark for a prompt cache is OpenAI's; else it is Anthropic's."""
    return isinstance(cache, dict) and "mode" in cache


def picture_type(media: Media) -> str:
    """The type of a picture by how its bytes begin, as some servers refuse one that is called otherwise; else what it is called."""
    return next(
        (kind for begin, kind in _BEGIN.items() if media.data.startswith(begin)), media.media_type or _default(media)
    )


def text_of(media: Media) -> str | None:
    """What a file of text says; None of any other."""
    try:
        return base64.b64decode(media.data).decode() if media.media_type.startswith(_TEXTS) else None
    except ValueError:
        return None


def to_url(media: Media) -> str:
    """The URL that leads to it or holds it."""
    return f"data:{media.media_type or _default(media)};base64,{media.data}" if media.data else media.url


def _default(media: Media) -> str:
    return PDF if media.kind == "file" else "image/png"
