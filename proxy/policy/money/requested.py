"""What a request asks for: how much output, of what kind, which tools of the provider's, at which tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from proxy.policy.money.counts import count, positive
from proxy.policy.money.input_media import tools_tokens
from proxy.policy.money.pictures import Picture, picture_of, picture_tokens
from proxy.policy.money.tools import TOOLS_MEMBERS, Tools, offered, read_tools
from proxy.wire.call import MAXIMA, Call

_USUAL_TIERS = frozenset({"auto", "default", "standard", "standard_only", "flex", "batch", "global", "not_available"})
_TIERS = ("service_tier", "speed", "inference_geo")

REQUESTED_MEMBERS = frozenset(
    {
        "n",
        "best_of",
        "prompt",
        "prediction",
        "modalities",
        "image_config",
        "context_management",
        "fallbacks",
        *TOOLS_MEMBERS,
    }
    | {"size", "resolution", "quality", "partial_images", "documents", "input", *_TIERS}
    | {name for names in MAXIMA.values() for name in names}
)
REQUESTED_FIELDS = frozenset({"n", "size", "resolution", "quality", "partial_images"})


class Fallback(Struct, frozen=True):
    """A model that Anthropic is to take where the one before declines (None: one of its choosing), with a maximum and `tiers`
    of its own, or those of the request."""

    model: str | None
    maximum: int | None = None
    tiers: tuple[tuple[str, str], ...] = ()


class Requested(Struct, frozen=True):
    """Bounds of what a request asks for. `copies` None: its number of answers cannot be read.

    `maximum` is the output limit the provider will heed, for each copy; `may_lower`: there is a member for one, and
    the client left it open. `tiers` are (member, value) of what costs more than usual. `picture_tokens` are for one
    picture, as `picture` has it; `tools_tokens` stand before the tools, unseen. Of a prompt longer than `compacts_above` a summary
    is made first, in a run of its own. `only_caches`: Anthropic is to read the prompt and to say nothing.
    """

    tools: Tools
    copies: int | None = 1
    maximum: int | None = None
    may_lower: bool = False
    predicted_tokens: int = 0
    makes_images: bool = False
    makes_audio: bool = False
    tiers: tuple[tuple[str, str], ...] = ()
    picture_tokens: int = 0
    picture: Picture = Picture()
    characters: int = 0
    documents: int = 0
    tools_tokens: int = 0
    compacts_above: int | None = None
    fallbacks: tuple[Fallback, ...] = ()
    only_caches: bool = False


_ANY = Picture()
_COMPACTS_ABOVE = 50_000  # the least that Anthropic takes for it

# A request for one answer in text, with nothing beside it.
PLAIN = Requested(tools=read_tools({}), picture_tokens=picture_tokens({}))


def read_requested(call: Call, members: Mapping[str, Any]) -> Requested:
    """Read what is asked for; `members` are those of `REQUESTED_MEMBERS` it will have, decoded."""
    modalities = members.get("modalities")
    modalities = modalities if isinstance(modalities, list) else ()
    text = members.get("input")
    documents = members.get("documents")
    limits = [value for name in MAXIMA.get(call.endpoint.shape, ()) if (value := members.get(name)) is not None]
    is_message = call.endpoint.shape == "messages"
    return Requested(
        tools=read_tools(members),
        copies=_copies(call, members),
        maximum=_maximum(limits),
        may_lower=call.endpoint.max_field is not None and not limits,
        predicted_tokens=_length(members.get("prediction")),
        makes_images="image" in modalities or bool(members.get("image_config")),
        makes_audio="audio" in modalities,
        tiers=_tiers(members),
        picture_tokens=picture_tokens(members),
        picture=picture_of(members) if call.endpoint.name.startswith("images") else _ANY,
        characters=len(text) if isinstance(text, str) and call.endpoint.shape != "responses" else 0,
        documents=len(documents) if isinstance(documents, list) else 0,
        tools_tokens=tools_tokens(offered(members)),
        compacts_above=_compacts_above(members.get("context_management")),
        fallbacks=_fallbacks(members.get("fallbacks")) if is_message else (),
        only_caches=is_message and limits == [0] and type(limits[0]) is int,
    )


def _tiers(members: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    told = ((name, str(value).lower()) for name in _TIERS if (value := members.get(name)) is not None)
    return tuple((name, value) for name, value in told if value not in _USUAL_TIERS)


def _fallbacks(told: Any) -> tuple[Fallback, ...]:
    """Those that a list names, or the one that `"default"` stands for."""
    if told == "default":
        return (Fallback(None),)
    named = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    named = [one for one in named if isinstance(one.get("model"), str)]
    return tuple(Fallback(one["model"], positive(one.get("max_tokens")), _tiers(one)) for one in named)


def _compacts_above(management: Any) -> int | None:
    """The least prompt that is made shorter before it is answered: Anthropic's `edits`, OpenAI's list."""
    edits = management.get("edits") if isinstance(management, dict) else management
    least: list[int] = []
    for edit in edits if isinstance(edits, list) else ():
        if isinstance(edit, dict) and str(edit.get("type")).startswith("compact"):
            trigger = edit.get("trigger")
            value = trigger.get("value") if isinstance(trigger, dict) else edit.get("compact_threshold")
            least.append(value if isinstance(value, int) and value > 0 else _COMPACTS_ABOVE)
    return min(least, default=None)


def _maximum(found: list[Any]) -> int | None:
    """The larger of the limits set; one that is no count at all may mean anything to the provider."""
    counts = [positive(value) for value in found]
    return None if None in counts else max((count for count in counts if count is not None), default=None)


def _copies(call: Call, members: Mapping[str, Any]) -> int | None:
    """How many answers: `n` or `best_of`, for each of the prompts."""
    if call.endpoint.shape in ("responses", "messages"):
        return 1
    n, best_of = count(members.get("n")), count(members.get("best_of"))
    if n is None or best_of is None:
        return None
    prompts = members.get("prompt")
    if isinstance(prompts, list) and not all(isinstance(token, int) for token in prompts):
        return max(n, best_of) * len(prompts)
    return max(n, best_of)


def _length(value: Any) -> int:
    """The UTF-8 bytes of all text in a value."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_length(part) for part in parts)
