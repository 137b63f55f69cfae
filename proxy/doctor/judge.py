"""What was seen of the configuration, the prices and the state directory: pass, warn or fail. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, tzinfo
from errno import ENOSPC
from zoneinfo import ZoneInfo

from proxy.config.checks import is_loopback
from proxy.config.problems import number_of
from proxy.doctor.check import Check, failed, passed, warned
from proxy.doctor.seen import (
    NEWS_DAYS,
    AuditSeen,
    ConfigSeen,
    JournalSeen,
    KeysSeen,
    LedgerSeen,
    PricesSeen,
    StateSeen,
    Unpriced,
)
from proxy.policy.names.news import counted
from proxy.policy.values import Listen, Settings
from proxy.stores.model_news import News

OLD_LIST_DAYS = 7
OLD_RELEASE_DAYS = 180
LEAST_FREE_BYTES = 16 * 2**20
NO_SPACE = os.strerror(ENOSPC).lower()
SAFE_SQLITE = (3, 51, 3)
_MOST_NAMED = 5
_MIB = 2**20
# names as the kernel's list of mounts has them: locks and shared memory over a network do not hold what SQLite wants
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "afs", "9p", "ceph", "glusterfs", "lustre", "ncpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "davfs", "fuse.davfs2"}
)


def config_checks(seen: ConfigSeen, *, runs: bool = False) -> list[Check]:
    """The file, its providers, its warnings, its addresses. `runs`: a daemon is at work."""
    name = seen.file or "environment"
    if seen.settings is None:
        again = f"correct it, then `tollkeeper check{'' if seen.file is None else f' {seen.file}'}`"
        return [failed("config", "file", problem, again) for problem in seen.problems]
    where = f"{name} is sound" if seen.file else "no file; the environment decides"
    return [
        *([] if seen.problems else [passed("config", "file", where)]),
        *(_missing(problem, runs=runs) for problem in seen.problems),
        *_providers(seen, seen.settings, runs=runs),
        *_readable(seen),
        *(_address("data address", seen.settings.listen, "a client's key")),
        *(_address("admin address", seen.settings.admin, "the admin token")),
    ]


def _missing(problem: str, *, runs: bool) -> Check:
    """A secret that cannot be had here; a daemon that runs has its own."""
    if not runs:
        return failed("config", "secret", problem, "set it, then start the daemon")
    step = "nothing, if the daemon works; to ask its providers as well, run this with its environment"
    return warned("config", "secret", f"{problem}, here; the daemon that runs has an environment of its own", step)


def _providers(seen: ConfigSeen, settings: Settings, *, runs: bool) -> Iterator[Check]:
    if not settings.providers and runs:
        found = "none here; the daemon that runs has a key in its own environment, or was started with --mock"
        yield warned("config", "providers", found, "run this with the daemon's environment")
        return
    if not settings.providers:
        found, _, step = settings.warnings[-1].partition(": ")
        yield failed("config", "providers", found, step)
        return
    sources = [f"{provider.name} ({provider.key_source})" for provider in settings.providers.values()]
    yield passed("config", "providers", ", ".join(sources))
    elsewhere = {entry.complaint for entry in seen.unopened}  # `sealed_checks` has more to say of these
    for warning in settings.warnings:
        if not _is_of_file(settings, warning) and warning not in elsewhere:
            found, _, step = warning.partition(": ")
            yield warned("config", "provider key" if found.startswith("provider ") else "settings", found, step)


def _is_of_file(settings: Settings, warning: str) -> bool:
    return settings.source is not None and warning.startswith(f"{settings.source} ")


def _readable(seen: ConfigSeen) -> Iterator[Check]:
    """Secrets in the clear that others of this machine can read."""
    settings = seen.settings
    warnings = settings.warnings if settings else ()
    own = [warning.partition(": ") for warning in warnings if settings and _is_of_file(settings, warning)]
    for found, _, step in own:
        yield warned("config", "permissions", found, step)
    for path, mode in seen.readable:
        yield warned(
            "config", "permissions", f"{path} holds a key and others can read it (mode {mode:04o})", f"chmod 600 {path}"
        )
    if not own and not seen.readable:
        yield passed("config", "permissions", "no secret in a file that others can read")


def _address(name: str, where: Listen, wanted: str) -> Iterator[Check]:
    if where.socket is not None:
        yield passed("config", name, f"the socket {where.socket}")
    elif is_loopback(where.host):
        yield passed("config", name, f"{where.host} port {where.port or 'of its choice'}, for this machine only")
    else:
        yield passed("config", name, f"{where.host} port {where.port}, for other machines too; {wanted} is asked for")


def key_checks(seen: KeysSeen) -> list[Check]:
    """Who may call."""
    if seen.trouble:
        step = "see the state group below; keys of the configuration work all the same"
        return [warned("config", "client keys", f"the keys in the ledger cannot be read ({seen.trouble})", step)]
    if seen.is_open:
        return [passed("config", "client keys", "none; everybody on this machine may call")]
    if not seen.names:
        step = "tollkeeper keys create NAME"
        return [warned("config", "client keys", "every key was revoked; nobody may call", step)]
    return [passed("config", "client keys", _listed(seen.names))]


def zone_checks(settings: Settings, tz: str) -> list[Check]:
    """The machine's time zone decides when the periods of budgets begin."""
    zone = settings.money.zone
    if isinstance(zone, ZoneInfo):
        return [passed("clock", "time zone", f"{zone.key}")]
    found = f"TZ={tz} names no zone" if tz else "neither TZ nor /etc/localtime names a zone"
    if not any(budget.zone is zone and budget.per not in ("minute", "total") for budget in settings.money.budgets):
        return [passed("clock", "time zone", f"{found}; {_called(zone)} is taken, and no budget depends on it")]
    step = "set TZ=Europe/Berlin or its like for the daemon, or tz: at each budget"
    return [warned("clock", "time zone", f"{found}; the periods of budgets begin by {_called(zone)}", step)]


