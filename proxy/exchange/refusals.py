"""The sentences of policy: which budget or limit, how much, and when it helps to come back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil

from msgspec.structs import asdict

from proxy.errors import (
    BudgetExceeded,
    BudgetInFlight,
    ModelNotFound,
    ModelNotPriced,
    PolicyError,
    RateLimitExceeded,
    TooManyConcurrent,
)
from proxy.exchange.session_errors import LoopDetected, SessionBudgetExceeded
from proxy.policy.limits.limiter import Denied
from proxy.policy.loops import Burning, Repeating
from proxy.policy.money.account import Exceeded, InFlight, Verdict
from proxy.policy.money.amounts import PUSD_PER_USD, usd_text
from proxy.policy.money.budgets import GLOBAL, Budget, Limit, key_scope
from proxy.policy.money.quote import Unbounded
from proxy.policy.tenants import is_own
from proxy.policy.values import Caller
from proxy.wire.call import Call

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
_NAME = re.compile(r"[\w./:@~+-]{1,120}", re.ASCII)


def exceeded(verdict: Verdict, amount: int, caller: Caller) -> PolicyError:
    """Spending alone leaves too little for this call."""
    assert isinstance(verdict, Exceeded)
    budget, left = verdict.budget, "too little left"
    if _is_told(budget, caller):
        left = f"${_usd(verdict.left_pusd)} left of ${_usd(budget.cap_pusd)}"
    return spent_up(budget)(
        f"This call may cost up to ${_usd(amount)}, and {_named(budget, caller)} has {left}. {_resets(verdict.resets_at)} "
        f"{_way_on(budget, amount)}"
    )


def spent_up(budget: Budget) -> type[PolicyError]:
    """The error of a budget that has too little left."""
    return SessionBudgetExceeded if budget.each == "session" else BudgetExceeded


def _way_on(budget: Budget, amount: int) -> str:
    if budget.each != "session":
        return "A smaller maximum of output tokens may fit."
    return f"An operator lets the session go on: {_raise(_session(budget), max(budget.cap_pusd, amount))}"


def _raise(session: str, pusd: int) -> str:
    return f"`tollkeeper sessions raise {session} --usd {_usd(pusd)}`."


def looping(found: Repeating | Burning, session: str) -> LoopDetected:
    """An agent runs away. `session` is the client's own id, "" where it sends none."""
    if isinstance(found, Repeating):
        why = f"It made the same tool calls with the same arguments {found.times} times in a row"
    else:
        why = f"It spent ${_usd(found.spent_pusd)} within a minute, and ${_usd(found.most_pusd)} are allowed,"
    more = f" An operator lets it go on all the same: {_raise(session, PUSD_PER_USD)}" if session else ""
    return LoopDetected(
        f"This looks like an agent that runs in a loop. {why} without a word from a human. A new word from you lets the session "
        f"go on.{more}"
    )


def outgrown(verdict: Exceeded, caller: Caller) -> PolicyError:
    """A stream has cost more than was held for it, and no more is free."""
    budget = verdict.budget
    return spent_up(budget)(
        f"This answer has cost what was held for it, and {_named(budget, caller)}{_of(budget, caller)} has too little left "
        f"to hold as much again; the answer ends here. {_resets(verdict.resets_at)}"
    )


def in_flight(verdict: Verdict, caller: Caller) -> BudgetInFlight:
    """Calls under way hold what this one needs, or others were before it; most of it comes back when they end."""
    if isinstance(verdict, InFlight):
        budget, seconds = verdict.budget, verdict.retry_after_seconds
        rest = f"{_named(budget, caller)}{_of(budget, caller)}"
        share = "" if budget.share == 1 else f", or the share ({budget.share}) of it that one key may hold at once"
        sentence = f"Calls under way hold the rest of {rest}{share}; try again in a moment."
        return BudgetInFlight(sentence, retry_after=seconds)
    return BudgetInFlight("Other calls of this key wait for the same budget; try again in a moment.", retry_after=1.0)


def unbounded(call: Call, model: str, why: Unbounded) -> PolicyError | ModelNotFound:
    """Nothing bounds what the call may cost."""
    if why.by == "tool":
        return ModelNotPriced(
            f"A budget applies to this call, and what {_shown(why.tool, 'one of its tools', 'the tool ')} may cost cannot be "
            "bounded. Leave the tool out, or set `budget_policy: {unpriced: allow}`.",
            param="tools",
        )
    if why.by == "endpoint":
        named = (
            f"'{call.endpoint.name}'"
            if call.endpoint.listed
            else "this method and path, which Tollkeeper does not know,"
        )
        return ModelNotPriced(
            f"A budget applies to this call, and nothing in a request to {named} bounds what it will cost. Use a key "
            "without a budget for it, or set `budget_policy: {unpriced: allow}`, which books what its reply tells."
        )
    if why.by == "request":
        return ModelNotPriced(
            "A budget applies to this call, and what it may cost cannot be bounded: the number of answers is no number, "
            f"or {_shown(model)} has no price of this kind of input or output. Set `budget_policy: {{unpriced: allow}}` to "
            "let it go.",
            param="model",
        )
    return _unpriced(call, model, why)


