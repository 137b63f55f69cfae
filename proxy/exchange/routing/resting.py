"""Which accounts are to be left alone by those that choose: what breakers say, and what providers have said themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.exchange.places import Places, said_of
from proxy.exchange.routing.routes import server_of
from proxy.policy.limits.pace import DEFAULT, left_of
from proxy.policy.retries.breaker import Breakers
from proxy.policy.routing.values import Rest
from proxy.policy.values import Caller, Provider, Target

if TYPE_CHECKING:
    from proxy.exchange.pacing import Pacing

TargetOrProvider = Target | str  # a model at a provider, or all of a provider


class Resting:
    """By target or provider, and by whose account it is: a tenant's, "" everybody's. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._rests: dict[tuple[TargetOrProvider, str], Rest] = {}
        self.pacing: Pacing | None = None  # both where a daemon runs
        self.places: Places | None = None

    def asked(self, where: TargetOrProvider, whose: str, until: float) -> None:
        """It has said when it may be asked again."""
        self._rests[where, whose] = Rest(until, "429")

    def told(self, target: Target, whose: str, fields: Mapping[str, str], now: float) -> None:
        """It has answered, and says in its headers what it still gives. With nothing left, it would refuse the next call."""
        for left in left_of(fields, datetime.now(UTC)):
            if left.remaining == 0 and (seconds := left.seconds_until(1)) > 0:
                self._rests[target, whose] = Rest(now + seconds, f"no {left.of} left")

    def forget(self, before: Mapping[str, Provider], now: Mapping[str, Provider]) -> None:
        """An account with another key or address has asked for no rest."""
        same = {name for name, new in now.items() if name in before and server_of(before[name]) == server_of(new)}
        self._rests = {
            (at, whose): rest for (at, whose), rest in self._rests.items() if whose or provider_of(at) in same
        }

    def of(self, own: Mapping[str, Provider], tokens: int, now: float) -> dict[TargetOrProvider, Rest]:
        """Those that a call of so many tokens would meet, by a caller with these accounts of its own."""
        found: dict[TargetOrProvider, Rest] = {}
        if self.pacing is not None and self.pacing.paces:
            for (whose, provider, model), pace in self.pacing.paces.items():
                if whose == account(own, provider) and not pace.may_go(DEFAULT, now):
                    rest = pace.expected_seconds(DEFAULT, 0, now)
                    found[Target(provider, model)] = Rest(now + rest, "it refused more at once")
        if self.places is not None and self.places.names:
            for name, denied in self.places.full(tokens, int(now * 10**9)).items():
                if not account(own, name):
                    found[name] = Rest(now + denied.retry_after_seconds, said_of(denied))
        if self._rests:
            self._rests = {where: rest for where, rest in self._rests.items() if rest.until > now}
            said = {at: rest for (at, whose), rest in self._rests.items() if account(own, provider_of(at)) == whose}
            found |= said
        return found


def account(own: Mapping[str, Provider], provider: str) -> str:
    """Whose account a call uses there: a tenant's that has one of its own, else "" for everybody's."""
    return own[provider].tenant if provider in own else ""


def failing(caller: Caller, breakers_of: Callable[[str], Breakers], now: float) -> dict[TargetOrProvider, float]:
    """What is left alone of all that the caller's calls would meet."""
    found = breakers_of("").failing(now)
    if not caller.own:
        return found
    found = {where: seconds for where, seconds in found.items() if provider_of(where) not in caller.own}
    for tenant in {provider.tenant for provider in caller.own.values()}:
        theirs = breakers_of(tenant).failing(now).items()
        found |= {where: s for where, s in theirs if account(caller.own, provider_of(where)) == tenant}
    return found


def provider_of(where: TargetOrProvider) -> str:
    """The name of the provider it is of."""
    return where if isinstance(where, str) else where.provider
