"""Caddy as a bare reverse proxy, on one scheduler thread."""

from __future__ import annotations

from pathlib import Path

from bench.contender import Contender, answering, doors
from bench.payloads import Door
from bench.processes import Process, free_port
from bench.upstreams import Upstream


def start(folder: Path, upstream: Upstream) -> Contender:
    """Two sites, one for each upstream."""
    whole, stream = doors(free_port(), free_port())
    sites = _site(whole, upstream.whole_port, upstream.authority) + _site(
        stream, upstream.stream_port, upstream.authority
    )
    config = folder / "Caddyfile"
    config.write_text("{\n admin off\n auto_https off\n}\n" + sites)
    command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    home = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return answering(Process("Caddy", command, folder / "caddy.log", home), whole, stream)


def _site(door: Door, upstream_port: int, authority: Path | None) -> str:
    """`flush_interval -1`: streams leave at once."""
    scheme, more = "http", ""
    if authority is not None:
        scheme, more = "https", f"  transport http {{\n   tls_trusted_ca_certs {authority}\n  }}\n"
    proxied = f"reverse_proxy {scheme}://127.0.0.1:{upstream_port} {{\n  flush_interval -1\n{more} }}"
    return f"http://127.0.0.1:{door.port} {{\n bind 127.0.0.1\n {proxied}\n}}\n"
