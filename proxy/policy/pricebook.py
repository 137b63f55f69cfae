"""Which price a model has at a provider, and how long its prompts and answers may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from proxy.policy.bounds import Sizes
from proxy.policy.catalogue import PRESET, Catalogue, Model, split_variant
from proxy.policy.families import openrouter_claude
from proxy.policy.prices import FREE_OF_CHARGE, Price, read_pricing
from proxy.policy.values import Provider, Target

# What the built-in mock charges for a model it has no price for (proxy/mock/catalogue.py).
MOCK_PRICE = Price(Decimal("0.000001"), Decimal("0.000002"), image_output_usd=Decimal("0.00003"))

# The most tokens an image may come to, by what stands in the model's name: tiles at 32 times the usual
# count, patches in full resolution, pixels by the million. Others stay below Sizes' own bound.
_IMAGE_TOKENS = (("gpt-4o-mini", 48_200), ("qwen", 16_400), ("gpt-5", 12_500), ("o4-mini", 12_500))

_MOST_REMEMBERED = 4_096


class Free(Struct, frozen=True):
    """The provider charges nothing, whatever is asked of it."""


FREE = Free()


class PriceOverride(Struct, frozen=True):
    """A price of the operator's own, USD per token; what is left out stays as listed.

    With a `target` it is the price of that one, and not of the alias's fallbacks.
    """

    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    cached_input_usd: Decimal | None = None
    target: Target | None = None


def per_million(
    input: Decimal | None, output: Decimal | None, cached_input: Decimal | None, target: Target | None = None
) -> PriceOverride:
    """An override from USD per million tokens."""
    per_token = [None if usd is None else usd.scaleb(-6) for usd in (input, output, cached_input)]
    return PriceOverride(*per_token, target=target)


class PriceBook:
    """Prices from the catalogue, the vendors' own lists and the operator. Immutable: a new catalogue makes a new book.

    `direct` holds price lists by kind of provider ("openai", "anthropic"; "mock" for what the
    mock charges otherwise than usual), `overrides` are by alias.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        direct: Mapping[str, Catalogue] | None = None,
        overrides: Mapping[str, PriceOverride] | None = None,
    ) -> None:
        """Read nothing yet; a price is read when first asked for."""
        self._catalogue = catalogue
        self._direct = direct or {}
        self._overrides = overrides or {}
        self._known: dict[tuple[str, str, str], Price | Free | None] = {}

    def price(self, provider: Provider, label: str, model: str) -> Price | Free | None:
        """The price of `model` as `provider` is sent it, asked for as `label` (an alias, else anything).

        `Free` for a provider of one's own; None where nobody knows.
        """
        asked = (provider.name, label, model)
        if asked not in self._known:
            if len(self._known) >= _MOST_REMEMBERED:  # names come from clients
                self._known.clear()
            self._known[asked] = self._find(provider, label, model)
        return self._known[asked]

    def sizes(self, provider: Provider, model: str) -> Sizes:
        """How many tokens `model` takes and gives at most, as far as anybody says."""
        found = list(self._entries(provider, model))
        images = (tokens for part, tokens in _IMAGE_TOKENS if part in model)
        return Sizes(
            context_length=next((m.context_length for m in found if m.context_length is not None), None),
            max_output=next((m.max_output for m in found if m.max_output is not None), None),
            image_tokens=next(images, Sizes().image_tokens),
            variant=split_variant(model.partition(PRESET)[0])[1],
        )

    def _find(self, provider: Provider, label: str, model: str) -> Price | Free | None:
        if provider.free:
            return FREE
        listed = self._listed(provider, model)
        override = self._overrides.get(label)
        if override is None or override.target not in (None, Target(provider.name, model)):
            return listed
        return _overridden(listed, override)

    def _listed(self, provider: Provider, model: str) -> Price | None:
        if provider.kind == "openrouter" and split_variant(model)[1] == ":free":
            return FREE_OF_CHARGE
        for entry in self._entries(provider, model):
            if (price := read_pricing(entry)) is not None:
                return price
        return MOCK_PRICE if provider.kind == "mock" else None

    def _entries(self, provider: Provider, model: str) -> Iterator[Model]:
        """Every entry that may speak of the model, best first: an exact name before a likely one."""
        own = self._direct.get(provider.kind)
        if provider.kind == "openrouter":
            lists = [(self._catalogue, model)]
        elif provider.kind == "mock":
            lists = [] if own is None else [(own, model.partition("?")[0])]
        elif _is_vendors_own(provider):
            plain = openrouter_claude(model) if provider.kind == "anthropic" else model
            lists = [(self._catalogue, f"{provider.kind}/{name}") for name in dict.fromkeys((model, plain))]
            if own is not None:
                # The shipped list of a vendor says more than the shipped catalogue, and less than a live one.
                lists.insert(0 if self._catalogue.is_snapshot else len(lists), (own, model))
        else:
            return
        for find in (Catalogue.get, Catalogue.find):
            yield from (entry for names, name in lists if (entry := find(names, name)) is not None)


def _is_vendors_own(provider: Provider) -> bool:
    host = provider.base_url.partition("://")[2].partition("/")[0].lower()
    return host.partition(":")[0] == f"api.{provider.kind}.com"


def _overridden(listed: Price | None, override: PriceOverride) -> Price | None:
    """The listed price with the operator's in its place, at every hour, size and tier."""
    own = {name: usd for name in _OWN if (usd := getattr(override, name)) is not None}
    if listed is None:
        if "input_usd" not in own or "output_usd" not in own:
            return None
        return Price(**own)
    if (output := override.output_usd) is not None:
        own |= {"reasoning_usd": None}
        for name in ("image_output_usd", "audio_output_usd"):
            own |= {} if getattr(listed, name) is not None else {name: output}
    return msgspec.structs.replace(listed, **own, overrides=(), variants=())
