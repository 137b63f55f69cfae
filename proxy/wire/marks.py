"""What a request says of what it belongs to: the session of a coding agent, and tags.

Sessions, by what is sent (Claude Code 2.1.332, Codex 0.171.0, opencode 1.18.33 and OpenRouter's own API; wire.md 1.3):
`x-session-id` (opencode, OpenRouter), `x-claude-code-session-id`, `session-id` (Codex; `session_id` before 0.16x),
`x-session-affinity` (opencode); in the body `session_id` (OpenRouter), `metadata.user_id` (Claude Code, whose text is an
object with `session_id`, or ends with `_session_UUID` in older versions), `prompt_cache_key` where it names a conversation
(Codex, opencode) and not an application's prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proxy.errors import InvalidValue
from proxy.wire.json_object import JsonObject

TAGS = "x-tollkeeper-tags"
MOST_TAGS = 8
LONGEST_TAG = 64
LONGEST_SESSION = 128

SESSIONS = ("x-session-id", "x-claude-code-session-id", "session-id", "session_id", "x-session-affinity")
_TAG = re.compile(r"[!-+\--~]+")  # visible, and no comma
_UNUSUAL = re.compile(r"[^A-Za-z0-9._:@/+=,-]")  # in an id, which people copy to a command line
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_OLD_USER_ID = re.compile(rf"user_\w*_session_({_UUID})")
_CONVERSATION = re.compile(rf"{_UUID}|ses_[0-9A-Za-z]+")


class Marks(Struct, frozen=True):
    """`session` is the client's own id, "" where it sends none; it means nothing without the key it came under."""

    session: str = ""
    tags: tuple[str, ...] = ()


UNMARKED = Marks()


def marks_of_head(headers: Mapping[str, str], tags: Sequence[str]) -> Marks:
    """What the head says; `tags` are the values of all headers of that name. Raises `InvalidValue`."""
    session = next((usable for name in SESSIONS if (usable := _session(headers.get(name)))), "")
    return Marks(session, _tags(tags)) if session or tags else UNMARKED


def marks_of(head: Marks, document: JsonObject | None) -> Marks:
    """The same with what the body says, where the head names no session."""
    if head.session or document is None:
        return head
    members = document.values
    session = _session(document.value("session_id")) if "session_id" in members else ""
    if not session and "metadata" in members:
        session = _of_metadata(document.value("metadata"))
    if not session and "prompt_cache_key" in members:
        key = document.value("prompt_cache_key")
        session = key if isinstance(key, str) and _CONVERSATION.fullmatch(key) else ""
    return Marks(session, head.tags) if session else head


def _session(value: object) -> str:
    """An id as it may be kept: bounded, and harmless in a shell."""
    return _UNUSUAL.sub("_", value.strip()).lstrip("-")[:LONGEST_SESSION] if isinstance(value, str) else ""


def _of_metadata(metadata: Any) -> str:
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user_id, str):
        return ""
    if (old := _OLD_USER_ID.fullmatch(user_id)) is not None:
        return old[1]
    try:
        found = msgspec.json.decode(user_id)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return ""
    return _session(found.get("session_id")) if isinstance(found, dict) else ""


def _tags(values: Sequence[str]) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(tag for value in values for part in value.split(",") if (tag := part.strip())))
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG or not _TAG.fullmatch(tag) for tag in tags):
        raise InvalidValue(
            f"The header {TAGS} takes at most {MOST_TAGS} tags, each of at most {LONGEST_TAG} visible ASCII characters, "
            "with commas between them.",
            param=TAGS,
        )
    return tags
