"""What every finding means, by table: pass, warn or fail, and a next step wherever it is not a pass."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from proxy.config.stored import Entry
from proxy.doctor import judge, judge_daemon, judge_provider
from proxy.doctor.check import Check, is_well
from proxy.doctor.seen import (
    AuditSeen,
    Balance,
    ConfigSeen,
    DaemonSeen,
    JournalSeen,
    KeysSeen,
    LedgerSeen,
    PortSeen,
    PricesSeen,
    ProviderSeen,
    ScrapeSeen,
    StateSeen,
    UnitSeen,
    Unpriced,
)
from proxy.policy.money.budgets import Budget, BudgetRules
from proxy.policy.values import Alias, Listen, MoneySettings, Provider, Settings
from proxy.secret import Secret

MIB = 2**20
KEYED = Provider("or", "openrouter", "https://openrouter.example/api/v1", Secret("k"), "environment variable OR")
KEYLESS = Provider("local", "openai", "http://127.0.0.1:9/v1")
CONFIG = ConfigSeen("/c.yaml")


def settings(**members: Any) -> Settings:
    usual = {"listen": Listen(port=1), "admin": Listen(port=2), "state_dir": "/s", "providers": {"or": KEYED}}
    return Settings(**{**usual, "source": "/c.yaml", **members})


def judged(checks: list[Check]) -> list[tuple[str, str]]:
    """Name and status of each; nothing that is not a pass comes without a next step, and no pass with one."""
    for check in checks:
        assert (check.next is None) == (check.status == "pass"), check
        assert check.found and check.group and check.next != ""
    return [(check.name, check.status) for check in checks]


def only(checks: list[Check]) -> str:
    """The status of the one check there is."""
    [(_, status)] = judged(checks)
    return status


def test_warnings_do_not_count() -> None:
    assert is_well([Check("g", "n", "pass", "f"), Check("g", "n", "warn", "f", "n")])
    assert not is_well([Check("g", "n", "pass", "f"), Check("g", "n", "fail", "f", "n")])


def test_every_problem_of_the_configuration_is_a_line_with_its_place() -> None:
    seen = ConfigSeen("/c.yaml", problems=("/c.yaml:1:1: lisen: unknown field", "/c.yaml:2:1: x"))
    checks = judge.config_checks(seen)
    assert judged(checks) == [("file", "fail")] * 2
    assert [check.found for check in checks] == list(seen.problems)
    assert checks[0].next == "correct it, then `tollkeeper check /c.yaml`"


def of_config(name: str, settings: Settings, *, runs: bool = False, **members: Any) -> list[str]:
    checks = judge.config_checks(ConfigSeen("/c.yaml", settings, **members), runs=runs)
    return [status for found, status in judged(checks) if found == name]


def test_the_warnings_of_a_configuration_find_their_lines() -> None:
    keyless = "provider or has no key, and https://openrouter.example wants one: set api_key"
    readable = "/c.yaml holds secrets and others can read it (mode 0644): chmod 600 /c.yaml"
    warned = settings(warnings=(keyless, readable))
    assert of_config("permissions", settings()) == ["pass"]
    assert of_config("permissions", warned) == ["warn"]
    assert of_config("permissions", settings(), readable=(("/k", 0o640),)) == ["warn"]
    assert of_config("provider key", settings()) == []
    assert of_config("provider key", warned) == ["warn"]
    nobody = settings(providers={}, warnings=("no provider is configured: set A",))
    assert of_config("providers", settings()) == ["pass"]
    assert of_config("providers", nobody) == ["fail"]
    assert of_config("providers", nobody, runs=True) == ["warn"]


def test_addresses_say_who_can_reach_them() -> None:
    open_ = settings(listen=Listen("0.0.0.0", 8655), admin=Listen(socket="/run/a.sock"))
    found = {check.name: check.found for check in judge.config_checks(ConfigSeen("/c.yaml", open_))}
    assert found["data address"] == "0.0.0.0 port 8655, for other machines too; a client's key is asked for"
    assert found["admin address"] == "the socket /run/a.sock"


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (KeysSeen(is_open=True), "pass"),
        (KeysSeen(("a", "b")), "pass"),
        (KeysSeen(), "warn"),
        (KeysSeen(trouble="locked"), "warn"),
    ],
)
def test_client_keys(seen: KeysSeen, status: str) -> None:
    assert only(judge.key_checks(seen)) == status


def test_the_time_zone_matters_where_a_budget_begins_by_it() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    daily, minutely = Budget("d", "global", "day", 1, UTC), Budget("m", "global", "minute", 1, UTC)
    elsewhere = Budget("e", "global", "day", 1, berlin)
    for money, status in [
        (MoneySettings(zone=berlin, budgets=(elsewhere,)), "pass"),
        (MoneySettings(zone=UTC), "pass"),
        (MoneySettings(zone=UTC, budgets=(minutely, elsewhere)), "pass"),
        (MoneySettings(zone=UTC, budgets=(daily,)), "warn"),
    ]:
        assert only(judge.zone_checks(settings(money=money), "")) == status


LISTS = [
    (PricesSeen(0.1, 3), {}, "pass", "pass"),
    (PricesSeen(7.0, 180), {}, "pass", "pass"),
    (PricesSeen(7.1, 180.6), {}, "warn", "warn"),
    (PricesSeen(None, None), {}, "warn", "pass"),
    (PricesSeen(1, 3, trouble="it is no list of models"), {}, "warn", "pass"),
    (PricesSeen(None, 3), {"catalogue_refresh": None}, "pass", "pass"),
    (PricesSeen(30, 3), {"catalogue_refresh": None}, "pass", "pass"),
    (PricesSeen(None, 3), {"providers": {"local": KEYLESS}}, "pass", "pass"),
]


@pytest.mark.parametrize(("seen", "members", "fetched", "shipped"), LISTS)
def test_lists_of_prices_grow_old(seen: PricesSeen, members: dict[str, Any], fetched: str, shipped: str) -> None:
    checks = judged(judge.price_checks(settings(**members), seen))
    assert checks == [("fetched list", fetched), ("shipped list", shipped), ("models", "pass")]


@pytest.mark.parametrize(
    ("unpriced", "rule", "status"),
    [
        (Unpriced("m", ""), "deny", "warn"),
        (Unpriced("m", "x at local"), "deny", "warn"),
        (Unpriced("m", "x at local", ("alice",)), "deny", "fail"),
        (Unpriced("m", "x at local", ("alice",)), "allow", "warn"),
    ],
)
def test_a_model_without_a_price_fails_where_a_budget_refuses_it(unpriced: Unpriced, rule: Any, status: str) -> None:
    money = MoneySettings(rules=BudgetRules(unpriced=rule))
    checks = judge.price_checks(settings(money=money, aliases={"m": Alias("x")}), PricesSeen(1, 1, "", (unpriced,)))
    assert judged(checks)[2:] == [("models", status)]


STATES = [
    ({}, ("pass", "pass", "pass")),
    ({"exists": False}, ("pass", "pass", "pass")),
    ({"mode": 0o750}, ("warn", "pass", "pass")),
    ({"is_ours": False}, ("warn", "pass", "pass")),
    ({"free_bytes": 256 * MIB - 1}, ("pass", "warn", "pass")),
    ({"free_bytes": 16 * MIB - 1}, ("pass", "fail", "pass")),
    ({"file_system": "nfs4"}, ("pass", "pass", "fail")),
    ({"file_system": "cifs"}, ("pass", "pass", "fail")),
    ({"file_system": ""}, ("pass", "pass", "pass")),
    ({"trouble": "read-only file system"}, ("fail",)),
    ({"trouble": "not a directory", "exists": False}, ("fail",)),
]


@pytest.mark.parametrize(("members", "statuses"), STATES)
def test_the_state_directory(members: dict[str, Any], statuses: tuple[str, ...]) -> None:
    usual = {"path": "/s", "owner": "alice", "free_bytes": 256 * MIB, "file_system": "ext4"}
    checks = judge.state_checks(StateSeen(**{**usual, **members}), 256 * MIB)
    assert tuple(status for _, status in judged(checks)) == statuses


def test_a_full_disk_is_told_with_how_to_look_at_it() -> None:
    (check,) = judge.state_checks(StateSeen("/s", trouble="no space left on device"), 256 * MIB)
    assert check.next == "make room on its disk, of bytes (df -h /s) or of files (df -i /s)"


@pytest.mark.parametrize(("version", "status"), [((3, 51, 2), "warn"), ((3, 51, 3), "pass"), ((4, 0, 0), "pass")])
def test_an_old_sqlite_is_worth_a_note(version: tuple[int, int, int], status: str) -> None:
    assert only(judge.sqlite_checks(version)) == status


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (LedgerSeen(), "pass"),
        (LedgerSeen(exists=False), "pass"),
        (LedgerSeen(is_whole=False), "pass"),
        (LedgerSeen(trouble="database is locked", is_busy=True), "warn"),
        (LedgerSeen(trouble="it is damaged; nothing was changed. Stop the daemon"), "fail"),
        (LedgerSeen(trouble="it was written by a newer tollkeeper"), "fail"),
    ],
)
def test_the_ledger(seen: LedgerSeen, status: str) -> None:
    assert only(judge.ledger_checks(seen)) == status


def test_the_audit() -> None:
    assert [only(judge.audit_checks(seen, LedgerSeen())) for seen in (AuditSeen(), AuditSeen(3))] == ["pass", "pass"]
    (check,) = judge.audit_checks(AuditSeen(3, ("row 2 was changed", "row 3 is missing")), LedgerSeen())
    assert (check.status, check.found) == ("fail", "it is not whole: row 2 was changed (and 1 more)")
    gone = AuditSeen(trouble="no such table: audit")
    assert only(judge.audit_checks(gone, LedgerSeen())) == "fail"
    assert only(judge.audit_checks(gone, LedgerSeen(trouble="damaged"))) == "pass", "that is told of the ledger"


def test_the_journal() -> None:
    assert only(judge.journal_checks(JournalSeen(open_holds=2))) == "pass"
    assert only(judge.journal_checks(JournalSeen(("segment 1 at byte 7", "segment 2")))) == "warn"


def provider(**members: Any) -> list[tuple[str, str]]:
    usual = {"provider": KEYED, "host": "openrouter.example"}
    return judged(judge_provider.provider_checks(ProviderSeen(**{**usual, **members})))


REACHED = {"addresses": ("192.0.2.1", "192.0.2.2"), "connect_ms": 3.4, "certificate_days": 60, "stage": "answer"}
STEPS = [("dns", "pass"), ("connect", "pass"), ("certificate", "pass")]


def test_a_provider_is_told_up_to_the_step_that_failed() -> None:
    assert provider(host="") == [("reach", "pass")]
    assert provider(trouble="no address") == [("dns", "fail")]
    assert provider(provider=KEYLESS, trouble="no address") == [("dns", "warn")]
    reached = {"addresses": ("192.0.2.1",), "stage": "connect"}
    assert provider(**reached, trouble="connection refused") == [("dns", "pass"), ("connect", "fail")]
    expired = {**reached, "connect_ms": 1.0, "stage": "certificate", "trouble": "certificate has expired"}
    assert provider(**expired) == [*STEPS[:2], ("certificate", "fail")]
    assert provider(**{**REACHED, "certificate_days": 13}, status=200)[2] == ("certificate", "warn")
    assert provider(**{**REACHED, "certificate_days": 14}, status=200)[2] == ("certificate", "pass")
    assert provider(**REACHED, trouble="nothing within 10 s") == [*STEPS, ("answer", "fail")]


ANSWERS = [
    (200, {"models": 2}, "pass", "pass"),
    (200, {}, "warn", "warn"),
    (301, {}, "fail", "warn"),
    (401, {"about_our_key": True}, "fail", "warn"),
    (403, {"about_our_key": True}, "fail", "warn"),
    (403, {}, "warn", "warn"),
    (402, {}, "fail", "fail"),
    (404, {}, "warn", "warn"),
    (429, {}, "warn", "warn"),
    (503, {}, "fail", "warn"),
]


@pytest.mark.parametrize(("status", "members", "keyed", "keyless"), ANSWERS)
def test_an_answer_is_a_matter_of_its_status(status: int, members: dict[str, Any], keyed: str, keyless: str) -> None:
    assert provider(**REACHED, status=status, **members)[-1][1] == keyed
    assert provider(**REACHED, status=status, provider=KEYLESS, **members)[-1][1] == keyless


ACCOUNTS = [
    ({"limit": None, "limit_remaining": None}, None, "pass"),
    ({"limit": 50, "limit_remaining": 12.5}, None, "pass"),
    ({"limit": 50, "limit_remaining": 4.99}, None, "warn"),
    ({"limit": 2, "limit_remaining": 0.99}, None, "warn"),
    ({"limit": 50, "limit_remaining": 0}, None, "fail"),
    ({"limit": 50, "limit_remaining": -1e-6}, None, "fail"),
    ({"limit": 50, "limit_remaining": 50}, {"total_credits": 10, "total_usage": 9.5}, "warn"),
    ({"limit": 50, "limit_remaining": 50}, {"total_credits": 10, "total_usage": 10.25}, "fail"),
    ({"limit": None}, {"total_credits": 100, "total_usage": 1.25}, "pass"),
    ({"limit": "50", "limit_remaining": True}, {"total_credits": "x"}, "pass"),
]


@pytest.mark.parametrize(("key", "account", "status"), ACCOUNTS)
def test_what_is_left_of_the_money(key: dict[str, Any], account: dict[str, Any] | None, status: str) -> None:
    data = [None if body is None else msgspec.json.encode({"data": body}) for body in (key, account)]
    assert provider(**REACHED, status=200, balance=Balance(*data))[-1] == ("key", status)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": []}', b"\xff"])
def test_an_answer_that_is_not_openrouters_is_worth_a_warning(body: bytes) -> None:
    assert provider(**REACHED, status=200, balance=Balance(body if body != b"[]" else b"{}"))[-1] == ("key", "warn")


def test_amounts_are_shown_to_what_matters() -> None:
    shown = [judge_provider._dollars(Decimal(text)) for text in ("0", "0.25", "-0.5", "1234.5", "0.00004")]
    assert shown == ["$0.00", "$0.2500", "-$0.5000", "$1,234.50", "$0.0000"]


def clock(*told: tuple[float | None, bool], within: float = 0.6) -> str:
    seen = [ProviderSeen(KEYED, offset_seconds=o, within_seconds=within, is_local=is_local) for o, is_local in told]
    return only(judge_provider.clock_checks(seen))


def test_the_clock_is_judged_by_the_provider_that_agrees_best_and_by_others_than_this_machine() -> None:
    assert clock() == "pass"
    assert clock((None, False)) == "pass"
    assert clock((5.6, False)) == "pass"
    assert clock((-5.7, False)) == "warn"
    assert clock((60.6, False)) == "warn"
    assert clock((-60.7, False)) == "fail"
    assert clock((3600, False), (0.2, False)) == "pass", "one of two providers has a wrong clock"
    assert clock((3600, False), (0.2, True)) == "fail", "a server of this machine has this machine's clock"
    assert clock((3600, True)) == "fail"
    assert clock((8.0, False), within=4.0) == "pass", "a slow answer says less"


RUNS = DaemonSeen(answers=True, pid=7, version="1", config="/c.yaml", holder=7)
DAEMONS = [
    (RUNS, "pass", "pass"),
    (DaemonSeen(), "pass", "pass"),
    (DaemonSeen(holder=7), "pass", "warn"),
    (DaemonSeen(holder=0), "pass", "warn"),
    (DaemonSeen(trouble="nothing within 5 s", holder=7), "fail", "warn"),
    (DaemonSeen(trouble="nothing within 5 s", holder=7, is_stopped=True), "fail", "fail"),
    (DaemonSeen(holder=7, is_stopped=True), "pass", "fail"),
    (DaemonSeen(trouble="permission denied", is_hidden=True), "warn", ""),
    (msgspec.structs.replace(RUNS, version="2"), "warn", "pass"),
    (msgspec.structs.replace(RUNS, version="", pid=0), "warn", "pass"),
    (msgspec.structs.replace(RUNS, config=None), "warn", "pass"),
]


@pytest.mark.parametrize(("seen", "answers", "lock"), DAEMONS)
def test_the_daemon_and_its_lock(seen: DaemonSeen, answers: str, lock: str) -> None:
    checks = judge_daemon.daemon_checks(seen, CONFIG, "1")
    assert judged(checks) == [("control socket", answers), *([("lock", lock)] if lock else [])]


@pytest.mark.parametrize(
    ("here", "daemon", "statuses", "says"),
    [
        ("", DaemonSeen(), [], ""),
        ("k1 is not here", DaemonSeen(), ["fail"], "that of providers.q cannot be opened: k1 is not here"),
        ("k1 is not here", RUNS, ["warn"], "the daemon does not tell whether it can: k1 is not here"),
        ("k1 is not here", msgspec.structs.replace(RUNS, unopened={}), ["pass"], "by the daemon alone"),
        ("k1 is not here", msgspec.structs.replace(RUNS, unopened={"providers.q": "no k1"}), ["fail"], "daemon cannot"),
        ("", msgspec.structs.replace(RUNS, unopened={"tenants.a": "no k1"}), ["fail"], "open that of tenants.a: no k1"),
    ],
)
def test_stored_secrets_count_as_the_daemon_can_open_them(
    here: str, daemon: DaemonSeen, statuses: list[str], says: str
) -> None:
    entries = (Entry("providers", "q", {}, unreadable=here),) if here else ()
    checks = judge_daemon.sealed_checks(ConfigSeen("/c.yaml", unopened=entries), daemon)
    assert [check.status for check in checks] == statuses
    assert all(says in check.found for check in checks)


def test_what_a_provider_was_seen_not_to_speak_is_said() -> None:
    seen = msgspec.structs.replace(RUNS, unspoken={"local": ["responses", "messages"]})
    (line,) = [check for check in judge_daemon.daemon_checks(seen, CONFIG, "1") if check.name == "protocols"]
    assert (line.status, line.found) == (
        "pass",
        "local was seen not to speak messages and responses; calls go as chat",
    )


PORTS = [
    ({}, True, ["pass"]),
    (
        {"drawing": ({"provider": "a", "by": "x", "models": 3, "breaker": "closed", "left_alone": []},)},
        True,
        ["pass"] * 2,
    ),
    ({"drawing": ({"provider": "a", "breaker": "open"},)}, True, ["pass", "warn"]),
    ({"drawing": ({"provider": "a", "breaker": "closed", "left_alone": ["m"]},)}, True, ["pass", "warn"]),
    ({"trouble": "connection refused"}, True, ["fail"]),
    ({"problems": ("the journal cannot be written", "shutting down")}, True, ["fail", "fail"]),
    ({}, False, ["pass"]),
    ({"is_taken": True}, False, ["fail"]),
    ({"is_taken": True, "holder": "nginx (process 8)"}, False, ["fail"]),
    ({"is_taken": True, "holder": "systemd (process 1)"}, False, ["pass"]),
    ({"trouble": "permission denied"}, False, ["fail"]),
]


@pytest.mark.parametrize(("members", "runs", "statuses"), PORTS)
def test_ports_answer_or_are_free(members: dict[str, Any], runs: bool, statuses: list[str]) -> None:
    checks = judge_daemon.port_checks([PortSeen("admin", "http://127.0.0.1:1", **members)], runs=runs)
    assert [status for _, status in judged(checks)] == statuses


def scraped(**values: float) -> ScrapeSeen:
    names = (judge_daemon.RELOADED, judge_daemon.LOOP_LAG, judge_daemon.LEDGER_LAG)
    return ScrapeSeen(dict(zip(names, {"reloaded": 1, "loop": 0.0, "ledger": 0.0, **values}.values(), strict=True)))


@pytest.mark.parametrize(
    ("seen", "statuses"),
    [
        (scraped(), ["pass"] * 4),
        (scraped(loop=0.25, ledger=60), ["pass"] * 4),
        (scraped(reloaded=0), ["pass", "fail", "pass", "pass"]),
        (scraped(loop=0.26), ["pass", "pass", "warn", "pass"]),
        (scraped(ledger=61), ["pass", "pass", "pass", "warn"]),
        (ScrapeSeen(trouble="status 401"), ["fail"]),
        (ScrapeSeen({}), ["fail"]),
    ],
)
def test_what_the_daemon_measures(seen: ScrapeSeen, statuses: list[str]) -> None:
    assert [status for _, status in judged(judge_daemon.scrape_checks(seen))] == statuses


def unit(service: dict[str, str], socket: dict[str, str] | None = None, *, runs: bool = False) -> list[str]:
    loaded = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NRestarts": "0"}
    seen = UnitSeen(True, True, service={**loaded, **service}, socket=socket or {})
    return [status for _, status in judged(judge_daemon.unit_checks(seen, runs=runs))]


def test_the_unit_is_installed_enabled_and_active_or_not_used() -> None:
    assert only(judge_daemon.unit_checks(UnitSeen(True), runs=False)) == "pass"
    assert only(judge_daemon.unit_checks(UnitSeen(False, True), runs=False)) == "pass"
    assert only(judge_daemon.unit_checks(UnitSeen(True, True, trouble="nothing within 5 s"), runs=False)) == "warn"
    assert unit({}) == ["pass", "pass"]
    assert unit({"LoadState": "bad-setting"}) == ["fail"]
    assert unit({"UnitFileState": "disabled"}) == ["warn", "pass"]
    assert unit({"UnitFileState": "disabled"}, {"UnitFileState": "enabled"}) == ["pass", "pass"]
    assert unit({"ActiveState": "failed", "Result": "exit-code"}) == ["pass", "fail"]
    assert unit({"ActiveState": "inactive"}) == ["pass", "warn"]
    assert unit({"ActiveState": "inactive"}, runs=True) == ["pass", "warn"]
    assert unit({"ActiveState": "inactive"}, {"ActiveState": "active"}) == ["pass", "pass"]
    assert unit({"NRestarts": "3"}) == ["pass", "warn"]
