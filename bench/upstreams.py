"""Where replies come from: an nginx that answers at once, and a bare Python protocol that streams. Plain and with TLS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from bench.certificate import Certificate, make_certificate
from bench.nginx_files import command, config_text
from bench.payloads import PATH, SMALL_MODEL, STREAM_MODEL, Door, small_reply, small_request
from bench.processes import ROOT, Process, free_port, on_other_core


class Upstream(NamedTuple):
    """`whole_port` answers JSON at once, `stream_port` streams and reads large bodies; with an authority, over TLS."""

    whole_port: int
    stream_port: int
    authority: Path | None = None

    @property
    def whole(self) -> Door:
        """A call that goes there directly."""
        return Door(self.whole_port, SMALL_MODEL)

    @property
    def stream(self) -> Door:
        """The same for streams."""
        return Door(self.stream_port, STREAM_MODEL)

    @property
    def base_urls(self) -> tuple[str, str]:
        """What a client is given for either."""
        scheme = "https" if self.authority else "http"
        return (
            f"{scheme}://127.0.0.1:{self.whole_port}/api/v1",
            f"{scheme}://127.0.0.1:{self.stream_port}/api/v1",
        )


class Upstreams(NamedTuple):
    """Both, and the processes to end."""

    plain: Upstream
    tls: Upstream
    processes: list[Process]

    def end(self) -> None:
        """End them all."""
        for process in self.processes:
            process.end()


def start_upstreams(folder: Path) -> Upstreams:
    """nginx for whole replies, as nothing is cheaper; one process for each kind of stream. Raises `BenchError`."""
    made = make_certificate(folder)
    plain = Upstream(free_port(), free_port())
    tls = Upstream(free_port(), free_port(), made.authority)
    config = folder / "upstream.conf"
    config.write_text(config_text(folder, _server(plain.whole_port) + _server(tls.whole_port, made)))
    whole = Process("the nginx upstream", command(folder, config), folder / "upstream.log")
    streams = _streaming(folder, plain.stream_port)
    tls_streams = _streaming(folder, tls.stream_port, str(made.certificate), str(made.key))
    started = Upstreams(plain, tls, [whole, streams, tls_streams])
    try:
        whole.wait_until_answering(plain.whole_port, small_request(plain.whole))
        streams.wait_until_answering(plain.stream_port, small_request(plain.stream))
        tls_streams.wait_until_listening(tls.stream_port)
    except BaseException:
        started.end()
        raise
    for process in started.processes:
        on_other_core(process)
    return started


def _server(port: int, made: Certificate | None = None) -> str:
    secured = f"ssl_certificate {made.certificate}; ssl_certificate_key {made.key};" if made else ""
    reply = f"default_type application/json; return 200 '{small_reply().decode()}';"
    listen = f"listen 127.0.0.1:{port}{' ssl' if made else ''} backlog=1024;"
    return f"server {{ {listen} {secured} location = {PATH} {{ {reply} }} }}\n"


def _streaming(folder: Path, port: int, *certificate: str) -> Process:
    arguments = [sys.executable, "-m", "bench.upstream", str(port), *certificate]
    return Process("the streaming upstream", arguments, folder / f"streams-{port}.log", {"PYTHONPATH": str(ROOT)})
