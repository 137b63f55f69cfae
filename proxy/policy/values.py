"""The values every decision is made of: providers, targets, plans, callers, rules.

The configuration builds them (`proxy/config`); nothing here knows of YAML or pydantic.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from proxy.policy.alerting.rules import AlertRule
from proxy.policy.experiments.values import Experiment
from proxy.policy.features import ALL_ON, Features
from proxy.policy.loops import Loops
from proxy.policy.money.budgets import Budget, BudgetRules, Limit
from proxy.policy.money.credits import Credits
from proxy.policy.operators import Login, Operator, Told
from proxy.policy.sharing import Sharing
from proxy.policy.strategies import CandidateRule, Pool, Strategy
from proxy.policy.use_cases.values import UseCase
from proxy.secret import Secret

MaxTokensField = Literal["max_tokens", "max_completion_tokens", "none"]
Kind = Literal["openrouter", "openai", "anthropic", "mock"]
ApiName = Literal["chat", "completions", "responses", "messages", "images", "embeddings"]
Lossy = Literal["allow", "warn", "reject"]

NO_KEY = "no key configured"


class Timeouts(Struct, frozen=True):
    """Seconds. `first_byte` counts silence before the first event of a streamed reply, `idle` silence once bytes flow. A call
    that is not streamed may take `unstreamed` (None: `total`), one for pictures `images`."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 300.0
    total: float = 3600.0
    unstreamed: float | None = None
    images: float = 300.0

    def whole_call(self, *, stream: bool, draws: bool = False) -> float:
        """How long a call may take from its first byte to its last."""
        if draws:
            return min(self.images, self.total)
        return self.total if stream or self.unstreamed is None else self.unstreamed


class Provider(Struct, frozen=True):
    """One configured upstream.

    `base_url` has no trailing slash; the upstream's URL is it plus the path without /v1.
    `api_key` None sends no credential. `key_source` says in words where the key comes from ("environment variable
    OPENROUTER_API_KEY"), for error messages. `proxy` is the URL of an HTTP proxy to go through, "environment", or None.
    `ca_file` holds the authorities to believe, in PEM, instead of SSL_CERT_FILE's or the system's.
    `max_tokens_field` is the member that limits chat's output there ("none": no member, on any endpoint), None the
    usual one; without `stream_options` that member is never put in. `speaks` None: unknown until it is tried. `shut`
    says why no call goes there now: it is switched off, or (`is_unreadable`) its stored key cannot be opened. `zdr`: it
    keeps nothing of a call, says the operator. `tenant` is whose key it has; "" everybody's. `admin_key` reads the bill
    of the account, and nothing else. `batches`: of its own, as its kind has them."""

    name: str
    kind: Kind
    base_url: str
    api_key: Secret | None = None
    key_source: str = NO_KEY
    headers: tuple[tuple[str, str], ...] = ()
    timeouts: Timeouts = Timeouts()
    free: bool = False
    proxy: str | None = None
    ca_file: str | None = None
    max_tokens_field: MaxTokensField | None = None
    stream_options: bool = True
    speaks: frozenset[ApiName] | None = None
    shut: str = ""
    is_unreadable: bool = False
    zdr: bool = False
    tenant: str = ""
    batches: bool = False
    admin_key: Secret | None = None


class Target(Struct, frozen=True):
    """Where one attempt goes: a provider by name, and the model name it will read."""

    provider: str
    model: str


class Alias(Struct, frozen=True):
    """A name under `models:`. `defaults` holds top-level JSON members as (name, JSON text), used only where the client is
    silent; `use` is what else it says of calls, `sharing` of those that are alike. With `candidates`, the first of them is
    the `target` and the others come before the `fallbacks`; each call chooses among them by `strategy`."""

    target: str
    fallbacks: tuple[str, ...] = ()
    defaults: tuple[tuple[str, bytes], ...] = ()
    use: UseCase | None = None
    candidates: tuple[CandidateRule, ...] = ()
    strategy: str = ""
    sharing: Sharing | None = None


class Route(Struct, frozen=True):
    """A row of `routes:`: an fnmatch pattern over `author/slug`, and a provider's name."""

    match: str
    provider: str


class Switch(Struct, frozen=True):
    """An entry of `model_switches:`: whether what matches the fnmatch pattern may be used. `enabled` is for everybody (None:
    it says nothing of them), `keys` by a key's name."""

    pattern: str
    enabled: bool | None = None
    keys: dict[str, bool] = {}


class Plan(Struct, frozen=True):
    """What one call will try, first choice first. `label` is the configured name of the first
    target (an alias, else `author/slug`), fit for a metric; `defaults`, `use` and `sharing` as in `Alias`. `rewrite` False: the
    body goes out as it is (no `model` was sent, and none is set). `stages` are what comes first from a part of the tightest
    budget on (hundredths of a percent, rising); `start` is the target the call begins with. With a `pool`, the targets are
    chosen anew for each call. `experiment`: the name of that which chooses among its arms.
    """

    targets: tuple[Target, ...]
    label: str
    defaults: tuple[tuple[str, bytes], ...] = ()
    rewrite: bool = True
    use: UseCase | None = None
    stages: tuple[tuple[int, tuple[Target, ...]], ...] = ()
    start: int = 0
    pool: Pool | None = None
    experiment: str = ""
    sharing: Sharing | None = None


