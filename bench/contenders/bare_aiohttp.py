"""A bare aiohttp server before a bare aiohttp client: what the libraries cost that the daemon stands on."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.contender import Contender, answering, doors
from bench.processes import ROOT, Process, free_port
from bench.upstreams import Upstream


def start(folder: Path, upstream: Upstream) -> Contender:
    """One process with two ports, one for each upstream."""
    whole, stream = doors(free_port(), free_port())
    routes = [f"{whole.port}={upstream.base_urls[0]}", f"{stream.port}={upstream.base_urls[1]}"]
    more = {"PYTHONPATH": str(ROOT)}
    if upstream.authority is not None:
        more["SSL_CERT_FILE"] = str(upstream.authority)
    command = [sys.executable, "-m", "bench.plain_aiohttp", *routes]
    return answering(Process("plain aiohttp", command, folder / "aiohttp.log", more), whole, stream)