def _unpriced(call: Call, model: str, why: Unbounded) -> PolicyError | ModelNotFound:
    """The price of the model is in no list, if it names one at all."""
    if why.near is not None:
        return unlisted(why.near)
    if call.model is None:
        return ModelNotPriced(
            "A budget applies to this call, and it names no model, so that what it may cost is unknown. Name one, or set "
            "`default_model:` in the configuration.",
            param="model",
        )
    return ModelNotPriced(
        f"A budget applies to this call, and no list has a price of {_shown(why.model or model)}. Give it a `price:` under "
        "`models:` in the configuration, of `input` and `output` both (0 for what it does not charge), or set "
        "`budget_policy: {unpriced: allow}`.",
        param="model",
    )


def _shown(name: str, otherwise: str = "this model", kind: str = "") -> str:
    """Named where it has the shape of a name: errors repeat nothing else of a request."""
    return f"{kind}`{name}`" if _NAME.fullmatch(name) else otherwise


def unlisted(near: Iterable[str], unasked: str = "") -> ModelNotFound:
    """A budget applies, or its provider (`unasked`) cannot be asked, and the name is in none of the lists that know that
    provider's models."""
    names = ", ".join(near)
    alike = f" Near it: {names}." if names else ""
    if unasked:
        return ModelNotFound(
            f"No list of models has this name, and {unasked} has failed several times in a row, so that it cannot be asked."
            f"{alike} If it is new, give it a `price:` under `models:` in the configuration.",
            param="model",
        )
    return ModelNotFound(
        f"No list of models has this name, so what it may cost is unknown, and a budget applies.{alike} If it "
        "is new, give it a `price:` under `models:` in the configuration.",
        param="model",
    )


def code_of(limit: Limit) -> str:
    """Of the error with which a limit refuses."""
    return TooManyConcurrent.code if limit.of == "concurrent" else RateLimitExceeded.code


def too_much(denied: Denied, caller: Caller) -> PolicyError:
    """A rate limit is in the way."""
    limit, seconds = denied.limit, denied.retry_after_seconds
    whose = f"of {_whose(limit.scope, caller)}"
    if limit.of == "concurrent":
        return TooManyConcurrent(
            f"The limit {whose} of {limit.amount} calls at once is reached; try again when one has ended.",
            retry_after=seconds,
        )
    error = RateLimitExceeded(
        f"The limit {whose} of {limit.amount} {limit.of} per {limit.per} is reached; try again in {_words(seconds)}.",
        retry_after=seconds,
    )
    error.error_type = limit.of
    return error


def _words(seconds: float) -> str:
    """How long to wait: seconds where these are few, else whole minutes, hours or days."""
    unit, name = next(((unit, name) for unit, name in _UNITS if seconds >= 2 * unit), (0, ""))
    return f"{ceil(seconds / unit)} {name}" if unit else f"{seconds:.1f} s"


def _named(budget: Budget, caller: Caller) -> str:
    only = {} if budget.only is None else asdict(budget.only)
    what = " and ".join(f"{name} {pattern}" for name, pattern in only.items() if pattern is not None)
    whose = _whose_budget(budget, caller)
    named = f"{whose} for {what}" if what else whose
    return f"{named} per {budget.per}" if budget.per != "total" else named


def _whose_budget(budget: Budget, caller: Caller) -> str:
    if budget.each is not None:
        return f"the budget of the {budget.each} {_session(budget) if budget.each == 'session' else budget.of}"
    if budget.scope.startswith(key_scope("")):  # also under the name that it was given meanwhile
        return "this key's budget"
    return f"the budget of {_whose(budget.scope, caller)}"


def _of(budget: Budget, caller: Caller) -> str:
    """Its cap, for those whose it is: who shares one with others reads nothing of what they spend."""
    return f" of ${_usd(budget.cap_pusd)}" if _is_told(budget, caller) else ""


def _is_told(budget: Budget, caller: Caller) -> bool:
    """Whether its figures are the caller's to read: a key's or session's own are, wherever they are configured."""
    return budget.each in ("key", "session") or is_own(caller, budget.scope)


def _whose(scope: str, caller: Caller) -> str:
    """Who falls under it, as the caller knows them."""
    if scope == key_scope(caller.name):
        return "this key"
    if scope == GLOBAL:
        return "everything together"
    name = scope.partition(":")[2]
    return f"the tenant {name}" if name == caller.tenant else f"{name}, which the tenant of this key belongs to,"


def _session(budget: Budget) -> str:
    """The client's own id, of a session's own budget."""
    return budget.of.partition("/")[2]


def _resets(at: int | None) -> str:
    if at is None:
        return "It never starts anew."
    return f"It starts anew at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC."


def _usd(pusd: int) -> str:
    """Dollars for a sentence: two places at least, no trailing zeros after them."""
    whole, _, rest = usd_text(pusd).partition(".")
    return f"{whole}.{rest[:2]}{rest[2:].rstrip('0')}"
