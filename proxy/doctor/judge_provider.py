"""What was seen of the providers, and of our clock by theirs and by the ledger: pass, warn or fail. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from proxy.config.problems import number_of
from proxy.doctor.check import Check, failed, passed, warned
from proxy.doctor.seen import ProviderSeen
from proxy.policy.values import Provider

FEWEST_DAYS = 14
LEAST_USD = Decimal(1)
LEAST_SHARE = Decimal("0.1")
# the `Date` of an answer is good to a second; signatures, certificates and days of budgets forgive a few
OFF_SECONDS = 5.0
WRONG_SECONDS = 60.0

_json = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_STEPS = {
    "dns": "check base_url, and the resolver: getent hosts {host}",
    "connect": "check base_url and the way there: curl -sv {url}",
    "certificate": "check the clock, base_url, and what stands between: openssl s_client -connect {peer}",
    "answer": "try it by hand: curl -sv {url}",
}


def provider_checks(seen: ProviderSeen) -> list[Check]:
    """How far it was reached, one line a step, up to the first that failed."""
    return list(_steps(seen))


def offline_checks(names: Sequence[str]) -> list[Check]:
    """Nobody was asked."""
    return [passed(f"provider {name}", "reach", "skipped (--offline)") for name in names]


def sealed_check(provider: Provider, *, runs: bool) -> Check:
    """It was not asked: its stored key does not open here; whether that is wrong another check says."""
    how = "" if provider.tenant or not runs else f"; `tollkeeper providers test {provider.name}` has the daemon ask"
    return passed(_group(provider), "key", f"skipped; its stored key cannot be opened here{how}")


def _group(provider: Provider) -> str:
    return f"provider {provider.name}{f' (tenant {provider.tenant})' if provider.tenant else ''}"


def _steps(seen: ProviderSeen) -> Iterator[Check]:
    group = _group(seen.provider)
    if seen.provider.is_unreadable:
        why = f"its stored key cannot be opened, so that nothing was asked: {seen.provider.shut}"
        yield failed(group, "key", why, "put that master key back, or store the key again")
        return
    if not seen.host:
        yield passed(group, "reach", "built in; needs no network")
        return
    if seen.addresses:
        yield passed(group, "dns", _named(seen))
    if seen.connect_ms is not None:
        way = f" to the proxy {seen.through}" if seen.through else ""
        yield passed(group, "connect", f"within {seen.connect_ms:.0f} ms{way}")
    if seen.certificate_days is not None:
        yield _certificate(seen, group)
    if seen.trouble:
        url = seen.provider.base_url
        peer = f"{seen.host}:{urlsplit(url).port or 443}{f' -proxy {seen.through}' if seen.through else ''}"
        step = _STEPS[seen.stage].format(host=seen.through or seen.host, url=url, peer=peer)
        yield _graver(seen)(group, seen.stage, seen.trouble, step)
    elif seen.status is not None:
        yield _answered(seen, group, seen.status)


def _named(seen: ProviderSeen) -> str:
    name, first = seen.through or seen.host, seen.addresses[0]
    if first in (name, name.rpartition(":")[0]):
        return f"{name} needs no looking up"
    more = f" and {len(seen.addresses) - 1} more" if len(seen.addresses) > 1 else ""
    return f"{name} is {first}{more}"


def _graver(seen: ProviderSeen) -> Callable[[str, str, str, str], Check]:
    """A provider without a key may be a local server that is off: no failure."""
    return failed if seen.provider.api_key is not None else warned


def _certificate(seen: ProviderSeen, group: str) -> Check:
    days = seen.certificate_days or 0
    if days < FEWEST_DAYS:
        found = f"valid for {days} more days only"
        return warned(group, "certificate", found, "have it renewed, or the clock set right")
    return passed(group, "certificate", f"valid for {days} more days")


def _answered(seen: ProviderSeen, group: str, status: int) -> Check:
    provider = seen.provider
    if seen.about_our_key and provider.api_key is None:
        step = f"set providers.{provider.name}.api_key"
        return warned(group, "key", f"it wants a key ({status}), and none is configured", step)
    if seen.about_our_key:
        found = f"it refuses our key ({status}): {provider.key_source}"
        return failed(group, "key", found, "put a valid key there and restart the daemon")
    if status == 402:
        return failed(group, "key", "the account is out of money (402)", "add credit at the provider")
    if status == 429:
        return warned(group, "key", "too many requests just now (429)", "ask again later; look at its limits")
    if status >= 500:
        return _graver(seen)(
            group, "answer", f"it is in trouble itself ({status})", "see its status page; fallbacks help"
        )
    if 300 <= status < 400:
        step = f"correct providers.{provider.name}.base_url"
        return _graver(seen)(group, "answer", f"it answers with a redirect ({status}), which is never followed", step)
    if status == 403:
        step = "see what it allows this key and this address; calls may work all the same"
        return warned(group, "key", "it refuses the question (403), though not for the key", step)
    if status != 200:
        step = f"check providers.{provider.name}.base_url; calls may work all the same"
        return warned(group, "key", f"it answers, but cannot say whether the key is good ({status})", step)
    if seen.balance.key is not None:
        return _account(seen, group)
    if seen.models is None:
        step = f"check providers.{provider.name}.base_url: it goes up to and including /v1"
        return warned(group, "key", "it answers, but with no list of models", step)
    return passed(
        group,
        "key",
        f"{'reachable' if provider.api_key is None else 'accepted'}; it lists {number_of(seen.models, 'model')}",
    )


def _account(seen: ProviderSeen, group: str) -> Check:
    """OpenRouter's word on the key: what is left under its limit, and in the account."""
    key, account = _data(seen.balance.key), _data(seen.balance.credits)
    if key is None:
        step = f"check providers.{seen.provider.name}.base_url; kind openai fits servers that speak as OpenAI does"
        return warned(group, "key", "it answers, but not as OpenRouter does", step)
    limit, left = _usd(key, "limit"), _usd(key, "limit_remaining")
    amounts = []
    if limit is not None and left is not None:
        amounts.append((left, limit, f"{_dollars(left)} of the key's limit of {_dollars(limit)} is left"))
    bought, used = (_usd(account, name) for name in ("total_credits", "total_usage")) if account else (None, None)
    if bought is not None and used is not None:
        amounts.append((bought - used, Decimal(0), f"{_dollars(bought - used)} of credit is left"))
    found = "; ".join(["accepted", *(text for _, _, text in amounts)])
    step = "raise the key's limit or add credit at openrouter.ai, before calls get 402"
    if any(amount <= 0 for amount, _, _ in amounts):
        return failed(group, "key", found, step)
    if any(amount < LEAST_USD or amount < whole * LEAST_SHARE for amount, whole, _ in amounts):
        return warned(group, "key", found, step)
    return passed(group, "key", found if amounts else "accepted; the key has no limit")


