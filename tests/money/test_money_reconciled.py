"""The bill of a provider against the ledger on the real daemon: late settlements, clients that leave, others on the same key."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from harness.commands import typed
from harness.crowd import Leave, crowd
from harness.daemon import Daemon
from harness.hooks import Receiver
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from money_books import KEY, ask, eventually, priced, toll_config

CALLS, LATE, LEAVERS = 100, 5, 3
TOKEN = "admin-canary-bb02"


def reconciled(daemon: Daemon, *words: str) -> dict[str, Any]:
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    done = typed(daemon.folder, "reconcile", "--json", *words, "--config", str(daemon.folder / "config.yaml"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    read = [row["until"] for row in found["days"] if row["source"] == "key" and row["state"] == "open"]
    assert "--now" not in words or min(read) >= began, "what is answered is older than the question"
    found["account"] = [row for row in found["days"] if row["provider"] == "openrouter/account"]
    return {**found, "days": [row for row in found["days"] if row not in found["account"]]}


def status_of(url: str, **headers: str) -> int:
    try:
        with urlopen(Request(url, headers=headers), timeout=PATIENCE_SECONDS) as reply:  # noqa: S310
            return int(reply.status)
    except HTTPError as error:
        return error.code


def test_only_an_admin_key_is_told_what_an_account_costs(mock: Mock) -> None:
    for path, refused in (("/api/v1/activity", 403), ("/openai/v1/organization/costs", 403)):
        told = [status_of(f"{mock.root}{path}", Authorization=f"Bearer {key}") for key in ("sk-one", "sk-admin-one")]
        assert told == [refused, 200]
    claude = f"{mock.root}/anthropic/v1/organizations/cost_report"
    assert [status_of(claude, **{"x-api-key": key}) for key in ("sk-ant-one", "sk-ant-admin-one")] == [401, 200]


def by_others(mock: Mock, usd: str) -> None:
    """Somebody else calls with the same key."""
    body = {"model": f"mock/echo?cost={usd}", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": "Bearer sk-upstream", "Content-Type": "application/json"}
    request = Request(f"{mock.root}/api/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    with urlopen(request, timeout=PATIENCE_SECONDS) as reply:  # noqa: S310
        assert reply.status == 200


def operator(daemon: Daemon, method: str, path: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = Request(f"{daemon.admin_url}{path}", json.dumps(body).encode(), headers, method=method)  # noqa: S310
    with urlopen(request, timeout=PATIENCE_SECONDS) as reply:  # noqa: S310
        return json.loads(reply.read())


def a_discount_is_found(daemon: Daemon) -> None:
    """The bill has less than the replies said: a sample of calls tells why."""
    before = float(reconciled(daemon)["days"][0]["drift_usd"])
    assert {daemon.post("/v1/chat/completions", ask("cheap")).status for _ in range(4)} == {200}
    (day,) = reconciled(daemon, "--now")["days"]
    assert float(day["drift_usd"]) - before == pytest.approx(-0.2)
    (credit,) = daemon.asked("/forecast")["credits"]
    assert 90 < float(credit["left_usd"]) < 100 and credit["confidence"] == "low"
    assert credit["exhausted_at"] is None, "seconds of spending tell nothing of the rest"
    assert not [line for line in daemon.log_lines() if line.get("event") == "credit_runs_out"]
    fires = {
        "drift": ({"metric": "drift_ratio", "above": "1%"}, True),
        "lost": ({"metric": "drift_usd", "above": 100}, False),
        "others": ({"metric": "foreign_usd", "above": 0.1, "only": {"provider": "openrouter"}}, True),
        "credit": ({"metric": "credit_hours", "below": 48}, False),
        "elsewhere": ({"metric": "credit_hours", "below": 48, "only": {"tenant": "acme"}}, False),
    }
    for name, (rule, is_passed) in fires.items():
        assert operator(daemon, "PUT", f"/alerts/rules/{name}", rule)["version"] == 1
        found = operator(daemon, "POST", f"/alerts/rules/{name}/test", {"notify": False})
        assert found["passed"] == is_passed, found
        assert {one["subject"] for one in found["watched"]} <= {"openrouter", "openrouter/account"}
    assert (day["causes"], float(day["sampled_off_usd"])) == (["foreign use", "lower price"], -0.2)


def test_late_settlements_and_leavers_drift_little_and_foreign_use_is_told_apart(mock: Mock, tmp_path: Path) -> None:
    models = {
        "plain": priced("openrouter/mock/echo?cost=0.01&misses=0", 100),
        "late": priced("openrouter/mock/cut?cost=0.01&misses=1", 100),  # its cost is looked up some seconds later
        "cheap": priced("openrouter/mock/echo?cost=0.2&discount=0.25&misses=0", 100),
        "slow": priced("openrouter/mock/slow?ttft=0.05&interval=0.02&tokens=30&misses=0&cost=0.01", 100),
    }
    providers = {"openrouter": mock.provider(admin_key="sk-or-admin")}
    admin = {"host": "127.0.0.1", "port": 0, "token": TOKEN}
    budgets = {"budgets": [{"usd": 40, "per": "total"}]}
    with Receiver() as receiver, Daemon(
        toll_config(mock, budgets, models=models, alerts=[receiver.hook], providers=providers, admin=admin), tmp_path, key=KEY
    ) as daemon:  # fmt: skip
        assert reconciled(daemon)["days"] == []
        first = reconciled(daemon, "--now")
        (begun,) = first["days"]
        assert [(row["state"], row["source"]) for row in first["account"]] == [
            ("provisional", "report"), ("matched", "report"), ("matched", "report"),
        ]  # fmt: skip
        assert (begun["provider"], begun["state"], begun["billed_usd"]) == ("openrouter", "open", "0.000000000000")

        kinds = ["late"] * LATE + ["slow"] * LEAVERS + ["plain"] * (CALLS - LATE - LEAVERS)
        bodies = [ask(kind, stream=kind != "plain", max_tokens=40) for kind in kinds]
        leaves = [Leave(2_500, 1) if kind == "slow" else None for kind in kinds]
        crowd(daemon, bodies, leave_after=leaves.__getitem__)
        books = eventually(daemon, lambda books: not books.held and len(books.rows) == len(mock.bill()) >= CALLS)
        (day,) = reconciled(daemon, "--now")["days"]
        assert (day["calls"], day["foreign_usd"]) == (CALLS, "0.000000000000")
        assert abs(day["drift_percent"]) <= 0.5
        assert float(day["billed_usd"]) == float(mock.billed())
        assert day["sampled_calls"] and float(day["sampled_off_usd"]) == 0

        by_others(mock, "0.5")
        (day,) = reconciled(daemon, "--now")["days"]
        assert day["foreign_usd"] == "0.500000000000" and abs(day["drift_percent"]) <= 0.5
        assert not [message for message in receiver.messages if message["type"] == "bill.drift"]  # seen once
        reconciled(daemon, "--now")
        line = daemon.wait_for_log(lambda line: line.get("event") == "bill_drift")
        assert line["foreign_usd"] == "0.500000000000"
        reconciled(daemon, "--now")
        receiver.wait_for(1)
        (message,) = [message for message in receiver.messages if message["type"] == "bill.drift"]
        assert (message["data"]["provider"], message["data"]["foreign_usd"]) == ("openrouter", "0.500000000000")

        after = eventually(daemon, lambda books: True)
        assert (after.rows, after.spent) == (books.rows, books.spent)  # nothing was billed for asking
        assert abs(daemon.metric("tollkeeper_reconcile_drift_ratio", provider="openrouter")) <= 0.005
        a_discount_is_found(daemon)
    stopped = reconciled(daemon)
    assert stopped["days"][0]["foreign_usd"] == "0.500000000000"
    table = typed(tmp_path, "reconcile", "--config", str(tmp_path / "config.yaml")).stdout
    assert "openrouter" in table and "$0.50" in table


def test_credit_that_is_gone_is_told_at_once(mock: Mock, tmp_path: Path) -> None:
    with Receiver() as receiver:
        config = toll_config(
            mock, {}, alerts=[receiver.hook], providers={"openrouter": mock.provider(admin_key="sk-or-admin")}
        )
        with Daemon(config, tmp_path, key=KEY) as daemon:
            reconciled(daemon, "--now")
            by_others(mock, "200")
            reconciled(daemon, "--now")
            runs_out = daemon.wait_for_log(lambda line: line.get("event") == "credit_runs_out")
            assert (runs_out["provider"], runs_out["left_usd"], runs_out["confidence"]) == (
                "openrouter", "0.000000000000", "low",
            )  # fmt: skip
            receiver.wait_for(1)
            assert "credit.runs_out" in [message["type"] for message in receiver.messages]
