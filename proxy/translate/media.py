"""Pictures, documents and sound in data URLs, and out of them."""

from __future__ import annotations

import re

from proxy.translate.values import Media

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


def from_url(media: Media, url: str) -> Media:
    """Put what a URL holds, or where it leads, into `media`."""
    found = _DATA.match(url)
    if found:
        media.media_type, media.data = (found[1] or "").lower(), url[found.end() :]
    else:
        media.url = url
    return media


def to_url(media: Media) -> str:
    """The URL that leads to it or holds it."""
    return f"data:{media.media_type or _default(media)};base64,{media.data}" if media.data else media.url


def _default(media: Media) -> str:
    return "application/pdf" if media.kind == "file" else "image/png"
