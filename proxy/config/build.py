"""From a checked configuration to the values a daemon runs on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from proxy.config.build_experiments import trying
from proxy.config.build_money import build_loops, build_money, idle_budgets
from proxy.config.build_operators import who_operates
from proxy.config.build_routing import choosing
from proxy.config.discover import NO_PROVIDER, beside, master_key_file, state_dir
from proxy.config.environment import Said
from proxy.config.models import Config, KeySection, ListenSection, ProviderSection
from proxy.config.models_tenants import TenantSection
from proxy.config.oddities import oddities
from proxy.config.problems import Path as Place
from proxy.config.problems import path_text
from proxy.config.secrets import Filled
from proxy.config.use_cases import alias_of, sharing_of
from proxy.policy.apis import speaks_by_default
from proxy.policy.money.credits import Credits
from proxy.policy.names.vendors import refuses_stream_options
from proxy.policy.values import (
    NO_KEY,
    Caller,
    Credential,
    JobRules,
    Listen,
    Provider,
    RetryRules,
    Route,
    Settings,
    Tenant,
    Timeouts,
)
from proxy.presets import PRESETS
from proxy.secret import Secret

_MOCK = Provider(name="mock", kind="mock", base_url="", key_source="no key needed", free=False)
_HAS_BATCHES = {"openai": "https://api.openai.com/", "anthropic": "https://api.anthropic.com/"}
MOCK = replace(_MOCK, speaks=speaks_by_default(_MOCK))


class Sources(Struct, frozen=True):
    """What stands behind a configuration: its file, its variables, keys read from files, what the environment says
    beside it, and the sections that are written.

    `mock` puts the built-in provider in the place of all others; `stored` are the entries that stand in the store, each
    with why a secret of it cannot be opened, "" where all can.
    """

    file: Path | None
    filled: Filled
    env: Mapping[str, str]
    key_files: Mapping[Place, tuple[Path, Secret]]
    said: Said
    written: frozenset[str]
    mock: bool
    stored: Mapping[tuple[str, str], str]


def build(config: Config, sources: Sources, warnings: tuple[str, ...] = ()) -> Settings:
    """Resolve every default and path; nothing can fail here any more."""
    providers, folder = _providers(config, sources), state_dir(config.state_dir, sources.file, sources.env)
    return Settings(
        listen=_listen(config.listen, sources),
        admin=_listen(config.admin, sources),
        state_dir=folder,
        master_key_file=master_key_file(config.master_key_file, sources.file, sources.env, folder),
        providers=providers,
        **who_operates(config, lambda path: str(beside(path, sources.file, sources.env))),
        routes=() if sources.mock else tuple(Route(route.match, route.provider) for route in config.routes),
        aliases={name: alias_of(name, model) for name, model in config.models.items()},
        **choosing(config),
        **trying(config),
        default_model=config.default_model,
        unknown_models=config.unknown_models,
        lossy=config.translation.lossy,
        catalogue_refresh=config.catalogue.refresh,
        retries=RetryRules(config.retries.attempts, config.retries.first_wait, config.retries.longest_wait),
        max_body=config.max_body,
        max_body_total=config.max_body_total,
        callers=tuple(_caller(name, key) for name, key in config.keys.items()),
        tenants={name: _tenant(name, tenant, sources) for name, tenant in config.tenants.items()},
        open=config.open,
        drain=config.shutdown.drain,
        results_bytes=config.results.max_bytes,
        credits=None if config.credits is None else Credits(config.credits.usd, config.credits.name),
        money=build_money(config, sources.env),
        jobs=JobRules(config.jobs.concurrent, config.jobs.max_file, config.jobs.keep, config.webhooks.allow_private),
        loops=build_loops(config.sessions.loops),
        gen_ai=config.metrics.gen_ai,
        log_level=config.log.level,
        log_format=config.log.format,
        source=str(sources.file) if sources.file is not None else None,
        written=sources.written,
        environment=sources.said.told,
        unused=tuple(sources.said.unused),
        warnings=warnings + _doubtful(config, sources, providers),
    )


def _doubtful(config: Config, sources: Sources, providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """What works, and is likely not meant so."""
    odd = tuple(oddities(sources.filled.tree, tuple(providers.values()), _secrets(config)))
    idle = tuple(idle_budgets(config, tuple(providers)))
    return _keyless(providers, config.tenants) + odd + _never_told(config) + _without_socket(config) + idle


def _secrets(config: Config) -> dict[str, Secret]:
    """Of callers, operators and webhooks, by what they are called."""
    found = {f"keys.{name}": key.key for name, key in config.keys.items() if key.key is not None}
    found |= {f"admins.{name}.token": one.token for name, one in config.admins.items() if one.token is not None}
    if config.auth.oidc is not None and config.auth.oidc.client_secret is not None:
        found["auth.oidc.client_secret"] = config.auth.oidc.client_secret
    for index, hook in enumerate(config.alerts):
        secrets = {f"alerts[{index}].secret": hook.secret, f"alerts[{index}].old_secret": hook.old_secret}
        found |= {place: secret for place, secret in secrets.items() if secret is not None}
    if config.smtp is not None and config.smtp.password is not None:
        found["smtp.password"] = config.smtp.password
    return found if config.admin.token is None else {**found, "admin.token": config.admin.token}


def _providers(config: Config, sources: Sources) -> dict[str, Provider]:
    if sources.mock:
        return {MOCK.name: MOCK}
    return {name: _provider(name, section, sources) for name, section in config.providers.items()}


def _provider(name: str, section: ProviderSection, sources: Sources) -> Provider:
    key, key_source = _key(name, section, sources)
    times, unreadable = section.timeouts, sources.stored.get(("providers", name), "")
    off = "" if section.enabled else f"{name} is switched off (`enabled: false`)"
    made = Provider(
        name=name,
        kind=section.kind,
        base_url=section.base_url or PRESETS[section.kind].base_url,
        api_key=key,
        key_source=key_source,
        headers=tuple(section.headers.items()),
        timeouts=Timeouts(times.connect, times.first_byte, times.idle, times.total, times.unstreamed, times.images),
        free=section.free,
        proxy=section.proxy,
        ca_file=None if section.ca_file is None else str(beside(section.ca_file, sources.file, sources.env)),
        max_tokens_field=section.max_tokens_field,
        shut=off or unreadable,
        is_unreadable=bool(unreadable) and not off,
        zdr=section.zdr,
        admin_key=section.admin_key if not unreadable else None,
    )
    speaks = speaks_by_default(made) if section.speaks is None else frozenset(section.speaks)
    at = _HAS_BATCHES.get(made.kind)
    batches = at is not None and (made.base_url.startswith(at) if section.batches is None else section.batches)
    asks = section.stream_options and ("stream_options" in section.model_fields_set or not refuses_stream_options(made))
    return replace(made, speaks=speaks, batches=batches, stream_options=asks)


def _key(name: str, section: ProviderSection, sources: Sources) -> tuple[Secret | None, str]:
    """Return a provider's key, and in words where it comes from."""
    file = sources.key_files.get(("providers", name, "api_key_file"))
    if file is not None:
        return file[1], f"file {file[0]}"
    if section.api_key is None:
        return None, NO_KEY
    is_readable = not sources.stored.get(("providers", name))
    return section.api_key if is_readable else None, _origin(("providers", name, "api_key"), sources)


