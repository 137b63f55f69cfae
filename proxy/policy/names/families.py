"""Who makes the model of a bare name, and how Anthropic and OpenRouter spell the same Claude."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.policy.names.catalogue import PRESET, split_variant

# The start of a bare name -> its author on OpenRouter.
FAMILIES = {
    "gpt-": "openai",
    "chatgpt-": "openai",
    "codex-": "openai",
    "computer-use-": "openai",
    "dall-e-": "openai",
    "davinci-": "openai",
    "babbage-": "openai",
    "ft:": "openai",
    "omni-moderation-": "openai",
    "text-moderation-": "openai",
    "text-embedding-": "openai",
    "tts-": "openai",
    "whisper-": "openai",
    "claude-": "anthropic",
    "gemini-": "google",
    "gemma-": "google",
    "llama-": "meta-llama",
    "mistral-": "mistralai",
    "mixtral-": "mistralai",
    "ministral-": "mistralai",
    "codestral-": "mistralai",
    "devstral-": "mistralai",
    "magistral-": "mistralai",
    "pixtral-": "mistralai",
    "voxtral-": "mistralai",
    "deepseek-": "deepseek",
    "qwen": "qwen",
    "qwq-": "qwen",
    "grok-": "x-ai",
    "command-": "cohere",
    "kimi-": "moonshotai",
    "glm-": "z-ai",
    "minimax-": "minimax",
    "nova-": "amazon",
    "phi-": "microsoft",
    "sonar": "perplexity",
    "jamba-": "ai21",
    "hermes-": "nousresearch",
    "nemotron-": "nvidia",
    "mercury": "inception",
    "lfm-": "liquid",
    "granite-": "ibm-granite",
    "ernie-": "baidu",
    "mimo-": "xiaomi",
    "hunyuan-": "tencent",
    "olmo-": "allenai",
    "solar-": "upstage",
    "palmyra-": "writer",
}

# Models before version 4 and the first of version 4 have no undated name at Anthropic: OpenRouter's -> Anthropic's.
DATED_CLAUDES = {
    "claude-3-haiku": "claude-3-haiku-20240307",
    "claude-3-opus": "claude-3-opus-20240229",
    "claude-3-sonnet": "claude-3-sonnet-20240229",
    "claude-3.5-haiku": "claude-3-5-haiku-20241022",
    "claude-3.5-sonnet": "claude-3-5-sonnet-20241022",
    "claude-3.7-sonnet": "claude-3-7-sonnet-20250219",
    "claude-opus-4": "claude-opus-4-20250514",
    "claude-sonnet-4": "claude-sonnet-4-20250514",
}

_FAMILY = re.compile("|".join([*map(re.escape, sorted(FAMILIES, reverse=True)), r"o\d(?=-|$)"]))

# Version before tier (claude-3-5-sonnet-20241022, claude-4.5-sonnet-20250929), since version 4 also
# after it (claude-sonnet-4-5-20250929, claude-opus-4.6-fast).
_MINOR = r"(?:[.-](\d{1,2}))?(?!\d)"
_CLAUDE = re.compile(
    rf"claude-(?:(\d+){_MINOR}-([a-z]+)|([a-z]+)-([4-9]|\d\d){_MINOR})(-\d{{8}}|-latest)?((?:-[a-z]\w*)*)"
)


def author_of(name: str) -> str | None:
    """Return the author of a bare name, judged by how it begins."""
    found = _FAMILY.match(name)
    return FAMILIES.get(found.group(), "openai") if found else None


def openrouter_claude(name: str) -> str:
    """Spell a Claude as OpenRouter does, without its date; a name of another form stays as it is."""
    parts = _parts(name)
    if parts is None:
        return name
    tier, major, minor, _, rest = parts
    version = f"{major}.{minor}" if minor not in ("", "0") else major
    return (f"claude-{version}-{tier}" if int(major) < 4 else f"claude-{tier}-{version}") + rest


def anthropic_claude(name: str) -> str:
    """Spell a Claude as Anthropic does, keeping its date; a name of another form stays as it is."""
    parts = _parts(name)
    if parts is None:
        return name
    tier, major, minor, date, rest = parts
    if not date and minor != "0" and (dated := DATED_CLAUDES.get(openrouter_claude(name))) is not None:
        return dated
    version = f"{major}-{minor}" if minor else major
    return (f"claude-{version}-{tier}" if int(major) < 4 else f"claude-{tier}-{version}") + date + rest


def anthropic_slug(slug: str) -> str:
    """OpenRouter's slug as Anthropic spells it, variant and preset kept."""
    plain = split_variant(slug.partition(PRESET)[0])[0]
    return anthropic_claude(plain) + slug.removeprefix(plain)


def _parts(name: str) -> tuple[str, str, str, str, str] | None:
    """Split into tier, major, minor, date with its dash, and what follows; "" for what is not there."""
    found = _CLAUDE.fullmatch(name)
    if found is None:
        return None
    old_major, old_minor, old_tier, tier, major, minor, date, rest = found.groups(default="")
    return old_tier or tier, old_major or major, old_minor or minor, date, rest


def next_family(models: Sequence[str], at: int) -> int | None:
    """The first model behind `at` that is of another family; None where there is none."""
    own = _family(models[at])
    return next((index for index in range(at + 1, len(models)) if _family(models[index]) != own), None)


def _family(model: str) -> str:
    """Who makes it, as far as its name tells."""
    return model.rpartition("/")[0] or author_of(model) or model
