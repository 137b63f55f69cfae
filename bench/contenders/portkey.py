"""Portkey's gateway, from npm: it is told in headers where a call goes."""

from __future__ import annotations

from pathlib import Path

from bench.contender import Contender, answering
from bench.installing import Gateway, npm
from bench.payloads import SMALL_ALIAS, STREAM_ALIAS, Door
from bench.processes import Process, free_port
from bench.upstreams import Upstream

_VERSION = "1.15.2"
_NAME = f"Portkey {_VERSION}"
_START_SECONDS = 60


def _install(folder: Path) -> Path:
    return npm(folder, f"@portkey-ai/gateway@{_VERSION}")


def _start(installed: Path, folder: Path, upstream: Upstream) -> Contender:
    """One process, without its page for people."""
    port = free_port()
    command = ["node", str(installed / "build" / "start-server.js"), f"--port={port}", "--headless"]
    more = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    process = Process(_NAME, command, folder / "portkey.log", more)
    whole, stream = map(_door, (port, port), (SMALL_ALIAS, STREAM_ALIAS), upstream.base_urls)
    return answering(process, whole, stream, _START_SECONDS)


def _door(port: int, model: str, base_url: str) -> Door:
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": base_url}
    return Door(port, model, "/v1/chat/completions", headers)


GATEWAY = Gateway(_NAME, _install, _start)
