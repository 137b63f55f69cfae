"""Looks at the configuration: the file and what is stored over it, their secrets, the keys, the prices of its models."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from proxy.config.discover import key_file
from proxy.config.models import Config
from proxy.config.problems import ConfigProblems, path_text
from proxy.config.stored import Entry
from proxy.data import snapshot_bytes
from proxy.doctor.seen import NEWS_DAYS, ConfigSeen, KeysSeen, PricesSeen, Unpriced
from proxy.errors import ModelNotFound
from proxy.exchange.background.kept_lists import FILE_NAME, cached_images, with_cached
from proxy.exchange.background.pricing import price_book
from proxy.policy.money.budgets import GLOBAL
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.access import may_use
from proxy.policy.names.feed import accept, read_feed
from proxy.policy.names.resolution import Names
from proxy.policy.tenants import scopes_of
from proxy.policy.values import Settings, Target
from proxy.stores.effective import Effective, load_effective
from proxy.stores.failures import StoreError
from proxy.stores.keyset import KeySet, key_set
from proxy.stores.model_news import News
from proxy.stores.questions.queries import Files

_DAY_SECONDS = 86_400.0
_MOST_NEWS = 1000


def look_at_config(path: Path | None, env: Mapping[str, str]) -> ConfigSeen:
    """Read it as the daemon would; where only secrets are missing, without them."""
    file, tz = None if path is None else str(path), env.get("TZ", "")
    try:
        effective = load_effective(path, env)
    except ConfigProblems as error:
        problems = tuple(str(problem) for problem in error.problems)
        try:
            known = load_effective(path, env, needs_secrets=False)
        except ConfigProblems:
            return ConfigSeen(file, problems=problems)
        settings, places = known.loaded.settings, [problem.path for problem in error.problems]
        keyless = [name for name in settings.providers if any(_is_within(place, name) for place in places)]
        return ConfigSeen(file, settings, problems, frozenset(keyless), unopened=_unopened(known), tz=tz)
    loaded = effective.loaded
    readable = tuple(_readable_key_files(loaded.config, path, env))
    return ConfigSeen(file, loaded.settings, readable=readable, unopened=_unopened(effective), tz=tz)


def _unopened(effective: Effective) -> tuple[Entry, ...]:
    return tuple(entry for entry in effective.vault.entries if entry.unreadable)


def _is_within(place: str, provider: str) -> bool:
    return place.startswith(f"{path_text(('providers', provider))}.")


def _readable_key_files(config: Config, path: Path | None, env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for section in config.providers.values():
        if section.api_key_file is not None:
            file = key_file(section.api_key_file, path, env)
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o044:
                yield str(file), mode


def look_at_keys(settings: Settings) -> tuple[KeySet, KeysSeen]:
    """The keys in force; those of the configuration alone where the ledger cannot be read."""
    try:
        keys = key_set(settings, Files(Path(settings.state_dir)).stored_keys())
    except (StoreError, OSError) as error:
        own = replace(key_set(settings, ()), is_open=False)
        return own, KeysSeen(trouble=str(error).partition(";")[0])
    return keys, KeysSeen(tuple(caller.name for caller in keys.each), keys.is_open)


def look_at_prices(settings: Settings, keys: KeySet) -> PricesSeen:
    """The lists on disk and in the package, and what they say of the models under `models:`."""
    snapshot = read_feed(snapshot_bytes())
    fetched, trouble = None, ""
    try:
        file = Path(settings.state_dir) / FILE_NAME
        fetched = (time.time() - file.stat().st_mtime) / _DAY_SECONDS
        trouble = accept(snapshot, read_feed(file.read_bytes())) or ""
    except FileNotFoundError:
        pass
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    except ValueError:
        trouble = "it is no list of models"
    catalogue = with_cached(snapshot, settings.state_dir)
    names = Names(settings, catalogue, {})
    unpriced = tuple(
        _unpriced(settings, names, price_book(settings, names, catalogue, cached_images(settings.state_dir)), keys)
    )
    return PricesSeen(fetched, _shipped_days(), trouble, unpriced, tuple(_news(settings.state_dir)))


def _news(state_dir: str) -> list[News]:
    """What was new lately; a ledger that cannot be read has a check of its own."""
    since_ms = int((time.time() - NEWS_DAYS * _DAY_SECONDS) * 1000)
    try:
        return Files(Path(state_dir)).model_news(since_ms, _MOST_NEWS)
    except (StoreError, OSError):
        return []


def _shipped_days() -> float | None:
    made = msgspec.json.decode(snapshot_bytes()).get("source", {}).get("made")
    if made is None:
        return None
    return (time.time() - datetime.fromisoformat(made).replace(tzinfo=UTC).timestamp()) / _DAY_SECONDS


def _unpriced(settings: Settings, names: Names, prices: PriceBook, keys: KeySet) -> Iterator[Unpriced]:
    for alias in settings.aliases:
        try:
            plan = names.look_up(alias).plan
        except ModelNotFound:
            yield Unpriced(alias, "")
            continue
        for index, target in enumerate(plan.targets):
            label = prices.label_for(target, alias) if index else alias
            if prices.price(settings.providers[target.provider], label, target.model) is None:
                yield Unpriced(alias, _spelled(target), tuple(_bound_callers(alias, names, keys)))


def _spelled(target: Target) -> str:
    return f"{target.model} at {target.provider}"


def _bound_callers(alias: str, names: Names, keys: KeySet) -> Iterator[str]:
    """The keys under a budget that may use the alias; `everybody` in open mode."""
    scopes = {budget.scope for budget in keys.budgets if not budget.shadow}
    if keys.is_open and GLOBAL in scopes:
        yield "everybody"
    for caller in keys.callers:
        if not scopes.isdisjoint(scopes_of(caller)) and may_use(caller, names, alias):
            yield caller.name
