"""What docs/alerts.md prints is what a webhook is sent and verified with, and what Alertmanager takes."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from live_prometheus import ALERTMANAGER, ROOT, program

from proxy.alerts.budgets import TYPE, Passed, message_body, passed_data
from proxy.model_news import TYPE as MODEL_CHANGED
from proxy.model_news import news_data
from proxy.policy.money.budgets import Budget
from proxy.policy.webhooks import signed_headers
from proxy.secret import Secret
from proxy.stores.model_news import News

PAGE = (ROOT / "docs" / "alerts.md").read_text()


def fence(language: str, word: str) -> str:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = [body for kind, body in fences if kind == language and word in body]
    return str(found)


def sample() -> str:
    zone = ZoneInfo("Europe/Berlin")
    budget = Budget("key:alice:day", "key:alice", "day", 5 * 10**12, zone, alerts=(8000, 9500))
    day = int(datetime(2026, 11, 27, tzinfo=zone).timestamp())
    at_ms = int(datetime.fromisoformat("2026-11-27T14:03:11.512Z").timestamp() * 1000)
    return message_body(TYPE, passed_data(Passed(budget, day, 4_810_000_000_000, (8000, 9500))), at_ms)


def amtool(*arguments: str) -> str:
    done = subprocess.run([program("amtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_message_on_the_page_is_the_one_that_is_sent() -> None:
    assert json.loads(fence("json", "budget.threshold_passed")) == json.loads(sample())


def test_the_message_about_a_model_is_the_one_that_is_sent() -> None:
    at_ms = int(datetime.fromisoformat("2026-11-27T14:03:11.512Z").timestamp() * 1000)
    terms = ("2.5 in, 10 out", "3 in, 12 out", ("storyteller",))
    data = news_data(News(at_ms, "dearer", "openrouter", "openai/gpt-4o", *terms))
    assert json.loads(fence("json", "model.changed")) == json.loads(message_body(MODEL_CHANGED, data, at_ms))


def test_the_code_on_the_page_verifies_it() -> None:
    secret, body = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", sample().encode()
    headers = signed_headers([Secret(secret)], "msg_1", int(time.time()), body)
    names: dict[str, Any] = {"secret": secret, "body": body, "headers": headers}
    exec(fence("python", "standardwebhooks"), names)
    assert names["message"]["data"]["threshold"] == "95%"


def test_alertmanager_takes_what_is_shipped_and_what_the_page_has(tmp_path: Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))
    file = tmp_path / "alertmanager.yml"
    file.write_text(fence("", "slack_configs"))
    assert "2 receivers" in amtool("check-config", str(file))
    routes = ["config", "routes", "test", f"--config.file={file}"]
    assert amtool(*routes, "alertname=TollkeeperDown", "severity=page") == "slack\n"
    assert amtool(*routes, "alertname=TollkeeperBudgetThreshold", "severity=ticket") == "mail\n"
