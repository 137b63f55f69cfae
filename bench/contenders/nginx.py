"""nginx as a bare reverse proxy: one worker."""

from __future__ import annotations

from pathlib import Path

from bench.contender import Contender, answering, doors
from bench.nginx_files import command, config_text
from bench.payloads import Door
from bench.processes import Process, free_port
from bench.upstreams import Upstream


def start(folder: Path, upstream: Upstream) -> Contender:
    """Two servers, one for each upstream."""
    whole, stream = doors(free_port(), free_port())
    config = folder / "nginx.conf"
    servers = _server(whole, upstream.whole_port, upstream.authority) + _server(
        stream, upstream.stream_port, upstream.authority
    )
    config.write_text(config_text(folder, servers))
    return answering(Process("nginx", command(folder, config), folder / "nginx.log"), whole, stream)


def _server(door: Door, upstream_port: int, authority: Path | None) -> str:
    """Buffering off both ways: streams leave at once, and no large body goes by way of a file."""
    name, scheme, more = f"u{door.port}", "http", ""
    if authority is not None:
        scheme = "https"
        more = f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name localhost;\n"
    return (
        f"upstream {name} {{ server 127.0.0.1:{upstream_port}; keepalive 64; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{door.port} backlog=1024; location / {{ proxy_pass {scheme}://{name};\n{more}"
        'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; } }\n'
    )