def _called(zone: tzinfo) -> str:
    return "UTC" if zone is UTC else str(zone)


def price_checks(settings: Settings, seen: PricesSeen) -> list[Check]:
    """How old the lists of models and prices are, and which models have none."""
    checks = [_fetched(settings, seen)]
    days = seen.shipped_days
    if days is None:
        checks.append(passed("prices", "shipped list", "its age is not known"))
    elif days > OLD_RELEASE_DAYS:
        step = "upgrade tollkeeper, or set models.NAME.price"
        checks.append(warned("prices", "shipped list", f"{days:.0f} days old", step))
    else:
        checks.append(passed("prices", "shipped list", f"{number_of(round(days), 'day')} old"))
    denies = settings.money.rules.unpriced == "deny"
    checks += [_unpriced(one, denies=denies) for one in seen.unpriced]
    if not seen.unpriced:
        count = len(settings.aliases)
        every = f"{count} of your own, each with a price or free" if count else "none of your own"
        checks.append(passed("prices", "models", every))
    return checks


def news_check(news: Sequence[News]) -> Check:
    """What changed in the providers' lists; what concerns a name under `models:` is worth a look."""
    told = f"{counted(one.kind for one in news)} in {NEWS_DAYS} days"
    ends = [one for one in news if one.aliases and one.kind in ("gone", "deprecated", "dearer")]
    if not ends:
        return passed("prices", "changes", told)
    which = "; ".join(
        f"{one.model} at {one.provider} is {one.kind}, {_named(one.aliases)}" for one in ends[:_MOST_NAMED]
    )
    return warned("prices", "changes", f"{told}; {which}", "tollkeeper models diff")


def _named(aliases: Sequence[str]) -> str:
    return f"behind {', '.join(aliases[:_MOST_NAMED])}"


def _fetched(settings: Settings, seen: PricesSeen) -> Check:
    name, days = "fetched list", seen.fetched_days
    if not any(provider.kind == "openrouter" for provider in settings.providers.values()):
        return passed("prices", name, "not used; only OpenRouter's is fetched")
    if settings.catalogue_refresh is None:
        age = "never fetched" if days is None else f"{days:.1f} days old"
        return passed("prices", name, f"{age}; catalogue.refresh is never")
    step = "let the daemon run, and look for models_not_refreshed or catalogue_refused in its log"
    if seen.trouble:
        return warned("prices", name, f"cannot be used ({seen.trouble}); the shipped list counts", step)
    if days is None:
        return warned("prices", name, "never fetched; the shipped list counts", step)
    if days > OLD_LIST_DAYS:
        return warned("prices", name, f"{days:.0f} days old", step)
    return passed("prices", name, f"{days:.1f} days old")


def _unpriced(seen: Unpriced, *, denies: bool) -> Check:
    if not seen.target:
        found = f"{seen.alias} names no model that a provider is known to serve"
        return warned("prices", "models", found, f"tollkeeper models {seen.alias}")
    found = f"{seen.alias}: {seen.target} has no price"
    step = f"set models.{seen.alias}.price, or free: true if its provider costs nothing"
    if seen.refused and denies:
        whose = _listed(seen.refused)
        step += ", or budget_policy.unpriced: allow"
        return failed("prices", "models", f"{found}; it is refused with 402 under a budget, for {whose}", step)
    return warned("prices", "models", f"{found}; its calls are recorded without a cost", step)


