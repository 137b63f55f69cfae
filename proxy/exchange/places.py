"""What the operator lets the account at each provider be asked for (`providers.NAME.limits`), one attempt after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable

from proxy.errors import NoHealthyUpstream
from proxy.exchange.attempt import tokens_used
from proxy.exchange.job import Job
from proxy.policy.limits.limiter import Denied, Limiter
from proxy.policy.money.budgets import Limit, provider_scope
from proxy.policy.values import Provider


class Places:
    """`names` are the providers that have limits: nothing is asked of the calls of others. A tenant's own account has none."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.names: tuple[str, ...] = ()

    def take_on(self, providers: Iterable[str], limits: Iterable[Limit]) -> None:
        """Of the configuration that is in force from now on."""
        scopes = {limit.scope for limit in limits}
        self.names = tuple(name for name in providers if provider_scope(name) in scopes)

    def take(self, job: Job, provider: Provider) -> None:
        """Take from all limits of that account at once. Raises `NoHealthyUpstream` where one is reached, and takes nothing."""
        self.leave(job)
        if provider.name not in self.names or provider.tenant:
            return
        limits, tokens = self._limiter.of((provider_scope(provider.name),)), job.likely_tokens
        now_ns = time.monotonic_ns()
        if limits.take(tokens, now_ns) is None:
            denied = limits.judge(tokens, now_ns)
            assert denied is not None
            raise NoHealthyUpstream(
                f"{provider.name} takes no more calls for now: {said_of(denied)}. Try again in "
                f"{denied.retry_after_seconds:.1f} s.",
                retry_after=denied.retry_after_seconds,
            )
        job.place = limits, tokens, job.record.calls

    def leave(self, job: Job) -> None:
        """The attempt is over: tokens count as they were used, and one that was never sent counts nowhere."""
        if job.place is None:
            return
        (limits, tokens, calls_before), record = job.place, job.record
        job.place = None
        if record.calls > calls_before:
            limits.give_back(tokens, tokens_used(record), time.monotonic_ns())
        else:
            limits.leave()
            limits.withdraw(tokens, time.monotonic_ns())

    def full(self, tokens: int, now_ns: int) -> dict[str, Denied]:
        """The providers whose limits leave no room for a call of so many tokens."""
        found = {name: self._limiter.of((provider_scope(name),)).judge(tokens, now_ns) for name in self.names}
        return {name: denied for name, denied in found.items() if denied is not None}


def said_of(denied: Denied) -> str:
    """The limit in the way, in words."""
    limit = denied.limit
    if limit.of == "concurrent":
        return f"its limit of {limit.amount} calls at once is reached"
    return f"its limit of {limit.amount} {limit.of} per {limit.per} is reached"
