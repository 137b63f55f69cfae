"""A batch under `kill -9`: every line has one end, none is sent twice, and the ledger says what the provider billed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from money_books import KEY, USD, eventually, priced, toll_config

LINES = int(os.environ.get("BATCH_LINES", "400"))
KILLS = int(os.environ.get("FAULTS", "3"))
CENT = 0.01
MODEL = f"openrouter/mock/slow?ttft=0.02&interval=0.001&tokens=2&cost={CENT}"


def multipart(content: bytes) -> tuple[list[tuple[str, str]], bytes]:
    part = b'--xyz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"purpose", b"", b"batch") + part % (b"file", b'; filename="f.jsonl"', content) + b"--xyz--\r\n"
    return [("Content-Type", "multipart/form-data; boundary=xyz")], body


def line(number: int) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": f"line {number}"}]}
    call = {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(call).encode() + b"\n"


def asked(daemon: Daemon, method: str, path: str, headers: Any = (), body: bytes = b"") -> Any:
    reply = daemon.ask(method, path, [*headers], body)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def results(daemon: Daemon, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    text = daemon.ask("GET", f"/v1/files/{file_id}/content").body.decode()
    found = [json.loads(line) for line in text.splitlines()]
    assert len({line["custom_id"] for line in found}) == len(found)
    return {line["custom_id"]: line for line in found}


def is_over(daemon: Daemon, batch_id: str) -> bool:
    return bool(asked(daemon, "GET", f"/v1/batches/{batch_id}")["status"] == "completed")


def test_kills_leave_every_line_with_one_end_and_a_true_bill(mock: Mock, tmp_path: Path) -> None:
    cap = {"usd": 1000, "per": "total"}
    config = toll_config(mock, {"budgets": [cap]}, models={"m": priced(MODEL)}, jobs={"concurrent": 8})
    batch_id, chance = "", random.Random(7)
    for _ in range(KILLS):
        before = len(mock.bill())  # the batch goes on as soon as a daemon runs, which may be before that is seen
        with Daemon(config, tmp_path, key=KEY) as daemon:
            if not batch_id:
                file = asked(daemon, "POST", "/v1/files", *multipart(b"".join(map(line, range(LINES)))))
                wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
                batch_id = asked(daemon, "POST", "/v1/batches", (), json.dumps(wanted).encode())["id"]
            wanted_lines = before + chance.randint(5, 40) * max(1, LINES // 400)
            until = time.monotonic() + PATIENCE_SECONDS
            while len(mock.bill()) < wanted_lines and not is_over(daemon, batch_id):
                assert time.monotonic() < until
            os.kill(daemon.pid, signal.SIGKILL)
    with Daemon(config, tmp_path, key=KEY) as daemon:
        until = time.monotonic() + PATIENCE_SECONDS * max(1, LINES // 400)
        while (batch := asked(daemon, "GET", f"/v1/batches/{batch_id}"))["status"] != "completed":
            assert time.monotonic() < until, batch
        good, bad = results(daemon, batch["output_file_id"]), results(daemon, batch["error_file_id"])
        books = eventually(daemon, lambda books: not books.held)
        bill = mock.bill()
    assert {*good} | {*bad} == {f"c{number}" for number in range(LINES)} and not {*good} & {*bad}
    assert {one["error"]["code"] for one in bad.values()} <= {"interrupted"}
    assert len(bad) <= KILLS * 8
    assert batch["request_counts"] == {"total": LINES, "completed": len(good), "failed": len(bad)}
    assert len(bill) <= LINES, "a line was sent twice"
    assert len(good) <= len(bill) <= len(good) + len(bad)
    ids = {line["response"]["request_id"] for line in good.values()}
    own = [row for row in books.rows.values() if row.request_id in ids]
    assert [row.cost_pusd for row in own] == [USD // 100] * len(good)
    assert books.cost >= mock.billed()
