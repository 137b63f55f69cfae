"""The shape of config.yaml: one frozen model per section, every field with its unit and meaning."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxy.config.fields import (
    Attempts,
    BaseUrl,
    BindAddress,
    Count,
    Credential,
    DirectoryPath,
    FilePath,
    Flag,
    Headers,
    Host,
    KeyHash,
    Name,
    Origin,
    Percent,
    Port,
    ProxyUrl,
    Seconds,
    SecondsOrForever,
    Section,
    Size,
    SocketPath,
    Timeout,
    Uid,
    Word,
    none_of,
)
from proxy.config.models_alerting import AlertRuleSection
from proxy.config.models_experiments import ExperimentSection, FeatureSection
from proxy.config.models_money import (
    BudgetPolicySection,
    BudgetSection,
    CreditsSection,
    JournalSection,
    LedgerSection,
    LimitSection,
    MetricsSection,
    PriceSection,
    ResultsSection,
    SessionsSection,
)
from proxy.config.models_operators import (
    AdminTokenSection,
    AlertSection,
    AuthSection,
    LogSection,
    SmtpSection,
    WebhooksSection,
)
from proxy.config.models_routing import (
    CatalogueSection,
    ModelSwitchSection,
    RoutedSection,
    RouteSection,
    StrategySection,
)
from proxy.config.models_sharing import SharingSection
from proxy.config.models_tenants import PrivacySection, TenantSection, TranslationSection
from proxy.config.models_use_case import UseCaseSection
from proxy.config.short import Short, ShortSection
from proxy.presets import PRESETS


class ListenSection(Section):
    """Where the data API answers."""

    host: BindAddress = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=8655, description="TCP port; 0 takes any free one, printed at start.")
    socket: SocketPath | None = Field(default=None, description="Path of a Unix socket, instead of host and port.")
    hosts: list[Host] = Field(default=[], description="Further names the Host header may carry.")
    origins: list[Origin] = Field(default=[], description="Origins whose web pages may call.")

    @model_validator(mode="after")
    def _socket_or_address(self) -> Self:
        if self.socket is not None and self.model_fields_set & {"host", "port"}:
            raise ValueError("socket stands instead of host and port; remove one or the other")
        return self


class AdminSection(ListenSection):
    """Where metrics, health and the usage API answer."""

    port: Port = Field(default=8656, description="TCP port; 0 takes any free one, printed at start.")
    token: Credential | None = Field(default=None, description="Bearer token of the admin API; required off loopback.")


class TimeoutsSection(Section):
    """How long to wait for a provider."""

    connect: Timeout = Field(default=5.0, description="Seconds to connect.")
    first_byte: Timeout = Field(default=120.0, description="Seconds of silence before a streamed reply begins.")
    idle: Timeout = Field(default=300.0, description="Seconds of silence once bytes flow.")
    total: Timeout = Field(default=3600.0, description="Seconds a whole call may take.")
    unstreamed: Timeout | None = Field(default=None, description="Seconds a call not streamed may take, else total.")
    images: Timeout = Field(default=300.0, description="Seconds a call for pictures may take, streamed or not.")


class ProviderSection(Section):
    """One upstream."""

    kind: Literal["openrouter", "openai", "anthropic", "mock"] = Field(
        description="What it speaks; default: the entry's own name when it is one of these."
    )
    api_key: Credential | None = Field(default=None, description="The provider's key, best as ${NAME}.")
    api_key_file: FilePath | None = Field(
        default=None, description="A file holding the key, or a systemd credential's name."
    )
    admin_key: Credential | None = Field(
        default=None, description="A management or admin key of the account: only its bill is read with it."
    )
    base_url: BaseUrl | None = Field(default=None, description="Address up to and including /v1; default by kind.")
    headers: Headers = Field(default={}, description="Headers added to every call.")
    timeouts: TimeoutsSection = Field(default=TimeoutsSection(), description="How long to wait for it.")
    free: Flag = Field(default=False, description="Its calls cost nothing.")
    proxy: ProxyUrl | None = Field(default=None, description="URL of an HTTP proxy to go through, or environment.")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to believe; else SSL_CERT_FILE's, else the system's."
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens", "none"] | None = Field(
        default=None, description="The field that limits chat's output there; none: no such field on any endpoint."
    )
    stream_options: Flag = Field(default=True, description="Whether it takes the field stream_options.")
    speaks: list[Literal["chat", "completions", "responses", "messages", "images", "embeddings"]] | None = Field(
        default=None, description="The protocols it speaks; default by kind, else unknown until tried."
    )
    batches: Flag | None = Field(
        default=None,
        description="Whether batches go to its own batch, at half the price; default: at OpenAI and Anthropic.",
    )
    enabled: Flag = Field(default=True, description="False: no call goes there; fallbacks go on.")
    limits: list[LimitSection] = Field(default=[], description="What its account is asked for at most.")
    zdr: Flag = Field(
        default=False, description="It keeps nothing of a call: it is yours, or you have that in writing."
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("api_key and api_key_file are both given; keep one")
        return self

    @field_validator("limits")
    @classmethod
    def _in_force(cls, limits: list[LimitSection]) -> list[LimitSection]:
        if any(limit.shadow for limit in limits):
            raise ValueError("shadow is for limits of callers: of a provider's they would say nothing")
        return limits

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Editors cannot know that a name may stand for the kind: nothing is required there."""
        return {name: part for name, part in handler(core_schema).items() if name != "required"}


