"""What the lists say of those that may be chosen."""

from __future__ import annotations

import msgspec

from proxy.data import quality_bytes
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.privacy import may_keep
from proxy.policy.routing.quality import Quality, Source
from proxy.policy.routing.values import BITS, PRIVATE, Candidate
from proxy.policy.strategies import Seat
from proxy.policy.values import Settings

_ALL = sum(BITS.values())


class Candidates:
    """Of one set of settings and lists; each is worked out once."""

    def __init__(self, settings: Settings, prices: PriceBook) -> None:
        self._providers, self._prices = settings.providers, prices
        self._quality = Quality(msgspec.json.decode(quality_bytes(), type=tuple[Source, ...]))
        self._found: dict[tuple[Seat, ...], tuple[Candidate, ...]] = {}

    def of(self, seats: tuple[Seat, ...]) -> tuple[Candidate, ...]:
        """All of them."""
        found = self._found.get(seats)
        if found is None:
            found = self._found[seats] = tuple(self._one(seat) for seat in seats)
        return found

    def _one(self, seat: Seat) -> Candidate:
        """Who stands in no list is believed to take everything."""
        provider = self._providers[seat.target.provider]
        facts, sizes = self._prices.facts(provider, seat.target.model), self._prices.sizes(provider, seat.target.model)
        price = self._prices.price(provider, seat.label, seat.target.model)
        is_told = facts is not None and (facts.takes or provider.kind == "openrouter")
        takes = sum(BITS[name] for name in facts.takes) if facts is not None and is_told else _ALL
        usd = dict.fromkeys(("input", "output", "cached_input"), 0.0 if isinstance(price, Free) else None)
        if price is not None and not isinstance(price, Free):
            usd = {name: None if (of := getattr(price, f"{name}_usd")) is None else float(of) for name in usd}
        quality, source = self._quality.of(seat.slug)
        return Candidate(
            seat.target,
            seat.label,
            takes if may_keep(provider) else takes | PRIVATE,
            sizes.context_length or 0,
            sizes.max_output or 0,
            usd["input"],
            usd["output"],
            usd["cached_input"],
            quality,
            source,
            seat.weight,
            seat.priority,
            f"no call goes to {provider.name}: {provider.shut}" if provider.shut else "",
            price is not None,
        )
