"""The daemon with everything on: key, names, splice, three limits, three budgets, journal, ledger, metrics, log line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.contender import Contender, answering, doors
from bench.payloads import CHAT_ONLY_ALIAS, CLIENT_KEY, SMALL_ALIAS, SMALL_MODEL, STREAM_ALIAS, STREAM_MODEL, Door
from bench.processes import ROOT, Process, free_port
from bench.upstreams import Upstream

_START_SECONDS = 120  # a machine that is busy with something else
_LIMITS = "[{tokens: 1000000000000, per: minute}, {concurrent: 100000}]"
_BUDGETS = "[{usd: 1000000, per: day}, {usd: 1000000, per: week}]"


class Grown(NamedTuple):
    """How many more keys and models a daemon has that has grown; `ledger.add_keys` makes the keys."""

    keys: int = 0
    models: int = 0

    def doors(self, door: Door) -> list[Door]:
        """One for each key and each model, the keys in turn and the models in turn."""
        keys = [secret_of(number) for number in range(self.keys)] or [door.key]
        models = [f"m-{number}" for number in range(self.models)] or [door.model]
        turns = range(max(len(keys), len(models)))
        return [door._replace(key=keys[turn % len(keys)], model=models[turn % len(models)]) for turn in turns]


YOUNG = Grown()


def secret_of(number: int) -> str:
    """What the client with this key sends."""
    return f"{CLIENT_KEY[:-5]}{number:05}"


def start(
    folder: Path, upstream: Upstream, grown: Grown = YOUNG, command: Sequence[str] = ("-m", "proxy")
) -> Contender:
    """Start it. The state directory is that of earlier starts in the same folder; `command` is given to Python."""
    whole, stream = doors(free_port())
    config = write_config(folder, upstream, whole.port, grown)
    more = {"PYTHONPATH": str(ROOT)}
    if upstream.authority is not None:
        more["SSL_CERT_FILE"] = str(upstream.authority)
    arguments = [sys.executable, *command, "serve", "--config", str(config)]
    process = Process("Tollkeeper", arguments, folder / "tollkeeper.log", more)
    return answering(process, whole, stream, _START_SECONDS)


def write_config(folder: Path, upstream: Upstream, port: int, grown: Grown = YOUNG) -> Path:
    """Two providers, as the two upstreams are two; a third limit and a third budget are everybody's."""
    whole_url, stream_url = upstream.base_urls
    models = "".join(
        f"  m-{number}: {{target: openai/model-{number}, price: {{input: 1, output: 2}}}}\n"
        for number in range(grown.models)
    )
    config = folder / "config.yaml"
    config.write_text(f"""\
listen: {{host: 127.0.0.1, port: {port}}}
admin: {{port: 0}}
state_dir: {folder}/state
providers:
  openrouter: {{kind: openrouter, api_key: sk-or-bench, base_url: '{whole_url}'}}
  streams: {{kind: openrouter, api_key: sk-or-bench, base_url: '{stream_url}'}}
  plain: {{kind: openai, base_url: '{stream_url}', speaks: [chat], free: true}}
routes:
  - {{match: "anthropic/*", provider: streams}}
models:
  {SMALL_ALIAS}: {SMALL_MODEL}
  {STREAM_ALIAS}: {STREAM_MODEL}
  {CHAT_ONLY_ALIAS}: plain/{CHAT_ONLY_ALIAS}
{models}catalogue: {{refresh: never}}
limits: [{{requests: 1000000000, per: minute}}]
budgets: [{{usd: 1000000, per: month}}]
keys:
  bench: {{key: {CLIENT_KEY}, limits: {_LIMITS}, budgets: {_BUDGETS}}}
journal: {{fsync: interval}}
shutdown: {{drain: 1}}
log: {{level: info, format: json}}
""")
    return config
