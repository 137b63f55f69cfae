"""LiteLLM's proxy: routing only, as keys and budgets want a PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

from bench.contender import Contender, answering
from bench.installing import Gateway, pip
from bench.payloads import SMALL_ALIAS, STREAM_ALIAS, Door
from bench.processes import Process, free_port
from bench.upstreams import Upstream

_VERSION = "1.106.4"
_NAME = f"LiteLLM {_VERSION}"
_START_SECONDS = 120
_KEY = "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


def _install(folder: Path) -> Path:
    return pip(folder, f"litellm[proxy]=={_VERSION}")


def _start(installed: Path, folder: Path, upstream: Upstream) -> Contender:
    """One worker, without its own log of calls."""
    port, config = free_port(), folder / "litellm.json"
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4o-mini", "api_base": base_url, "api_key": "sk-bench"},
        }
        for name, base_url in zip((SMALL_ALIAS, STREAM_ALIAS), upstream.base_urls, strict=True)
    ]
    config.write_text(json.dumps({"model_list": models, "litellm_settings": {"telemetry": False}}))
    command = [str(installed.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    # without a key it does not start; the table of prices that came with the package: it would be fetched
    more = {"LITELLM_MASTER_KEY": _KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = Process(_NAME, command, folder / "litellm.log", more)
    whole, stream = (Door(port, name, "/v1/chat/completions", key=_KEY) for name in (SMALL_ALIAS, STREAM_ALIAS))
    return answering(process, whole, stream, _START_SECONDS)


GATEWAY = Gateway(_NAME, _install, _start)