def _data(body: bytes | None) -> dict[str, Any] | None:
    try:
        data = None if body is None else _json.decode(body).get("data")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return data if isinstance(data, dict) else None


def _usd(data: dict[str, Any], name: str) -> Decimal | None:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _dollars(amount: Decimal) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}${abs(amount):,.{2 if abs(amount) >= 1 or not amount else 4}f}"


def period_checks(ahead: Mapping[str, int]) -> list[Check]:
    """Budgets whose period a clock that was ahead has begun: such a one is not over before the clock comes there again."""
    step = "once the clock is right: give it a `name:` that it has not had, and `tollkeeper reload`; it begins at nothing then"
    told = (
        "the budget {} is in the period that begins on {}, as the clock was ahead once, and starts anew after that only"
    )
    return [
        failed("state", "periods", told.format(budget, datetime.fromtimestamp(begins, UTC).date().isoformat()), step)
        for budget, begins in ahead.items()
    ]


def clock_checks(providers: Sequence[ProviderSeen]) -> list[Check]:
    """Our clock against the providers': the one that agrees best counts, as theirs may be wrong as well.

    Servers of this machine have our clock, and count only where nobody else answered.
    """
    told = [(seen, offset) for seen in providers if (offset := seen.offset_seconds) is not None]
    told = [pair for pair in told if not pair[0].is_local] or told
    if not told:
        return [passed("clock", "offset", "not compared; no provider told the time")]
    seen, offset = min(told, key=lambda pair: abs(pair[1]))
    beyond = abs(offset) - seen.within_seconds
    if beyond <= OFF_SECONDS:
        return [passed("clock", "offset", f"within {max(1.0, abs(offset)):.0f} s of {seen.provider.name}'s")]
    side = "behind" if offset > 0 else "ahead of"
    found = f"this machine's clock is {abs(offset):.0f} s {side} {seen.provider.name}'s"
    step = "set it right: timedatectl set-ntp true"
    grave = beyond > WRONG_SECONDS
    return [failed("clock", "offset", found, step) if grave else warned("clock", "offset", found, step)]
