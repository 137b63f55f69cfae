"""The answers to operators' questions, as JSON has them: on the control socket, on the admin port, from a stopped
daemon's files. Amounts are decimal strings in USD, instants ISO 8601 in UTC, durations seconds or milliseconds as named.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from proxy.exchange.entry import Entry
from proxy.policy.sharing import When
from proxy.policy.values import Lossy


class BudgetAnswer(Struct, frozen=True):
    """Where one budget stands in its current period; `left_usd` counts what is held as spent. One in `shadow` refuses
    nothing."""

    budget: str
    scope: str
    per: str
    cap_usd: str
    spent_usd: str
    held_usd: str
    left_usd: str
    resets_at: str | None
    shadow: bool = False


class BudgetsAnswer(Struct, frozen=True):
    """Every budget in force."""

    budgets: list[BudgetAnswer]


class AdjustedAnswer(BudgetAnswer, frozen=True, kw_only=True):
    """A correction that was written down, and where its budget stands since."""

    id: str
    delta_usd: str


class CacheAnswer(Struct, frozen=True):
    """What is kept of a key's calls, and for how many seconds (`ttl`); 0: nothing."""

    ttl: float
    when: When
    max_bytes: int


class KeyAnswer(Struct, frozen=True):
    """One client key: what it may, what it spent, when it was last used; `timing`: its replies say where their time went;
    `lossy`: what becomes of its calls where a translation loses something, null: as elsewhere, as
    of `coalesce` and `cache`; `uid`: the user of this machine who needs none. Never its secret, nor a hash of it."""

    name: str
    origin: Literal["configuration", "store"] = field(name="from")
    models: list[str]
    limits: list[str]
    budgets: list[BudgetAnswer]
    spent_usd: str
    expired: bool
    created_at: str | None
    expires_at: str | None
    last_used_at: str | None
    old_secret_until: str | None = None
    timing: bool = False
    tenant: str | None = None
    lossy: Lossy | None = None
    coalesce: bool | None = None
    uid: int | None = None
    cache: CacheAnswer | None = None


class KeysAnswer(Struct, frozen=True):
    """Every key in force or expired; `open`: nobody needs one."""

    keys: list[KeyAnswer]
    open: bool


class KeyMadeAnswer(Struct, frozen=True):
    """A new key with its secret, this once; `was_open`: until now everybody might call."""

    name: str
    secret: str
    key_hash: str
    was_open: bool


class KeyChangedAnswer(Struct, frozen=True):
    """A key with other terms, in words what is so now; `carried` names budgets that took over what was spent under
    the key's former name."""

    name: str
    changed: list[str]
    carried: list[str] = []


class KeyRotatedAnswer(Struct, frozen=True):
    """A key with a new secret, this once; the one it had goes on until `old_until`, or (null) does not."""

    name: str
    secret: str
    key_hash: str
    old_until: str | None


class KeyRevokedAnswer(Struct, frozen=True):
    """A key that is refused from now on."""

    name: str
    revoked: bool = True


class UsageRow(Struct, frozen=True):
    """The fields every row of `usage` has, beside one named after what it stands for (`day`, `model` …)."""

    calls: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    cost_usd: str
    sources: dict[str, int]


class LiveCall(Struct, frozen=True):
    """A call under way. `output_tokens` have streamed past so far (an estimate), `cost_usd` is what they come to,
    `tokens_per_second` counts from the first one."""

    request_id: str
    at: str
    age_seconds: float
    phase: str
    key: str | None
    endpoint: str
    model: str | None
    provider: str | None
    upstream_model: str | None
    stream: bool
    attempts: int
    first_byte_seconds: float | None
    first_token_seconds: float | None
    output_tokens: int
    tokens_per_second: float | None
    cost_usd: str
    client_left: bool


class LiveAnswer(Struct, frozen=True):
    """What happens now: calls under way, oldest first, and the latest that ended, newest first."""

    at: str
    calls: list[LiveCall]
    recent: list[Entry]


class LeftAlone(Struct, frozen=True):
    """A model that has failed `failures` times in a row."""

    model: str
    failures: int
    retry_in_seconds: float


class ProviderAnswer(Struct, frozen=True):
    """How a provider fares. `breaker` open: all of it has failed `failures` times in a row and is left alone for a
    while; `models` are those of its models that are left alone by themselves."""

    provider: str
    kind: str
    base_url: str
    key_source: str
    in_flight: int
    breaker: Literal["closed", "open", "none"]
    failures: int
    retry_in_seconds: float | None
    models: list[LeftAlone] = []
    tenant: str | None = None


class ProviderTriedAnswer(Struct, frozen=True):
    """What came of trying a provider: what it was `asked`, the `status` of its answer (None: there was none), what that
    means, and what to do (None: nothing)."""

    provider: str
    ok: bool
    status: int | None
    seconds: float
    asked: str
    meaning: str
    next_step: str | None


class ProvidersAnswer(Struct, frozen=True):
    """Every configured provider, and those that fare otherwise for a `tenant` with a key of its own."""

    providers: list[ProviderAnswer]


class DrawingAnswer(Struct, frozen=True):
    """How a provider fares that draws: `by` which protocol, how many `models` are listed (None: nobody lists them), and
    those that are left alone by themselves."""

    provider: str
    by: str
    models: int | None
    breaker: Literal["closed", "open", "none"]
    left_alone: list[str] = []


class ReloadedAnswer(Struct, frozen=True):
    """A configuration that was taken on, and what changed with it, a line each."""

    changes: list[str]


class StatusAnswer(Struct, frozen=True):
    """Who the daemon is, which file it was started from, where it listens (an address without /v1), and which protocols
    it lately saw each provider not to speak."""

    pid: int
    version: str
    config: str | None
    url: str
    admin_url: str
    unspoken: dict[str, list[str]] = {}


class DashboardAnswer(Struct, frozen=True):
    """The address that logs a browser in, once and within so many seconds."""

    url: str
    seconds: int


class BackupAnswer(Struct, frozen=True):
    """Where the copy of the ledger is."""

    file: str


class HealthAnswer(Struct, frozen=True):
    """Whether calls are taken, and what is in the way if not."""

    status: str
    problems: list[str] = []


class VerboseHealthAnswer(Struct, frozen=True):
    """The same, and how providers fare that draw."""

    status: str
    problems: list[str]
    images: list[DrawingAnswer]


Answer = Struct | dict[str, Any]
