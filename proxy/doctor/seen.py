"""What was seen, as values: looking makes them, judging reads them. Texts in them hold no secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from proxy.config.stored import Entry
from proxy.policy.values import Provider, Settings
from proxy.stores.jobs.deliveries import Off
from proxy.stores.model_news import News

NEWS_DAYS = 7

Stage = Literal["dns", "connect", "certificate", "answer"]


class ConfigSeen(Struct, frozen=True):
    """The configuration that would be used (`file` None: the environment's), or everything that is wrong with it.

    With both, `problems` are secrets that cannot be had here, those of the providers `keyless` among them.
    `readable` are key files others can read, with their modes. `unopened` are stored entries with a secret that the
    master keys at hand do not open. `tz` is the TZ variable.
    """

    file: str | None
    settings: Settings | None = None
    problems: tuple[str, ...] = ()
    keyless: frozenset[str] = frozenset()
    readable: tuple[tuple[str, int], ...] = ()
    unopened: tuple[Entry, ...] = ()
    tz: str = ""


class KeysSeen(Struct, frozen=True):
    """The client keys in force, those of the store included; `trouble` where these could not be read."""

    names: tuple[str, ...] = ()
    is_open: bool = False
    trouble: str = ""


class Balance(Struct, frozen=True):
    """The body of OpenRouter's `/key` and of `/credits`, as they came; None where there was none."""

    key: bytes | None = None
    credits: bytes | None = None


class ProviderSeen(Struct):
    """How far a provider was reached, filled in on the way. `asked` is the method and address of the question. `trouble` is what ended it, in `stage`.

    `through` is host and port of the HTTP proxy on the way. `status` None: no answer came.
    `offset_seconds` is its clock less ours, right within `within_seconds`.
    """

    provider: Provider
    asked: str = ""
    host: str = ""
    through: str | None = None
    stage: Stage = "dns"
    trouble: str = ""
    addresses: tuple[str, ...] = ()
    connect_ms: float | None = None
    certificate_days: int | None = None
    status: int | None = None
    about_our_key: bool = False
    models: int | None = None
    balance: Balance = Balance()
    offset_seconds: float | None = None
    within_seconds: float = 0.0
    is_local: bool = False


class Unpriced(Struct, frozen=True):
    """A target of an alias without a price (`target` "": the alias leads nowhere), and the keys that get 402 for it."""

    alias: str
    target: str
    refused: tuple[str, ...] = ()


class PricesSeen(Struct, frozen=True):
    """Ages in days; `fetched_days` None: no list of models was ever fetched here. `trouble`: why it cannot be used. `news`
    is what was new in the lists within the last `NEWS_DAYS`."""

    fetched_days: float | None
    shipped_days: float | None
    trouble: str = ""
    unpriced: tuple[Unpriced, ...] = ()
    news: tuple[News, ...] = ()


class StateSeen(Struct, frozen=True):
    """The state directory. `parent` is the nearest folder there is, where it has to be made.

    `trouble`: it cannot be looked into, made or written (the system's word). Sizes in bytes.
    """

    path: str
    exists: bool = True
    parent: str = ""
    trouble: str = ""
    mode: int = 0o700
    owner: str = ""
    is_ours: bool = True
    free_bytes: int = 0
    file_system: str = ""


class LedgerSeen(Struct, frozen=True):
    """The ledger: whether it exists, what is wrong with it, whether it was checked to its end."""

    exists: bool = True
    trouble: str = ""
    is_busy: bool = False
    is_whole: bool = True


class AuditSeen(Struct, frozen=True):
    """How many rows the audit has, and what is wrong with their chain; `trouble` where it cannot be read."""

    rows: int = 0
    problems: tuple[str, ...] = ()
    trouble: str = ""


class WebhooksSeen(Struct, frozen=True):
    """The addresses of clients' webhooks that nothing is sent to any more; `trouble` where that cannot be read."""

    off: tuple[Off, ...] = ()
    trouble: str = ""


class JournalSeen(Struct, frozen=True):
    """The journal: what cannot be read, and how many calls have no end in it."""

    problems: tuple[str, ...] = ()
    open_holds: int = 0


class DaemonSeen(Struct, frozen=True):
    """Whether a daemon answers on the control socket. `holder` is who has the lock (0: nobody can say), None nobody.
    `is_hidden`: this user may not ask it. `is_stopped`: whoever has the lock runs no more until it is told to go on.

    `url` and `admin_url` are `http://host:port` or `unix:PATH`; empty where it did not tell. `unopened` has why it cannot
    open what is stored, by entry; None where it did not tell.
    """

    answers: bool = False
    trouble: str = ""
    is_hidden: bool = False
    pid: int = 0
    version: str = ""
    config: str | None = None
    url: str = ""
    admin_url: str = ""
    holder: int | None = None
    is_stopped: bool = False
    unspoken: Mapping[str, Sequence[str]] = {}
    unopened: Mapping[str, str] | None = None


class PortSeen(Struct, frozen=True):
    """One of our addresses. `trouble`: it does not answer, or (no daemon) cannot be listened on; `holder`: who has it.
    `drawing`: how providers fare that draw, as /readyz?verbose tells."""

    name: str
    address: str
    trouble: str = ""
    is_taken: bool = False
    holder: str = ""
    problems: tuple[str, ...] = ()
    drawing: tuple[dict[str, Any], ...] = ()


class ScrapeSeen(Struct, frozen=True):
    """What /metrics says: single values by name; `trouble` where it could not be read."""

    values: Mapping[str, float] = {}
    trouble: str = ""


class UnitSeen(Struct, frozen=True):
    """A unit as `systemctl show` has it; `exists` False: no unit file. `is_user`: of a user's own manager."""

    manager_runs: bool
    exists: bool = False
    is_user: bool = False
    service: Mapping[str, str] = {}
    socket: Mapping[str, str] = {}
    trouble: str = ""