def state_checks(seen: StateSeen, journal_max_bytes: int) -> list[Check]:
    """The directory: there or possible, ours alone, writable, on a disk with room."""
    if seen.trouble and not seen.exists:
        step = "set state_dir, or make it: mkdir -m 700 -p PATH"
        return [failed("state", "directory", f"{seen.path} cannot be made ({seen.trouble})", step)]
    if seen.trouble:
        step = "run this as the daemon's user or as root; else correct owner, mode or disk"
        if seen.trouble == NO_SPACE:
            step = f"make room on its disk, of bytes (df -h {seen.path}) or of files (df -i {seen.path})"
        return [failed("state", "directory", f"{seen.path} cannot be used ({seen.trouble})", step)]
    return [_directory(seen), _space(seen, journal_max_bytes), _file_system(seen)]


def _directory(seen: StateSeen) -> Check:
    if not seen.exists:
        return passed("state", "directory", f"{seen.path} is made at the first start")
    if seen.mode & 0o077:
        found = f"others can look into {seen.path} (mode {seen.mode:04o})"
        return warned("state", "directory", found, f"chmod 700 {seen.path}")
    if not seen.is_ours:
        found = f"{seen.path} belongs to {seen.owner}, and this runs as somebody else"
        return warned("state", "directory", found, f"run the daemon and its commands as {seen.owner}")
    return passed("state", "directory", f"{seen.path}, {seen.owner}'s alone and writable")


def _space(seen: StateSeen, journal_max_bytes: int) -> Check:
    found = f"{seen.free_bytes / _MIB:,.0f} MiB free"
    if seen.free_bytes < LEAST_FREE_BYTES:
        return failed("state", "space", found, "make room: without it paid calls get 503 ledger_unavailable")
    if seen.free_bytes < journal_max_bytes:
        found += f", less than journal.max_bytes ({journal_max_bytes / _MIB:,.0f} MiB)"
        return warned("state", "space", found, "make room, or lower journal.max_bytes")
    return passed("state", "space", found)


def _file_system(seen: StateSeen) -> Check:
    if seen.file_system in NETWORK_FILE_SYSTEMS:
        found = f"{seen.file_system} is a network file system: its locks do not keep two daemons apart"
        return failed("state", "file system", found, "put state_dir on a local disk")
    return passed("state", "file system", seen.file_system or "not known here")


def sqlite_checks(version: tuple[int, int, int]) -> list[Check]:
    """Before 3.51.3 two connections that write at once can damage a database in WAL mode."""
    found = ".".join(map(str, version))
    if version >= SAFE_SQLITE:
        return [passed("state", "sqlite", found)]
    found += " has a flaw that only two writers at once meet; here one process writes, under a lock"
    return [warned("state", "sqlite", found, "nothing now; it goes with SQLite 3.51.3 or newer")]


def ledger_checks(seen: LedgerSeen) -> list[Check]:
    """The ledger opens and is sound."""
    if not seen.exists:
        return [passed("state", "ledger", "none yet; it is made at the first start")]
    if seen.is_busy:
        step = "see who else has it open: fuser -v ledger.db"
        return [warned("state", "ledger", f"it cannot be read now ({seen.trouble})", step)]
    if seen.trouble:
        found, _, step = seen.trouble.partition("; nothing was changed. ")
        step = step or "use the tollkeeper that wrote it, or another state_dir"
        return [failed("state", "ledger", found, step[0].upper() + step[1:])]
    return [passed("state", "ledger", "sound" if seen.is_whole else "opens; too large to be checked to its end")]


def audit_checks(seen: AuditSeen, ledger: LedgerSeen) -> list[Check]:
    """Nothing of what operators did was changed or removed; of a ledger that cannot be read another check speaks."""
    if seen.trouble and not ledger.trouble:
        step = "tollkeeper audit --verify; the ledger was sound otherwise: see who writes to it"
        return [failed("state", "audit", f"it cannot be read ({seen.trouble})", step)]
    if seen.problems:
        more = f" (and {len(seen.problems) - 1} more)" if len(seen.problems) > 1 else ""
        step = "tollkeeper audit --verify; compare it with the lines `audited` of the log, or with an export"
        return [failed("state", "audit", f"it is not whole: {seen.problems[0]}{more}", step)]
    return [passed("state", "audit", f"whole, {number_of(seen.rows, 'row')}" if seen.rows else "nothing was done yet")]


def journal_checks(seen: JournalSeen) -> list[Check]:
    """The journal can be read from end to end."""
    if seen.problems:
        more = f" (and {len(seen.problems) - 1} more)" if len(seen.problems) > 1 else ""
        step = "tollkeeper backup FILE now; the calls in what cannot be read may be missing from the ledger"
        return [warned("state", "journal", f"{seen.problems[0]}{more}", step)]
    open_ = f"; under way, or cut off by a crash: {number_of(seen.open_holds, 'call')}" if seen.open_holds else ""
    return [passed("state", "journal", f"readable{open_}")]


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