class ModelSection(ShortSection, RoutedSection, SharingSection, UseCaseSection):
    """What a name clients send stands for."""

    short = Short("target", "string", "The target.")

    price: PriceSection | None = Field(default=None, description="A price of our own, over the catalogue's.")


class RetriesSection(Section):
    """How a failed attempt is repeated."""

    attempts: Attempts = Field(default=3, description="Tries per target, 1 to 10; 1 means no retry.")
    first_wait: Seconds = Field(default=1.0, description="Seconds before the first retry; doubles each time.")
    longest_wait: Seconds = Field(default=8.0, description="A Retry-After above this many seconds is not waited for.")


class KeySection(SharingSection):
    """Who holds a client key, and what they may do."""

    key: Credential | None = Field(default=None, description="The secret itself, best as ${NAME}.")
    key_hash: KeyHash | None = Field(default=None, description="sha256:<hex> of a generated secret.")
    uid: Uid | None = Field(default=None, description="A user of this machine, who needs no secret on a Unix socket.")
    models: list[Word] = none_of(list, "Patterns over aliases and author/slug; default: all models.")
    limits: list[LimitSection] = none_of(list, "Limits of this key.")
    budgets: list[BudgetSection] = none_of(list, "Budgets of this key.")
    timing: Flag = Field(default=False, description="Replies say where their time went, in a Server-Timing header.")
    translation: TranslationSection | None = Field(default=None, description="Translation, for this key.")
    tenant: Name | None = Field(default=None, description="The tenant it belongs to.")
    privacy: PrivacySection = Field(default=PrivacySection(), description="Privacy of its calls.")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.key is not None and self.key_hash is not None:
            raise ValueError("must have exactly one of key and key_hash")
        if self.key is None and self.key_hash is None and self.uid is None:
            raise ValueError("must have exactly one of key and key_hash, or a uid")
        return self


class JobsSection(Section):
    """Batches: work that nobody waits for."""

    concurrent: Count = Field(default=8, description="Lines of batches under way at once.")
    max_file: Size = Field(default=200 * 2**20, description="Largest file of a batch; beside max_body.")
    keep: SecondsOrForever = Field(
        default=30 * 86400.0, description="How long files and results are kept: a duration such as 30d, or forever."
    )


class ShutdownSection(Section):
    """What happens on SIGTERM."""

    drain: Seconds = Field(default=30.0, description="Seconds calls under way may still take.")


