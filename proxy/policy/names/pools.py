"""Names with several candidates: those written under `models:`, and `auto`, which is everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import price_of
from proxy.policy.names.places import Way
from proxy.policy.strategies import Pool, Seat
from proxy.policy.values import Alias

AUTO = "auto"
_NOT_IN_AUTO = ("openrouter/", "~")  # what chooses by itself
BUILT_IN = ("cost", "speed", "quality", "balanced", "least_busy", "weighted", "budget_aware")


def auto_strategy(name: str) -> str | None:
    """The strategy of `auto` and `auto:STRATEGY`; None for any other name."""
    head, colon, strategy = name.partition(":")
    return None if head != AUTO else strategy if colon else "balanced"


def pool_of(
    name: str, aliases: Mapping[str, Alias], ways: Iterable[Way], expand: Callable[[str], list[Way]]
) -> Pool | None:
    """The candidates behind a name, as far as they are among the `ways` left to it; None where that leaves none. One
    that is alone is judged as well: ceilings hold for it."""
    seen: set[str] = set()
    while (alias := aliases.get(name)) is not None and not alias.candidates and name not in seen:
        seen.add(name)
        name = alias.target
    if alias is None or not alias.candidates:
        return None
    left = {way.target for way in ways}
    seats: dict[object, Seat] = {}
    for rule in alias.candidates:
        way = next(iter(expand(rule.target)), None)
        if way is not None and way.target in left:
            label = rule.target if rule.target in aliases else way.slug
            seats.setdefault(way.target, Seat(way.target, label, way.slug, rule.weight, rule.priority))
    return Pool(alias.strategy, tuple(seats.values())) if seats else None


def auto_seats(names: Iterable[str], catalogue: Catalogue, expand: Callable[[str], list[Way]]) -> Iterator[Seat]:
    """Every model that chats, has a price above nothing and is not about to end; what a list does not have is a server's of
    one's own. What is given away has severe limits, and may learn from what it is asked: nobody gets there unasked."""
    for name in names:
        model = catalogue.get(name)
        if model is not None and (
            name.startswith(_NOT_IN_AUTO)
            or name.endswith(":batch")
            or (model.modes and "chat" not in model.modes)
            or model.expires is not None
            or not price_of(model, "prompt")
        ):
            continue
        for way in expand(name)[:1]:
            yield Seat(way.target, way.slug, way.slug)
