"""The kinds of upstream as rows: where each is by default, and which variables hold its key."""

from __future__ import annotations

from msgspec import Struct

from proxy.policy.values import Kind


class Preset(Struct, frozen=True):
    """What is known of a kind. `variables` are the names its key goes by in the environment, first wins."""

    kind: Kind
    base_url: str
    variables: tuple[str, ...] = ()


# OPENAI_BASE_URL and its like are missing on purpose: clients on the same machine set them to point at *us*.
PRESETS: dict[str, Preset] = {
    preset.kind: preset
    for preset in (
        Preset("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY", "OPEN_ROUTER_API_KEY")),
        Preset("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",)),
        Preset("anthropic", "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",)),
        Preset("mock", ""),
    )
}
