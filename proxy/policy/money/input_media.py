"""What a request brings to its model: bytes of text, images, sound, and whether more lies elsewhere.

The length of a body bounds the tokens of its text: no tokenizer of today's makes more than one
token of a byte, and the JSON around a message is longer than the marks a model puts there. Only
what stands in the place of an image or a recording is no text; its bytes are taken off again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from proxy.policy.money.items import item_tokens
from proxy.policy.money.tools import offered
from proxy.wire.call import Call
from proxy.wire.media import Lacking
from proxy.wire.sound import HEAD_BYTES, bytes_a_second

# What providers put before the tools of a request, and what one of their own tools adds unseen.
TOOLS_TOKENS = 1_024
OWN_TOOL_TOKENS = 2_048

# No codec that endpoints take runs below 4 kbit/s.
LEAST_AUDIO_BYTES_PER_SECOND = 500

_MEDIA_MEMBERS = ("image", "images", "mask", "input_references", "image_url")
# Members that stand for content kept at the provider, as long as anybody likes.
_ELSEWHERE = ("previous_response_id", "conversation", "container", "mcp_servers", "thread")
# Where such a member says that there is nothing: Anthropic's `thread` of a conversation that begins.
_NOTHING_ELSEWHERE: tuple[object, ...] = (None, "", [], {}, False, {"type": "create"})
INPUT_MEMBERS = frozenset(
    {
        "system",
        "messages",
        "input",
        "input_audio",
        "cache_control",
        "prompt_cache_options",
        "tools",
        "prompt",
        "preset",
        "query",
        "documents",
        *_MEDIA_MEMBERS,
        *_ELSEWHERE,
    }
)
# Parts whose length says nothing of their tokens: pages of a PDF, things kept at the provider.
_OPAQUE = frozenset({"file", "input_file", "document", "container_upload", "item_reference"})
# How long a prompt is kept that costs as usual; what marks a part that is to be kept: Anthropic's word, OpenAI's.
_USUAL_TIMES = (None, "5m", "30m")
_KEEPS = ("cache_control", "prompt_cache_breakpoint")
_DEEPEST = 4
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*"?([^\s;,"]+)', re.IGNORECASE)


class InputMedia(Struct, frozen=True):
    """Bounds of what a model will read beside text. `items` are those of an array of texts, each read by itself; empty elsewhere. `is_elsewhere`: some of it is not in the body, and only the
    context window bounds it. `caches_for_hours`: some is to be kept for longer than as usual."""

    images: int = 0
    audio_seconds: int = 0
    is_elsewhere: bool = False
    caches_for_hours: bool = False
    items: tuple[int, ...] = ()


class _Tally:
    """Adds up what parts of a body are no text."""

    def __init__(self, lacking: Lacking | None = None) -> None:
        self._lacking = lacking or {}
        self.media_bytes = 0
        self.images = 0
        self.audio_bytes = 0
        self.is_elsewhere = False
        self.caches_for_hours = False

    def items(self, value: Any, depth: int = 0) -> None:
        """Messages, input items or content parts, however they nest."""
        if depth > _DEEPEST:
            return
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                self._item(item, depth)

    def _item(self, item: dict[str, Any], depth: int) -> None:
        for mark in _KEEPS:
            if mark in item:
                self.caching(item[mark])
        kind = item.get("type")
        kind = kind if isinstance(kind, str) else ""
        if "image" in kind or "screenshot" in kind:
            self._image(item)
        elif "audio" in kind:
            self._audio(item)
        elif kind == "document" and _is_plain(item.get("source")):
            self.items(item["source"].get("content"), depth + 1)
        elif kind in _OPAQUE or "video" in kind:
            self.is_elsewhere = True
        else:
            for name in ("content", "output"):
                self.items(item.get(name), depth + 1)
            self.is_elsewhere = self.is_elsewhere or isinstance(item.get("audio"), dict)

    def _image(self, part: dict[str, Any]) -> None:
        self.images += 1
        for place in (part.get("image_url"), part.get("source"), part.get("result")):
            data = place.get("data") or place.get("url") if isinstance(place, dict) else place
            if isinstance(data, str):
                self.media_bytes += self._size(data)
                return

    def _audio(self, part: dict[str, Any]) -> None:
        sound = part.get("input_audio") or part.get("audio_url") or part.get("source")
        data = sound.get("data") if isinstance(sound, dict) else None
        if isinstance(data, str):
            self.media_bytes += self._size(data)
            self.audio_bytes += self._size(data)
        else:  # a recording at some address is as long as it likes
            self.is_elsewhere = True

    def _size(self, data: str) -> int:
        return len(data) + self._lacking.get(data, 0)

    def caching(self, control: Any) -> None:
        """A mark that what stands here is to be kept in a cache."""
        self.caches_for_hours = self.caches_for_hours or is_for_hours(control)

    def images_of(self, value: Any) -> None:
        """Images the image endpoints take beside the prompt: addresses, data, or objects that hold one."""
        for image in value if isinstance(value, list) else (value,):
            if image is not None:
                self._image({"image_url": image.get("image_url", image) if isinstance(image, dict) else image})


TEXT_ALONE = InputMedia()


def read_input(
    call: Call, members: Mapping[str, Any], added_bytes: int, lacking: Lacking | None = None
) -> tuple[int, InputMedia]:
    """Measure a request: the tokens that its text has at most, and what it brings beside that; `members` are those of `INPUT_MEMBERS` it will have, decoded, `added_bytes` those put in;
    `lacking` is what they are short of (wire/media.py)."""
    if call.form is not None:
        return _read_form(call)
    tally = _Tally(lacking)
    for name in ("system", "messages", "input"):
        tally.items(members.get(name))
    tools = offered(members)
    tally.caches_for_hours = tally.caches_for_hours or are_for_hours(tools)
    tally.caching(members.get("cache_control"))
    tally.caching(members.get("prompt_cache_options"))
    if call.endpoint.name.startswith("images"):
        for name in _MEDIA_MEMBERS:
            tally.images_of(members.get(name))
    if (sound := members.get("input_audio")) is not None:
        tally.items({"type": "input_audio", "input_audio": sound})
    is_elsewhere = tally.is_elsewhere or any(members.get(name) not in _NOTHING_ELSEWHERE for name in _ELSEWHERE)
    is_elsewhere = is_elsewhere or isinstance(members.get("prompt"), dict) or bool(members.get("preset"))
    return len(call.body) + added_bytes - tally.media_bytes + tools_tokens(tools), InputMedia(
        images=tally.images,
        audio_seconds=-(-tally.audio_bytes // LEAST_AUDIO_BYTES_PER_SECOND),
        is_elsewhere=is_elsewhere,
        caches_for_hours=tally.caches_for_hours,
        items=item_tokens(call.endpoint.name, members),
    )


def is_for_hours(control: Any) -> bool:
    """Whether a mark says that something is to be kept for longer than as usual."""
    return isinstance(control, dict) and control.get("ttl") not in _USUAL_TIMES


def are_for_hours(tools: Any) -> bool:
    """Whether tools, which are text, have such a mark."""
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if any(isinstance(one, dict) and is_for_hours(one.get("cache_control")) for one in (tool, function)):
            return True
    return False


def _is_plain(source: Any) -> bool:
    """Whether a document is text that stands in the body."""
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def tools_tokens(tools: Any) -> int:
    """What providers put before the tools of a request, beside what it says of them."""
    if not isinstance(tools, list) or not tools:
        return 0
    own = sum(isinstance(tool, dict) and tool.get("type", "function") not in ("function", "custom") for tool in tools)
    return TOOLS_TOKENS + own * OWN_TOOL_TOKENS


def _read_form(call: Call) -> tuple[int, InputMedia]:
    """Files are images or recordings, as the endpoint has it; every other part is text."""
    boundary = _BOUNDARY.search(call.content_type)
    delimiter = b"--" + (boundary[1].encode("utf-8", "surrogateescape") if boundary else b"")
    text, files, seconds = 0, 0, 0
    for part in call.body.split(delimiter):
        head = part.partition(b"\r\n\r\n")[0]
        if b"filename" in head.lower():
            files += 1
            begin = len(head) + 4
            seconds += _seconds_of(part[begin : begin + HEAD_BYTES], len(part))
        else:
            text += len(part)
    if call.endpoint.name.startswith("audio"):
        return text, InputMedia(audio_seconds=seconds)
    return text, InputMedia(images=files)


def _seconds_of(begin: bytes, size: int) -> int:
    """How long a recording of so many bytes is at most; a file that says what a second takes holds no more than it says."""
    return -(-size // max(LEAST_AUDIO_BYTES_PER_SECOND, bytes_a_second(begin) or 0))
