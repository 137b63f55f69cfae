"""What was refused is gone: neither its body nor what it was read into waits for the garbage collector."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.setting import config_for
from harness.steps import reset
from harness.upstream import Upstream

LARGE_BYTES = 16 * 2**20
DEEP = b'{"model":"openai/gpt-4o","x":' + b"[" * LARGE_BYTES + b"]}"
BROKEN = b'{"model":"openai/gpt-4o","x":"' + b"x" * LARGE_BYTES + b'",}'
LARGE = b'{"model":"openai/gpt-4o","messages":[{"role":"user","content":"' + b"x" * LARGE_BYTES + b'"}]}'
NOT_TEXT = b'{"model":"openai/gpt-4o","messages":[{"role":"user","content":"' + b"\xff" * LARGE_BYTES + b'"}]}'


@pytest.mark.parametrize(
    ("body", "status"), [(DEEP, 413), (BROKEN, 400), (NOT_TEXT, 400)], ids=["deep", "broken", "no text"]
)
def test_refused_bodies_are_not_kept(daemon: Daemon, body: bytes, status: int) -> None:
    headers = [("Content-Type", "application/json")]
    assert daemon.ask("POST", "/v1/chat/completions", headers, body).status == status
    before = _resident_bytes(daemon)
    for _ in range(8):
        daemon.ask("POST", "/v1/chat/completions", headers, body)
    assert _resident_bytes(daemon) - before < 4 * LARGE_BYTES


@pytest.fixture
def alone(upstream: Upstream, tmp_path: Path) -> Iterator[Daemon]:
    """Its breakers are nobody else's."""
    with Daemon(config_for(upstream), tmp_path) as running:
        yield running


def test_bodies_of_calls_whose_provider_breaks_off_are_not_kept(alone: Daemon, upstream: Upstream) -> None:
    upstream.expect(reset, again=True)
    headers = [("Content-Type", "application/json")]
    alone.ask("POST", "/v1/chat/completions", headers, LARGE)
    before = _resident_bytes(alone)
    for _ in range(8):
        alone.ask("POST", "/v1/chat/completions", headers, LARGE)
    assert _resident_bytes(alone) - before < 2 * LARGE_BYTES


def _resident_bytes(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0
