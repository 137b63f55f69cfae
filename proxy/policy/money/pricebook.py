"""What is known of a model at a provider: its price, how long its prompts and answers may be, and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from proxy.policy.images.catalogue import NO_IMAGES, ImageCatalogue
from proxy.policy.images.pricing import price_of
from proxy.policy.money.bounds import Slope, slope_of
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.pricelist import read_pricing
from proxy.policy.money.prices import FREE_OF_CHARGE, Price
from proxy.policy.money.rates import Sizes, research_of
from proxy.policy.names.catalogue import PRESET, Catalogue, Model, split_variant
from proxy.policy.names.facts import merged
from proxy.policy.names.families import anthropic_slug, openrouter_claude
from proxy.policy.names.vendors import AUTHORS, HOSTED_BY_OTHERS, author_of_vendor, vendor_of
from proxy.policy.values import Provider, Target
from proxy.wire.tools import always_searches

# What the built-in mock charges for a model it has no price for (proxy/mock/catalogue.py).
MOCK_PRICE = Price(Decimal("0.000001"), Decimal("0.000002"), image_output_usd=Decimal("0.00003"))

MOCK_SIZES = Sizes(max_output=16_384)

# The most tokens an image may come to, by what stands in the model's name: tiles at 32 times the usual
# count, patches in full resolution, pixels by the million. Others stay below Sizes' own bound.
_IMAGE_TOKENS = (("gpt-4o-mini", 48_200), ("qwen", 16_400), ("gpt-5", 12_500), ("o4-mini", 12_500))

_MOST_REMEMBERED = 4_096


class Free(Struct, frozen=True):
    """The provider charges nothing, whatever is asked of it."""


FREE = Free()


class PriceOverride(Struct, frozen=True):
    """A price of the operator's own, USD per token or for one search; what is left out stays as listed.

    With a `target` it is the price of that one, and not of the alias's fallbacks.
    """

    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    cached_input_usd: Decimal | None = None
    web_search_usd: Decimal | None = None
    file_search_usd: Decimal | None = None
    target: Target | None = None


def per_token(usd_per_million: Decimal | None) -> Decimal | None:
    """USD per token from USD per million, exactly."""
    return None if usd_per_million is None else usd_per_million.scaleb(-6)


def own_list(provider: str) -> str:
    """Under which name the lists hold what the provider of this name lists itself."""
    return f"{provider}/models"


class PriceBook:
    """What the catalogue, the vendors' own lists and the operator say. Immutable: a new catalogue makes a new book.

    `images` are the models OpenRouter lists as drawing. `direct` holds the lists by vendor ("openai", "mistral"; "mock" for what the mock charges otherwise than usual),
    and under `own_list` the names that a provider lists itself, which say nothing of prices;
    `overrides` are by alias; `through` says which alias's own price counts where a name leads to a target through it.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        direct: Mapping[str, Catalogue] | None = None,
        overrides: Mapping[str, PriceOverride] | None = None,
        images: ImageCatalogue = NO_IMAGES,
        *,
        through: Mapping[tuple[str, Target], str] | None = None,
    ) -> None:
        """Read nothing yet; a price is read when first asked for."""
        self._catalogue = catalogue
        self.images = images
        self._direct = direct or {}
        self._overrides = overrides or {}
        self._through = through or {}
        self._known: dict[tuple[str, str, str], Price | Free | None] = {}
        self._facts: dict[tuple[str, str], Model | None] = {}
        self._slopes: dict[tuple[str, tuple[str, str]], tuple[BudgetRules, Slope | None]] = {}
        self._sizes: dict[tuple[str, str], Sizes] = {}
        self._near: dict[tuple[str, str], list[str] | None] = {}

    def price(self, provider: Provider, label: str, model: str) -> Price | Free | None:
        """The price of `model` as `provider` is sent it, asked for as `label` (an alias, else anything).

        `Free` for a provider of one's own; None where nobody knows.
        """
        asked = (provider.name, label, model)
        if asked not in self._known:
            _make_room(self._known)
            self._known[asked] = self._find(provider, label, model)
        return self._known[asked]

    def slope(self, provider: Provider, names: tuple[str, str], rules: BudgetRules) -> Slope | None:
        """The bounds of plain chats with a model, by label and as it is sent; None where they have to be worked out one by one."""
        asked = provider.name, names
        known = self._slopes.get(asked)
        if known is None or known[0] is not rules:
            _make_room(self._slopes)
            price = self.price(provider, *names)
            slope = slope_of(price, self.sizes(provider, names[1]), rules) if isinstance(price, Price) else None
            known = self._slopes[asked] = (rules, slope)
        return known[1]

    def listed(self, provider: Provider, model: str) -> Price | None:
        """The list's price of a model that helped another one; None where nobody knows, or nothing is charged."""
        price = self.price(provider, "", model)
        return None if isinstance(price, Free) else price

    def served_price(self, provider: Provider, asked: tuple[str, str], served: str) -> Price | None:
        """The price of the model a reply names, where a list knows that; `asked` are the label and model sent.

        None: the price of the asked one stands: it is the operator's own, or the two are one, or nobody knows the other.
        """
        label, model = asked
        if served in ("", model) or provider.free or provider.kind == "mock" or self._own(provider, label, model):
            return None
        if provider.kind == "openrouter" and split_variant(model.partition(PRESET)[0])[0] == served:
            return None  # its answers leave the variant out, and with it `:free`
        found = self.price(provider, "", served)
        return found if isinstance(found, Price) else None

    def _own(self, provider: Provider, label: str, model: str) -> PriceOverride | None:
        """The operator's own price of a target, asked for as `label`."""
        if not self._overrides:
            return None
        target = Target(provider.name, model)
        override = self._overrides.get(self._through.get((label, target), label))
        is_meant = override is not None and override.target in (None, target)
        return override if is_meant else None

    def is_listed(self, label: str) -> bool:
        """Whether `author/slug` stands in the author's own list, be it in the catalogue or not."""
        author, _, slug = label.partition("/")
        own = self._direct.get(AUTHORS.get(author, author))
        return own is not None and own.get(slug) is not None

    def unlisted(self, provider: Provider, label: str, model: str) -> list[str] | None:
        """As `near`; None also where somebody has given it a price."""
        return None if self.price(provider, label, model) is not None else self.near(provider, model)

    def offered(self, provider: Provider) -> list[str]:
        """What its vendor's own list has; nothing at a server outside the lists."""
        own = self._direct.get(vendor_of(provider) or "")
        return [] if own is None else [model.id for model in own.models]

    def near(self, provider: Provider, model: str) -> list[str] | None:
        """The names most like one that no list has; None where a list has it, or there is none of the provider's."""
        asked = (provider.name, model)
        if asked not in self._near:
            _make_room(self._near)
            self._near[asked] = self._most_like(provider, model)
        return self._near[asked]

    def _most_like(self, provider: Provider, model: str) -> list[str] | None:
        """It takes a millisecond, which every call of a model without a price would."""
        lists = list(self._lists(provider, model))
        if (own := self._direct.get(own_list(provider.name))) is not None:
            lists.append((own, model))
        if (
            not model
            or (own is not None and (own.get(model) or self._catalogue.find(model)) is not None)
            or PRESET in model
            or not lists
            or provider.kind == "mock"
            or any(True for _ in self._entries(provider, model))
            or (provider.kind == "openrouter" and self.images.get(model) is not None)
        ):
            return None
        names, name = next((each for each in lists if each[1] == model), lists[0])
        return names.near(name)

    def label_for(self, target: Target, *names: str | None) -> str:
        """The name whose own price is the price of this target: the first of `names` that leads there through one, else
        any; "" where the list's is. For fallbacks, which have no alias of their own in a plan."""
        led = (self._through[name, target] for name in names if name is not None and (name, target) in self._through)
        return next(led, None) or next((alias for alias, own in self._overrides.items() if own.target == target), "")

    def sizes(self, provider: Provider, model: str) -> Sizes:
        """How many tokens `model` takes and gives at most, as far as anybody says."""
        asked = (provider.name, model)
        if asked not in self._sizes:
            _make_room(self._sizes)
            self._sizes[asked] = self._measure(provider, model)
        return self._sizes[asked]

    def facts(self, provider: Provider, model: str) -> Model | None:
        """Everything any list says of a model, fact by fact, the best source first; None where it is in none."""
        asked = (provider.name, model)
        if asked not in self._facts:
            _make_room(self._facts)
            self._facts[asked] = merged(self._entries(provider, model), is_resold=provider.kind == "openrouter")
        return self._facts[asked]

    def _measure(self, provider: Provider, model: str) -> Sizes:
        if provider.kind == "mock" and provider.kind not in self._direct:
            return MOCK_SIZES
        found = self.facts(provider, model)
        return Sizes(
            *((None, None) if found is None else (found.context_length, found.max_output)),
            image_tokens=next((tokens for part, tokens in _IMAGE_TOKENS if part in model), Sizes().image_tokens),
            variant=split_variant(model.partition(PRESET)[0])[1],
            searches=always_searches(model),
            research=research_of(model),
        )

    def _find(self, provider: Provider, label: str, model: str) -> Price | Free | None:
        if provider.free:
            return FREE
        listed = self._listed(provider, model)
        override = self._own(provider, label, model)
        return listed if override is None else _overridden(listed, override)

    def _listed(self, provider: Provider, model: str) -> Price | None:
        if provider.kind == "openrouter" and split_variant(model)[1] == ":free":
            return FREE_OF_CHARGE
        found = self.facts(provider, model)
        price = None if found is None else read_pricing(found)
        if provider.kind == "openrouter" and (drawn := self.images.get(model)) is not None:
            price = price_of(drawn, price)
        return MOCK_PRICE if price is None and provider.kind == "mock" else price

    def _entries(self, provider: Provider, model: str) -> Iterator[Model]:
        """Every entry that may speak of the model, best first: an exact name before a likely one."""
        lists = list(self._lists(provider, model))
        for is_exact in (True, False):
            for names, name in lists:
                entry = names.get(name) if is_exact else names.find(name)
                if entry is not None:
                    yield entry

    def _lists(self, provider: Provider, model: str) -> Iterator[tuple[Catalogue, str]]:
        """The lists that may know it, best first, and its name there."""
        vendor = vendor_of(provider)
        if provider.kind == "mock" and "mock" in self._direct:
            yield self._direct["mock"], model.partition("?")[0]
        elif provider.kind == "openrouter":
            yield self._catalogue, model
            maker, _, slug = model.lstrip("~").partition("/")
            if (own := self._direct.get(AUTHORS.get(maker, ""))) is not None:
                for name in dict.fromkeys((slug, anthropic_slug(slug))):
                    yield own, name
        elif vendor is not None:
            own = self._direct.get(vendor)
            author = author_of_vendor(vendor)
            plain = openrouter_claude(model) if author == "anthropic" else model
            names = dict.fromkeys((model, plain)) if author else ()
            found = [(self._catalogue, f"{author}/{name}") for name in names]
            if own is not None:
                # A vendor's shipped list says more than the shipped catalogue, and less than a live one; where others
                # serve the same models, the catalogue's price is the cheapest host's.
                goes_first = self._catalogue.is_snapshot or author in HOSTED_BY_OTHERS
                found.insert(0 if goes_first else len(found), (own, model))
            yield from found


