"""TensorZero's gateway, from its Python package: routing only, as it comes without a database."""

from __future__ import annotations

import re
import time
from pathlib import Path

from bench.contender import Contender, answering
from bench.installing import Gateway, pip
from bench.payloads import SMALL_ALIAS, STREAM_ALIAS, Door
from bench.processes import BenchError, Process
from bench.upstreams import Upstream

_VERSION = "2026.6.0"
_NAME = f"TensorZero {_VERSION}"
_START_SECONDS = 60
_RUN = """
import signal, sys, tensorzero
stores = dict(clickhouse_url=None, postgres_url=None, valkey_url=None)
gateway = tensorzero._start_http_gateway(config_file=sys.argv[1], async_setup=False, **stores)
print("SERVES", gateway.base_url, flush=True)
signal.pause()
"""


def _install(folder: Path) -> Path:
    return pip(folder, f"tensorzero=={_VERSION}")


def _start(installed: Path, folder: Path, upstream: Upstream) -> Contender:
    """It takes a port of its own choice."""
    config = folder / "tensorzero.toml"
    config.write_text("".join(map(_model, (SMALL_ALIAS, STREAM_ALIAS), upstream.base_urls)))
    log = folder / "tensorzero.log"
    process = Process(_NAME, [str(installed), "-c", _RUN, str(config)], log, {"OPENAI_API_KEY": "sk-bench"})
    port = _port(process, log)
    path, prefix = "/openai/v1/chat/completions", "tensorzero::model_name::"
    return answering(process, Door(port, prefix + SMALL_ALIAS, path), Door(port, prefix + STREAM_ALIAS, path))


def _model(name: str, base_url: str) -> str:
    provider = f'type = "openai"\nmodel_name = "gpt-4o-mini"\napi_base = "{base_url}/"\n'
    return f'[models.{name}]\nrouting = ["upstream"]\n[models.{name}.providers.upstream]\n{provider}'


def _port(process: Process, log: Path) -> int:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        found = re.search(r"SERVES http://127\.0\.0\.1:(\d+)/", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.01)
    process.end()
    raise BenchError(f"{_NAME} named no port within {_START_SECONDS} s.")


GATEWAY = Gateway(_NAME, _install, _start)