class Config(Section):
    """The whole file; every section may be left out."""

    listen: ListenSection = Field(default=ListenSection(), description="Where the data API answers.")
    admin: AdminSection = Field(default=AdminSection(), description="Where metrics, health and the usage API answer.")
    state_dir: DirectoryPath | None = Field(
        default=None, description="Directory of journal, ledger.db and control.sock."
    )
    master_key_file: FilePath | None = Field(default=None, description="A file of the keys that seal stored secrets.")
    providers: dict[Name, ProviderSection] = Field(default={}, description="Upstreams; none: from the environment.")
    routes: list[RouteSection] = Field(default=[], description="Which provider serves which models; first match wins.")
    models: dict[Word, ModelSection] = Field(default={}, description="Names clients may send, and where they go.")
    strategies: dict[Name, StrategySection] = Field(
        default={}, description="Ways of one's own to choose among candidates, by name."
    )
    model_switches: dict[Word, ModelSwitchSection] = Field(
        default={}, description="Models switched off, or on again, by patterns over author/slug and provider/model."
    )
    experiments: dict[Name, ExperimentSection] = Field(
        default={}, description="Names whose calls are shared out among several models."
    )
    features: dict[
        Literal["routing", "experiments", "quality", "jobs", "dashboard", "reconciliation"], FeatureSection
    ] = Field(default={}, description="Parts that are there or not; default: all are.")
    default_model: Word | None = Field(default=None, description="The model of calls that name none.")
    unknown_models: Literal["reject", "pass"] = Field(default="reject", description="Names that fit nothing.")
    translation: TranslationSection = Field(
        default=TranslationSection(), description="Calls to providers that do not speak the client's protocol."
    )
    catalogue: CatalogueSection = Field(default=CatalogueSection(), description="The list of models and prices.")
    retries: RetriesSection = Field(default=RetriesSection(), description="How a failed attempt is repeated.")
    max_body: Size = Field(default=64 * 2**20, description="Largest request body.")
    max_body_total: Size = Field(default=256 * 2**20, description="Most of all request bodies being read together.")
    keys: dict[Name, KeySection] = Field(default={}, description="Client keys by name; none: open, on loopback only.")
    tenants: dict[Name, TenantSection] = Field(default={}, description="Sites, teams or customers that keys belong to.")
    admins: dict[Name, AdminTokenSection] = Field(
        default={}, description="Admin tokens by name, each with a role; with any, reading wants a token as well."
    )
    auth: AuthSection = Field(default=AuthSection(), description="How people log in at the admin port.")
    open: Flag = Field(default=False, description="True: no keys are wanted any more, although there were some.")
    limits: list[LimitSection] = Field(default=[], description="Limits of everything together.")
    budgets: list[BudgetSection] = Field(default=[], description="Budgets of everything together.")
    sessions: SessionsSection = Field(default=SessionsSection(), description="The sessions of coding agents.")
    budget_policy: BudgetPolicySection = Field(default=BudgetPolicySection(), description="How budgets are applied.")
    budget_alerts: list[Percent] = Field(
        default=[], description="Parts of a budget whose passing is told, for every budget without alerts of its own."
    )
    alerts: list[AlertSection] = Field(default=[], description="Webhooks and mailboxes that are told as well.")
    smtp: SmtpSection | None = Field(default=None, description="The server that mail goes out by.")
    alert_rules: dict[Name, AlertRuleSection] = Field(default={}, description="Alert rules of one's own.")
    webhooks: WebhooksSection = Field(default=WebhooksSection(), description="Webhooks that clients ask for.")
    jobs: JobsSection = Field(default=JobsSection(), description="Batches: work that nobody waits for.")
    journal: JournalSection = Field(default=JournalSection(), description="The write-ahead journal.")
    ledger: LedgerSection = Field(default=LedgerSection(), description="The ledger of past calls.")
    results: ResultsSection = Field(default=ResultsSection(), description="Files kept for whoever called.")
    credits: CreditsSection | None = Field(default=None, description="A unit of one's own beside US dollars.")
    metrics: MetricsSection = Field(default=MetricsSection(), description="Metrics beside our own.")
    shutdown: ShutdownSection = Field(default=ShutdownSection(), description="What happens on SIGTERM.")
    log: LogSection = Field(default=LogSection(), description="What is logged.")

    @field_validator("providers", mode="before")
    @classmethod
    def _kind_by_name(cls, value: Any) -> Any:
        is_section = isinstance(value, dict)
        return {name: _with_kind(name, provider) for name, provider in value.items()} if is_section else value


def _with_kind(name: str, provider: Any) -> Any:
    members = {} if provider is None else provider
    if name not in PRESETS or not isinstance(members, dict) or members.get("kind") is not None:
        return members
    return {**members, "kind": name}
