"""The three proxies and the two upstreams: their configuration files and how each is started.

nginx and Caddy are bare: one worker or one scheduler thread, no access log, connections to the
upstream kept open. The daemon has everything on that it has: a key with limits and a budget, and
one log line a call.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from bench.payloads import CLIENT_KEY, PATH, request, small_body, small_reply
from bench.processes import Process, free_port, on_other_core

NAMES = ("nginx", "Caddy", "Tollkeeper")
ROOT = Path(__file__).parent.parent


class Upstreams(NamedTuple):
    """Where replies come from: `whole_port` answers JSON at once, `stream_port` streams and reads large bodies."""

    whole_port: int
    stream_port: int


class Contender(NamedTuple):
    """A running proxy: `whole_port` leads to the one upstream, `stream_port` to the other."""

    process: Process
    whole_port: int
    stream_port: int
    cold_seconds: float


def start_upstreams(folder: Path) -> tuple[Upstreams, list[Process]]:
    """nginx for whole replies, as nothing is cheaper; a bare Python protocol for streams."""
    ports = Upstreams(free_port(), free_port())
    reply = small_reply().decode()
    location = f"location = {PATH} {{ default_type application/json; return 200 '{reply}'; }}"
    config = _written(folder / "upstream.conf", _nginx(folder, [f"listen 127.0.0.1:{ports.whole_port}; {location}"]))
    processes = [
        Process("the nginx upstream", _nginx_command(folder, config), folder / "upstream.log"),
        Process(
            "the streaming upstream",
            [sys.executable, "-m", "bench.upstream", str(ports.stream_port)],
            folder / "streams.log",
            {"PYTHONPATH": str(ROOT)},
        ),
    ]
    for process, port in zip(processes, ports, strict=True):
        process.wait_until_answering(port, request(port, small_body()))
        on_other_core(process)
    return ports, processes


def start(name: str, folder: Path, upstreams: Upstreams) -> Contender:
    """Start one proxy and wait for its first answer."""
    port, stream_port = free_port(), free_port()
    if name == "nginx":
        servers = [_nginx_server(port, upstreams.whole_port), _nginx_server(stream_port, upstreams.stream_port)]
        config = _written(folder / "nginx.conf", _nginx(folder, servers))
        process = Process(name, _nginx_command(folder, config), folder / "nginx.log")
    elif name == "Caddy":
        sites = _caddy_site(port, upstreams.whole_port) + _caddy_site(stream_port, upstreams.stream_port)
        config = _written(folder / "Caddyfile", "{\n admin off\n auto_https off\n}\n" + sites)
        command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        home = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        process = Process(name, command, folder / "caddy.log", home)
    else:
        stream_port = port
        config = _written(folder / "config.yaml", _tollkeeper(folder, port, upstreams))
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(config)]
        process = Process(name, command, folder / "tollkeeper.log", {"PYTHONPATH": str(ROOT)})
    try:
        cold_seconds = process.wait_until_answering(port, request(port, small_body()))
    except BaseException:
        process.end()
        raise
    return Contender(process, port, stream_port, cold_seconds)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _nginx_command(folder: Path, config: Path) -> list[str]:
    return ["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"]


def _nginx(folder: Path, servers: list[str]) -> str:
    """One worker, no access log, connections kept for as long as they are used."""
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    )
    blocks = "".join(server if server.startswith("upstream") else f"server {{ {server} }}\n" for server in servers)
    return (
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx-{os.urandom(4).hex()}.pid; error_log stderr error;\n"
        "events { worker_connections 16384; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; client_max_body_size 64m; {paths}\n{blocks} }}\n"
    )


def _nginx_server(port: int, upstream_port: int) -> str:
    """Buffering off both ways: streams leave at once, and no large body goes by way of a file."""
    return (
        f"upstream u{port} {{ server 127.0.0.1:{upstream_port}; keepalive 64; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ proxy_pass http://u{port};\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; } }\n'
    )


def _caddy_site(port: int, upstream_port: int) -> str:
    proxied = f"reverse_proxy 127.0.0.1:{upstream_port} {{\n  flush_interval -1\n }}"
    return f"http://127.0.0.1:{port} {{\n bind 127.0.0.1\n {proxied}\n}}\n"


def _tollkeeper(folder: Path, port: int, upstreams: Upstreams) -> str:
    provider = "{{kind: openrouter, api_key: sk-or-bench, base_url: 'http://127.0.0.1:{}/api/v1'}}"
    return f"""\
listen: {{host: 127.0.0.1, port: {port}}}
admin: {{port: 0}}
state_dir: {folder}/state
providers:
  openrouter: {provider.format(upstreams.whole_port)}
  streams: {provider.format(upstreams.stream_port)}
routes:
  - {{match: "anthropic/*", provider: streams}}
catalogue: {{refresh: never}}
keys:
  bench:
    key: {CLIENT_KEY}
    limits: [{{requests: 1000000000, per: minute}}, {{concurrent: 100000}}]
    budgets: [{{usd: 1000000, per: day}}, {{usd: 1000000, per: month}}]
shutdown: {{drain: 1}}
log: {{level: info, format: json}}
"""