def _origin(place: Place, sources: Sources) -> str:
    """In words, where what stands there comes from."""
    if place[:2] in sources.stored:
        return f"the stored setting {path_text(place[:2])}"
    if variables := sources.filled.variables.get(place):
        return f"environment variable {' and '.join(variables)}"
    return f"{path_text(place)} in {sources.file}"


def _tenant(name: str, section: TenantSection, sources: Sources) -> Tenant:
    unreadable = sources.stored.get(("tenants", name), "")
    found = {
        provider: Credential(key, _origin(("tenants", name, "credentials", provider), sources), unreadable)
        for provider, key in section.credentials.items()
    }
    for provider in section.credential_files:
        path, key = sources.key_files.get(("tenants", name, "credential_files", provider), (None, Secret("")))
        found[provider] = Credential(key, f"file {path}")
    return Tenant(
        name,
        section.parent,
        found,
        section.default_model,
        section.max_output,
        tuple(section.models),
        None if section.translation is None else section.translation.lossy,
        section.privacy.zdr,
    )


def _keyless(providers: Mapping[str, Provider], tenants: Mapping[str, TenantSection]) -> tuple[str, ...]:
    """Of a provider that tenants have keys of their own for, none may be wanted besides."""
    if not providers:
        return (NO_PROVIDER,)
    brought = {name for tenant in tenants.values() for name in (*tenant.credentials, *tenant.credential_files)}
    return tuple(
        f"provider {provider.name} has no key, and {provider.base_url} wants one: set api_key or api_key_file"
        for provider in providers.values()
        if provider.api_key is None
        and provider.base_url == PRESETS[provider.kind].base_url != ""
        and not provider.headers
        and provider.name not in brought
    )


def _never_told(config: Config) -> tuple[str, ...]:
    budgets = [budget for key in config.keys.values() for budget in key.budgets] + config.budgets
    budgets += [budget for tenant in config.tenants.values() for budget in tenant.budgets]
    is_told = config.budget_alerts or config.alert_rules or any(budget.alerts for budget in budgets)
    if not config.alerts or is_told:
        return ()
    return ("alerts names webhooks, and no budget has anything to tell them: add budget_alerts: [80%, 95%]",)


def _listen(section: ListenSection, sources: Sources) -> Listen:
    socket = None if section.socket is None else str(beside(section.socket, sources.file, sources.env))
    return Listen(section.host, section.port, socket, tuple(section.hosts), tuple(section.origins))


def _without_socket(config: Config) -> tuple[str, ...]:
    """Keys that nobody can use where clients come over TCP only."""
    named = [name for name, key in config.keys.items() if key.uid is not None]
    if not named or config.listen.socket is not None:
        return ()
    return (
        f"keys.{named[0]}.uid counts on a Unix socket only, and listen.socket is not set: it lets nobody in over TCP",
    )


def _caller(name: str, key: KeySection) -> Caller:
    if key.key is not None:
        digest = hashlib.sha256(key.key.reveal().encode()).digest()
    else:  # nothing at all where there is only a uid
        digest = bytes.fromhex((key.key_hash or "").removeprefix("sha256:"))
    lossy = None if key.translation is None else key.translation.lossy
    return Caller(
        name,
        tuple(key.models),
        digest,
        timing=key.timing,
        lossy=lossy,
        zdr=key.privacy.zdr,
        tenant=key.tenant or "",
        uid=key.uid,
        sharing=sharing_of(f"keys.{name}", key),
    )