def _make_room(known: dict[Any, Any]) -> None:
    """Names come from clients: what is remembered of them has an end."""
    if len(known) >= _MOST_REMEMBERED:
        known.clear()


def _overridden(listed: Price | None, override: PriceOverride) -> Price | None:
    """The listed price with the operator's in its place, at every hour, size and tier."""
    given = msgspec.structs.asdict(override) | {"web_search_preview_usd": override.web_search_usd, "target": None}
    own: dict[str, Any] = {name: usd for name, usd in given.items() if usd is not None}
    if listed is None:
        return Price(**own) if {"input_usd", "output_usd"} <= own.keys() else None
    if override.output_usd is not None:
        own["reasoning_usd"] = None
        # An operator who knows what output costs means all of it, where the list says nothing of images and sound.
        for name in ("image_output_usd", "audio_output_usd"):
            own[name] = getattr(listed, name) or override.output_usd
    return _with(listed, own)


def _with(price: Price, own: Mapping[str, Any]) -> Price:
    overrides = tuple(
        msgspec.structs.replace(o, prices=tuple((name, usd) for name, usd in o.prices if name not in own))
        for o in price.overrides
    )
    variants = tuple((member, value, _with(variant, own)) for member, value, variant in price.variants)
    hold = None if price.hold is None else _with(price.hold, own)
    return msgspec.structs.replace(price, **own, overrides=overrides, variants=variants, hold=hold)
