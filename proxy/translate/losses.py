"""What a translation could not keep: which field, and what became of it. Both words are from closed lists."""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Struct

Became = Literal["dropped", "changed", "refused"]
Field = Literal[
    "audio",
    "background",
    "cache_control",
    "citations",
    "compaction",
    "container",
    "context_management",
    "conversation",
    "documents",
    "file_id",
    "frequency_penalty",
    "image_detail",
    "include",
    "input_items",
    "item_reference",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "max_tool_calls",
    "mcp_servers",
    "message_name",
    "metadata",
    "modalities",
    "n",
    "other",
    "pictures",
    "prediction",
    "prefill",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "reasoning",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "store",
    "system_position",
    "temperature",
    "thinking",
    "tool_arguments",
    "tool_choice",
    "tool_result_error",
    "tool_result_media",
    "tools.bash",
    "tools.code_execution",
    "tools.computer",
    "tools.file_search",
    "tools.image_generation",
    "tools.mcp",
    "tools.memory",
    "tools.other",
    "tools.text_editor",
    "tools.tool_search",
    "tools.web_fetch",
    "tools.web_search",
    "top_k",
    "top_p",
    "truncation",
    "user",
    "verbosity",
]
FIELDS: frozenset[str] = frozenset(get_args(Field))


class Loss(Struct, frozen=True, order=True):
    """One thing that was not kept."""

    field: Field
    became: Became


class Losses:
    """The losses of one translation, each once."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Loss, None] = {}

    def add(self, field: Field, became: Became = "dropped") -> None:
        """Note that something was not kept."""
        self._found[Loss(field, became)] = None

    def sort(self) -> tuple[Loss, ...]:
        """All of them, in order of their names."""
        return tuple(sorted(self._found))

    def unless_empty(self, field: Field, value: Any) -> None:
        """Note it where there was something to keep; a penalty of 0 is none."""
        if value not in (None, "", [], {}, ()) and not (value == 0 and field.endswith("_penalty")):
            self.add(field)

    def beside(self, said: dict[str, Any], known: frozenset[str], field: Field = "other") -> None:
        """Note what an object says beside what is `known` of it, and its labels; what is empty or usual is nothing."""
        if any(said[name] not in _USUAL for name in said.keys() - known - _LABELS):
            self.add(field)


# What tells objects apart, or how far they are: nothing that a model is told.
_LABELS = frozenset({"id", "type", "role", "status", "object", "index"})
_USUAL: tuple[Any, ...] = (None, False, "", [], {}, ["direct"], {"type": "direct"}, {"type": "local"})

# A provider's own tools by the beginning of their type, at whichever provider.
_TOOLS: tuple[tuple[str, Field], ...] = (
    ("web_search", "tools.web_search"),
    ("openrouter:web_search", "tools.web_search"),
    ("web_fetch", "tools.web_fetch"),
    ("code_execution", "tools.code_execution"),
    ("code_interpreter", "tools.code_execution"),
    ("file_search", "tools.file_search"),
    ("computer", "tools.computer"),
    ("mcp", "tools.mcp"),
    ("image_generation", "tools.image_generation"),
    ("bash", "tools.bash"),
    ("text_editor", "tools.text_editor"),
    ("memory", "tools.memory"),
    ("tool_search", "tools.tool_search"),
)


def tool_field(kind: Any) -> Field:
    """The loss that leaving out a tool of this type is."""
    name = kind if isinstance(kind, str) else ""
    return next((field for start, field in _TOOLS if name.startswith(start)), "tools.other")
