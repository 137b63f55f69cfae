"""What a request really needs of its model: tools, pictures, files, sound, a schema, reasoning."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.policy.names.catalogue import TAKES
from proxy.policy.routing.values import BITS, NEEDS
from proxy.wire.call import Call

# A quote within a text is escaped, so that these are members and no prose.
_FILE = re.compile(rb'"type"\s*:\s*"(?:file|input_file|document)"')
_TOOLS = re.compile(rb'"type"\s*:\s*"additional_tools"')
_SCHEMA = re.compile(rb'"type"\s*:\s*"json_schema"')
_NOTHING = (b"[]", b"null", b"{}", b'"none"', b'"minimal"', b"false")


def needs_of(call: Call, images: int, audio_seconds: int) -> int:
    """Bits of what a call needs beside text; `images` and `audio_seconds` as it was weighed."""
    needs = BITS["pictures"] * (images > 0) | BITS["audio"] * (audio_seconds > 0)
    if call.document is None:
        return needs
    values = {name: bytes(value) for name, value in call.document.values.items() if name in _TELLING}
    if any(values.get(name, b"[]").strip() not in _NOTHING for name in ("tools", "functions")) or _TOOLS.search(
        values.get("input", b"")
    ):
        needs |= BITS["tools"]
    if any(
        _SCHEMA.search(values.get(name, b"")) for name in ("response_format", "text", "output_format", "output_config")
    ):
        needs |= BITS["json_schema"]
    if any(values.get(name, b"null").strip() not in _NOTHING for name in ("reasoning_effort", "thinking", "reasoning")):
        needs |= BITS["reasoning"]
    if any(_FILE.search(values.get(name, b"")) for name in ("messages", "input")):
        needs |= BITS["files"]
    return needs


def needs_named(words: Iterable[str]) -> int:
    """The bits of words such as "images". Raises ValueError for one nobody knows."""
    needs = 0
    for word in words:
        name = NEEDS.get(word, word)
        if name not in BITS:
            raise ValueError(f"nothing a model takes is called {word!r}; there is: {', '.join(TAKES)}")
        needs |= BITS[name]
    return needs


_TELLING = frozenset(
    ("tools", "functions", "response_format", "text", "output_format", "output_config")
    + ("reasoning_effort", "thinking", "reasoning", "messages", "input")
)
