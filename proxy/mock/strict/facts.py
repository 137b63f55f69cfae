"""What is known of real models: how much they take and give. Facts as data, from the lists shipped in the package."""

from __future__ import annotations

import re
from functools import cache

from msgspec import Struct

from proxy.data import prices_bytes, snapshot_bytes
from proxy.mock.asked import Profile
from proxy.mock.behaviours import OWN_OPTIONS
from proxy.mock.catalogue import find_model
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import read_feed

# o1, o3-mini, gpt-5, gpt-5.1-codex …, not gpt-5-chat-latest: they think before they speak (OpenAI, "Reasoning models")
_REASONING = re.compile(r"(?:o\d|codex-|gpt-[5-9](?!-chat)|gpt-\d\d(?!-chat))")
# the first of them take the usual temperature only; from gpt-5.1 on that depends on the effort
_FIXED_TEMPERATURE = re.compile(r"(?:o\d|gpt-5(?:-(?:mini|nano|pro|codex))?(?:-\d{4}-\d\d-\d\d)?$)")
# and these never do
_UNTHINKING = re.compile(r"(?:chatgpt|gpt-[34])")
_AS_ANTHROPIC = re.compile(r"(?<=anthropic/)(claude-(?:[a-z]+-)?\d)-(\d)(?!\d)")
_NOT_ANTHROPICS = re.compile(r"claude-[4-9][\d.-]*-[a-z]")  # `claude-4-5-haiku`, as some lists have it, and it has not


class Facts(Struct, frozen=True):
    """Tokens a model takes together with its answer, and gives at most; None where no list says. `hears`: it takes sound."""

    name: str
    context: int | None = None
    longest_output: int | None = None
    is_reasoning: bool = False
    has_fixed_temperature: bool = False
    never_thinks: bool = False
    hears: bool = False


def is_behaviour(model: str) -> bool:
    """Whether a name is one of the mock's own, which no real provider has a say about."""
    plain = model.partition("?")[0]
    return plain.lstrip("~").startswith("mock/") or plain in OWN_OPTIONS


def facts_of(profile: Profile, model: str) -> Facts | None:
    """The facts of a real model's name as this provider spells it; None where no list has it."""
    plain = model.partition("?")[0]
    base = plain.split(":")[1] if plain.startswith("ft:") and ":" in plain else plain
    if profile == "anthropic" and _NOT_ANTHROPICS.match(base):
        return None
    entry, own = _listed(profile).find(base), find_model(base)
    if entry is None and profile == "openrouter":  # it knows Claude's models by Anthropic's spelling as well
        entry = _listed(profile).find(_AS_ANTHROPIC.sub(r"\1.\2", base))
    if entry is not None:
        context, longest, takes = entry.context_length, entry.max_output, entry.takes
    elif own is not None:
        context, longest, takes = own.context, own.longest_output, ()
    else:
        return None
    bare = base.rpartition("/")[2]
    is_openai = profile == "openai"
    return Facts(
        plain,
        context,
        longest,
        is_openai and _REASONING.match(bare) is not None,
        is_openai and _FIXED_TEMPERATURE.match(bare) is not None,
        is_openai and _UNTHINKING.match(bare) is not None,
        "audio" in takes or not takes,
    )


@cache
def _listed(profile: Profile) -> Catalogue:
    """Read when first asked for."""
    return read_feed(snapshot_bytes() if profile == "openrouter" else prices_bytes(profile))