class RetryRules(Struct, frozen=True):
    """`attempts` tries per target, waits of `first_wait` doubling (seconds); a `Retry-After` above `longest_wait` is not waited
    for. At most `most_calls` upstream calls per client call."""

    attempts: int = 3
    first_wait: float = 1.0
    longest_wait: float = 8.0
    most_calls: int = 6


class Caller(Struct, frozen=True):
    """Who holds a client key. `models` are fnmatch patterns over aliases and `author/slug`; empty means all. `key_sha256` is the
    SHA-256 of the secret; of a stored key there is only `key_hmac`, its keyed hash. From `expires_ms` on (UTC epoch) the key is
    refused like an unknown one. `timing`: replies say where their time went. `lossy` None: what the whole configuration says. `uid`:
    this user needs no key on a Unix socket. `sharing`: of calls that are alike. `owner`: of files, jobs, kept replies; "": `name`."""

    name: str
    models: tuple[str, ...] = ()
    key_sha256: bytes = b""
    expires_ms: int | None = None
    key_hmac: bytes = b""
    timing: bool = False
    lossy: Lossy | None = None
    zdr: bool = False
    tenant: str = ""
    also: tuple[tuple[str, ...], ...] = ()
    scopes: tuple[str, ...] = ()
    default_model: str | None = None
    max_output: int | None = None
    own: dict[str, Provider] = {}
    uid: int | None = None
    sharing: Sharing | None = None
    owner: str = ""


class Credential(Struct, frozen=True):
    """A tenant's own key of a provider; `source` says in words where it comes from, `unreadable` why it cannot be opened."""

    key: Secret
    source: str
    unreadable: str = ""


class Tenant(Struct, frozen=True):
    """A site, a team or a customer. `credentials` are its own by the provider's name, `lossy` None as everywhere else."""

    name: str
    parent: str | None = None
    credentials: dict[str, Credential] = {}
    default_model: str | None = None
    max_output: int | None = None
    models: tuple[str, ...] = ()
    lossy: Lossy | None = None
    zdr: bool = False


class OwnPrice(Struct, frozen=True):
    """A price of our own, USD per million tokens or for one search; None keeps the catalogue's."""

    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    cached_input_usd: Decimal | None = None
    web_search_usd: Decimal | None = None
    file_search_usd: Decimal | None = None


class MoneySettings(Struct, frozen=True):
    """Budgets, limits, own prices by alias, and how the books are kept. `keep_seconds` None keeps rows for ever;
    `zone` is the machine's; `alerts` are those of budgets that name none."""

    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    rules: BudgetRules = BudgetRules()
    prices: dict[str, OwnPrice] = {}
    fsync: Literal["interval", "always", "never"] = "interval"
    journal_max_bytes: int = 256 * 2**20
    keep_seconds: float | None = None
    zone: tzinfo = UTC
    alerts: tuple[int, ...] = ()


class JobRules(Struct, frozen=True):
    """Of batches: lines at once, bytes of a file, how long results are kept (None: for ever); may webhooks be private."""

    concurrent: int = 8
    max_file: int = 200 * 2**20
    keep_seconds: float | None = 30 * 86400.0
    allow_private: bool = False


class Listen(Struct, frozen=True):
    """An address to serve on: `socket` (a Unix path) or `host` and `port` (0 = any free one).
    `hosts` and `origins` are what the Host and Origin headers may name beside loopback."""

    host: str = "127.0.0.1"
    port: int = 0
    socket: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class FromEnvironment(Struct, frozen=True):
    """A setting that the environment made, by its path in a file ("retries.attempts"), and the variable's name."""

    setting: str
    value: str
    variable: str


class Settings(Struct, frozen=True):
    """Everything a running daemon was told, resolved and checked. Sizes in bytes, times in seconds.

    `source` is its file, None where the environment decided; `written` are its sections, those written empty among
    them. `environment` is what variables say beside it, keys of providers aside; `unused` are those that say nothing
    after all. `open`: where no key is left, everybody may call again. `gen_ai`: metrics under OpenTelemetry's names as
    well. `master_key_file` is where the keys of stored secrets are.
    """

    listen: Listen
    admin: Listen
    state_dir: str
    providers: dict[str, Provider]
    admin_token: Secret | None = None
    admins: dict[str, Operator] = {}
    login: Login = Login()
    routes: tuple[Route, ...] = ()
    aliases: dict[str, Alias] = {}
    model_switches: dict[str, Switch] = {}
    strategies: dict[str, Strategy] = {}
    experiments: dict[str, Experiment] = {}
    features: Features = ALL_ON
    default_model: str | None = None
    unknown_models: Literal["reject", "pass"] = "reject"
    lossy: Lossy = "warn"
    catalogue_refresh: float | None = 6 * 3600.0
    retries: RetryRules = RetryRules()
    max_body: int = 64 * 2**20
    max_body_total: int = 256 * 2**20
    callers: tuple[Caller, ...] = ()
    tenants: dict[str, Tenant] = {}
    open: bool = False
    drain: float = 30.0
    results_bytes: int = 2**30
    credits: Credits | None = None
    money: MoneySettings = MoneySettings()
    alerts: tuple[Told, ...] = ()
    alert_rules: dict[str, AlertRule] = {}
    jobs: JobRules = JobRules()
    loops: Loops | None = None
    gen_ai: bool = False
    log_level: str = "info"
    log_format: Literal["auto", "json", "pretty"] = "auto"
    source: str | None = None
    written: frozenset[str] = frozenset()
    environment: tuple[FromEnvironment, ...] = ()
    unused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    master_key_file: str = ""
