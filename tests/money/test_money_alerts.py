"""Alerts of budgets: told in the log, the metric and a signed webhook, once per threshold and period, whatever happens."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from harness.commands import typed
from harness.daemon import Daemon
from harness.hooks import SECRET, TOKEN, Receiver
from harness.mock import Mock
from harness.surroundings import held_port
from money_books import KEY, ask, books_of, eventually, priced, toll_config

TOTAL = "key:alice:total"
KILLS = int(os.environ.get("FAULTS", "5"))
STEPS = [f"{part}%" for part in range(5, 100, 5)]


def config(mock: Mock, *receivers: Receiver | int, alerts: list[str] | None = None, **members: Any) -> dict[str, Any]:
    """A key with a dollar; a `dime` costs a tenth of it, a `half` a half. A number is a port nobody listens at."""
    models = {
        "dime": priced("openrouter/mock/echo?cost=0.1", 3000),
        "half": priced("openrouter/mock/echo?cost=0.5", 5000),
        "cent": priced("openrouter/mock/echo?cost=0.01", 100),
    }
    budget = {"usd": 1, "per": "total", **({} if alerts is None else {"alerts": alerts})}
    hooks = [r.hook if isinstance(r, Receiver) else Receiver.entry(r) for r in receivers]
    own = {"models": models, "budget_alerts": ["80%", "50%"], "alerts": hooks, **members}
    return toll_config(mock, {"budgets": [budget]}, **own)


def spend(daemon: Daemon, *models: str) -> None:
    for model in models:
        reply = daemon.post("/v1/chat/completions", ask(model))
        assert reply.status == 200, reply.body


def told(daemon: Daemon, number: int) -> list[list[str]]:
    """The thresholds of every alert in the log, once there are so many."""
    lines = daemon.wait_for_lines(lambda line: line.get("event") == "budget_alert", number)
    return [line["thresholds"] for line in lines]


def webhook(daemon: Daemon, outcome: str, number: int = 1) -> dict[str, Any]:
    """The log line of the `number`th try of its kind, once there is one."""
    return daemon.wait_for_lines(lambda line: line.get("event") == f"webhook_{outcome}", number)[number - 1]


def adjust(daemon: Daemon, usd: str) -> None:
    """Give back, or take: `tollkeeper budgets adjust`."""
    file = daemon.folder / "config.yaml"
    done = typed(daemon.folder, "budgets", "adjust", TOTAL, usd, "--reason", "x", "--config", str(file))
    assert done.returncode == 0, done


def reload(daemon: Daemon, change: Callable[[dict[str, Any]], None], number: int = 1) -> None:
    """Change the configuration and wait for the `number`th reload."""
    file = daemon.folder / "config.yaml"
    settings = yaml.safe_load(file.read_text())
    change(settings)
    file.write_text(yaml.safe_dump(settings))
    os.utime(file, (1, 1))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_lines(lambda line: line.get("event") == "reloaded", number)


def test_a_threshold_is_told_in_log_metric_and_webhook_and_no_secret_with_it(mock: Mock, tmp_path: Path) -> None:
    settings = config(mock, receiver := Receiver(), tenants={"acme": {}})
    settings["keys"]["alice"]["tenant"] = "acme"
    with receiver, Daemon(settings, tmp_path, key=KEY) as daemon:
        spend(daemon, "half")
        (message,) = receiver.wait_for(1)
        line = webhook(daemon, "delivered")
        assert (line["host"], line["reason"], line["tries"]) == (f"127.0.0.1:{receiver.port}", "answered 204", 1)
        assert line["message_id"] == receiver.ids[0]
        assert message["type"] == "budget.threshold_passed"
        assert message["data"] == {
            "budget": TOTAL,
            "key": "alice",
            "tenant": "acme",
            "per": "total",
            "threshold": "50%",
            "thresholds": ["50%"],
            "spent_usd": "0.500000000000",
            "cap_usd": "1.000000000000",
            "shadow": False,
            "resets_at": None,
        }
        line = daemon.wait_for_log(lambda line: line.get("event") == "budget_alert")
        assert {name: line.get(name) for name in message["data"]} == message["data"]
        labels = {"budget": TOTAL, "per": "total", "threshold": "50%"}
        assert daemon.metric("tollkeeper_budget_alerts_total", **labels) == 1
        assert daemon.metric("tollkeeper_webhooks_total", outcome="delivered") == 1
        assert daemon.stop() == 0
        assert SECRET not in daemon.output and TOKEN not in daemon.output


def test_a_jump_over_two_thresholds_is_one_message_that_names_both(mock: Mock, tmp_path: Path) -> None:
    with Receiver() as receiver, Daemon(config(mock, receiver), tmp_path, key=KEY) as daemon:
        spend(daemon, *["dime"] * 4, "half")
        (message,) = receiver.wait_for(1)
        assert (message["data"]["threshold"], message["data"]["thresholds"]) == ("80%", ["50%", "80%"])
        for threshold in ("50%", "80%"):
            assert daemon.metric("tollkeeper_budget_alerts_total", budget=TOTAL, threshold=threshold) == 1


def test_nothing_is_told_twice_over_a_kill_a_restart_a_reload_and_a_correction(mock: Mock, tmp_path: Path) -> None:
    """With a threshold at every step: the next one to come shows that nothing came between."""
    with Receiver() as receiver:
        settings = config(mock, receiver, alerts=["50%", "60%", "70%", "80%"])
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            spend(daemon, "half")
            webhook(daemon, "delivered")
            os.kill(daemon.pid, signal.SIGKILL)
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            spend(daemon, "dime")
            webhook(daemon, "delivered")
            adjust(daemon, "-0.3")
            spend(daemon, "dime", "dime", "dime")
            reload(daemon, lambda config: config.update(budget_alerts=["20%"]))
            spend(daemon, "dime")
            webhook(daemon, "delivered", 2)
            assert told(daemon, 2) == [["60%"], ["70%"]]
            assert daemon.stop() == 0
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            spend(daemon, "dime")
            assert [message["data"]["thresholds"] for message in receiver.wait_for(4)] == [
                *(["50%"], ["60%"], ["70%"], ["80%"])
            ]
        assert len(set(receiver.ids)) == 4


def test_killed_at_any_instant_each_threshold_is_told_of_in_one_message(mock: Mock, tmp_path: Path) -> None:
    dice = random.Random(1)
    with Receiver() as receiver:
        settings = config(mock, receiver, alerts=STEPS)
        for _ in range(KILLS):
            with Daemon(settings, tmp_path, key=KEY) as daemon:
                spend(daemon, *["cent"] * dice.randrange(80 // KILLS))
                os.kill(daemon.pid, signal.SIGKILL)
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            books = eventually(daemon, lambda books: not books.held)
            spend(daemon, *["cent"] * int(96 - 100 * books.spent_by(TOTAL)))
            daemon.wait_for_log(lambda line: line.get("event") == "budget_alert" and "95%" in line["thresholds"])
            assert daemon.stop() == 0
        with Daemon(settings, tmp_path, key=KEY):  # sends what that one had no time for
            by_id = {}
            while sum(len(thresholds) for thresholds in by_id.values()) < len(STEPS):
                messages = receiver.wait_for(len(receiver.messages) + bool(by_id))
                by_id = {name: m["data"]["thresholds"] for name, m in zip(receiver.ids, messages, strict=False)}
    assert Counter(threshold for thresholds in by_id.values() for threshold in thresholds) == Counter(STEPS)
    assert books_of(daemon).spent_by(TOTAL) == Decimal("0.96")


def test_what_could_not_be_delivered_is_sent_after_a_kill(mock: Mock, tmp_path: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(held_port())
        with Daemon(config(mock, port), tmp_path, key=KEY) as daemon:
            spend(daemon, "half")
            line = webhook(daemon, "failed")
            assert (line["reason"], line["tries"]) == ("no connection", 1)
            assert 0.9 <= line["again_in_seconds"] <= 1.1
            os.kill(daemon.pid, signal.SIGKILL)
        receiver = stack.enter_context(Receiver(port=port))
        daemon = stack.enter_context(Daemon(config(mock, port), tmp_path, key=KEY))
        (message,) = receiver.wait_for(1)
        assert message["data"]["thresholds"] == ["50%"]
        assert webhook(daemon, "delivered")["message_id"] == line["message_id"]
        spend(daemon, "dime", "dime", "dime")
        receiver.wait_for(2)
        assert len(set(receiver.ids)) == 2


def test_an_address_in_trouble_is_tried_again_under_the_same_id_and_others_do_not_wait(
    mock: Mock, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        troubled, well = stack.enter_context(Receiver(500, 302)), stack.enter_context(Receiver())
        daemon = stack.enter_context(Daemon(config(mock, troubled, well), tmp_path, key=KEY))
        spend(daemon, "half")
        webhook(daemon, "delivered")
        troubled.wait_for(3)
        assert webhook(daemon, "delivered", 2)["tries"] == 3
        assert {*troubled.ids} == {*well.ids} and len(troubled.ids) == 3
        assert daemon.metric("tollkeeper_webhooks_total", outcome="retried") == 2


def test_an_address_that_is_gone_is_left_alone(mock: Mock, tmp_path: Path) -> None:
    with Receiver(410) as receiver, Daemon(config(mock, receiver), tmp_path, key=KEY) as daemon:
        spend(daemon, "half")
        assert webhook(daemon, "undelivered")["reason"] == "answered 410"
        spend(daemon, "dime", "dime", "dime")
        assert webhook(daemon, "undelivered", 2)["reason"] == "the address has answered 410 before"
        assert len(receiver.messages) == 1


def test_a_reload_that_changes_thresholds_cap_or_addresses_is_looked_at_at_once(mock: Mock, tmp_path: Path) -> None:
    with Receiver() as receiver, Daemon(config(mock, alerts=[]), tmp_path, key=KEY) as daemon:
        spend(daemon, "half", "dime")

        def watched(settings: dict[str, Any]) -> None:
            settings["keys"]["alice"]["budgets"][0].pop("alerts")
            settings["alerts"] = [receiver.hook]

        reload(daemon, watched)
        assert receiver.wait_for(1)[0]["data"]["spent_usd"] == "0.600000000000"
        reload(daemon, lambda settings: settings["keys"]["alice"]["budgets"][0].update(usd=2), 2)
        spend(daemon, *["dime"] * 4)  # half of the new cap: another amount than was told of
        assert told(daemon, 2) == [["50%"], ["50%"]]
        assert [message["data"]["cap_usd"][:2] for message in receiver.wait_for(2)] == ["1.", "2."]
