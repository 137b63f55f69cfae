"""What a page that stays open is told first: the minutes before the daemon's start are those of the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from stores_samples import settled
from test_stores_rollups import MINUTE, add, opened

AGO = 10 * MINUTE
TOKENS = {"ops": "ops-canary-live-0001", "acme": "acme-canary-live-0001"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder, now_ms = tmp_path_factory.mktemp("live"), int(time.time() * 1000)
    (folder / "state").mkdir(mode=0o700)
    driver = opened(folder / "state")
    ages = {"a": ("", AGO), "b": ("acme", AGO), "c": ("", 2 * 60 * MINUTE)}
    add(driver, *(settled(name, at_ms=now_ms - ago, tenant=tenant) for name, (tenant, ago) in ages.items()))
    driver.close()
    admins = {
        "ops": {"role": "viewer", "token": TOKENS["ops"]},
        "acme": {"role": "viewer", "token": TOKENS["acme"], "tenant": "acme"},
    }
    config = {"providers": {"mock": {}}, "admins": admins, "tenants": {"acme": {}}, "shutdown": {"drain": 1}}
    with Daemon(config, folder) as running:
        yield running
        assert running.stop() == 0


@pytest.mark.parametrize(("who", "calls"), [("ops", 2), ("acme", 1)])
def test_the_hour_before_a_start_is_told(daemon: Daemon, who: str, calls: int) -> None:
    with Connection(daemon.admin_port) as connection:
        headers = [("Authorization", f"Bearer {TOKENS[who]}")]
        connection.send(request_bytes("GET", "/live", headers, None, f"127.0.0.1:{daemon.admin_port}"))
        told: dict[str, Any] = json.loads(connection.read_until(b"\n\n").rpartition(b"data: ")[2])
    assert [(one["calls"], one["cost_usd"]) for one in told["minutes"]] == [(calls, f"0.0{3 * calls}0000000000")]
    assert told["minutes"][0]["at"].endswith(":00.000Z")
