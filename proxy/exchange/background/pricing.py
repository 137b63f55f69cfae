"""The price book of a configuration: the catalogue, the vendors' shipped lists, the operator's own prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from proxy.data import prices_bytes
from proxy.policy.images.catalogue import ImageCatalogue
from proxy.policy.money.pricebook import PriceBook, PriceOverride, own_list, per_token
from proxy.policy.names.catalogue import Catalogue, Model
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import Names
from proxy.policy.names.vendors import VENDORS, vendor_of
from proxy.policy.values import Alias, Settings, Target


class ShippedLists(Mapping[str, Catalogue]):
    """The vendors' lists, each read when it is first asked for, beside those that providers answer themselves."""

    def __init__(self, answered: Mapping[str, Catalogue] | None = None) -> None:
        self._answered = answered or {}

    def __getitem__(self, name: str) -> Catalogue:
        """The list of a vendor, or of a provider; a KeyError where there is none."""
        if name in VENDORS:
            return _list_of(name)
        return self._answered[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*VENDORS, *self._answered))

    def __len__(self) -> int:
        return len(VENDORS) + len(self._answered)


def _answered(settings: Settings, names: Names) -> dict[str, Catalogue]:
    """What providers list themselves: names, and nothing of what they cost; Ollama's `:latest` may be left out."""
    lists = {name: names.served_by(name) for name in settings.providers}
    return {
        own_list(name): Catalogue(
            Model(one, one, one, aliases=(one.removesuffix(":latest"),)) for one in sorted(listed)
        )
        for name, listed in lists.items()
        if listed
    }


@cache
def _list_of(vendor: str) -> Catalogue:
    return read_feed(prices_bytes(vendor))


def _through(aliases: Mapping[str, Alias], overrides: Mapping[str, PriceOverride]) -> dict[tuple[str, Target], str]:
    """For each name and each target it leads to through an entry with a price of its own, that entry: the nearest."""
    found: dict[tuple[str, Target], str] = {}
    for name in aliases if overrides else ():
        for step in _followed(aliases, name):
            if (own := overrides.get(step)) is not None and own.target is not None:
                found.setdefault((name, own.target), step)
    return found


def _followed(aliases: Mapping[str, Alias], name: str) -> dict[str, None]:
    """The name and all entries it leads to, the nearest first."""
    seen: dict[str, None] = {name: None}
    steps = [name]
    for step in steps:
        alias = aliases[step]
        onward = (alias.target, *alias.fallbacks, *(() if alias.use is None else (to for _, to in alias.use.at)))
        new = [to for to in dict.fromkeys(onward) if to in aliases and to not in seen]
        seen.update(dict.fromkeys(new))
        steps += new
    return seen


def price_book(settings: Settings, names: Names, catalogue: Catalogue, images: ImageCatalogue) -> PriceBook:
    """Prices by catalogue, by the vendors' shipped lists, of pictures, and of the operator's own."""
    overrides = {}
    for alias, own in settings.money.prices.items():
        if (found := names.behind(alias)) is None:
            continue
        overrides[alias] = PriceOverride(
            per_token(own.input_usd),
            per_token(own.output_usd),
            per_token(own.cached_input_usd),
            own.web_search_usd,
            own.file_search_usd,
            found.plan.targets[0],
        )
    for provider in settings.providers.values():  # now rather than within a call
        if (vendor := vendor_of(provider)) in VENDORS:
            _list_of(vendor)
    lists = ShippedLists(_answered(settings, names))
    return PriceBook(catalogue, lists, overrides, images, through=_through(settings.aliases, overrides))
