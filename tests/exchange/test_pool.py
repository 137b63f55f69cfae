"""The pool of connections to providers, over real sockets: kept, replaced, verified, through a proxy, and why there is none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from harness.surroundings import held_port

from proxy.exchange.io.http1 import Connection
from proxy.exchange.io.pool import Origin, Pool, Request, Unreachable, head_of, origin_of, standing
from proxy.exchange.io.response import Response
from proxy.wire.headers import Headers
from proxy.wire.outgoing import Pieces


class Asked(NamedTuple):
    method: str
    target: str
    headers: Headers = []
    pieces: Pieces = []

    def to(self, origin: Origin) -> Request:
        return Request(self.method, head_of(origin, self.method, self.target, self.headers), self.pieces)


GET = Asked("GET", "/v1/x?y=%2f", [("X-A", "caf\udce9")], [])
CONNECT_SECONDS = 30.0


class Server:
    """Answers every request with its number among those of its connection; `heads` are what came."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        number = 0
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                number += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()


class Plain(Server):
    """Answers the first byte, whatever it is, and closes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        await reader.read(1)
        writer.write(self.answer)
        writer.close()


class Proxy:
    """An HTTP proxy that opens tunnels, or answers `refuses` to whoever asks for one."""

    def __init__(self, refuses: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\np")
        elif self._refuses:
            writer.write(self._refuses)
            writer.close()
        else:
            host, _, port = target.decode().rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            self.connections.append(back)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def listening(server: Server | Proxy, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port it listens on."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for writer in server.connections:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool()
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate for 127.0.0.1, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", "key", "-out", "cert"], cwd=folder, check=True, capture_output=True)
    file = folder / "both.pem"
    file.write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    return file


def secured(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def whole(pool: Pool, origin: Origin, request: Asked = GET) -> bytes:
    """The body of the reply, its connection given back."""
    response: Response = await pool.ask(origin, request.to(origin), CONNECT_SECONDS)
    body = b""
    while data := await response.read():
        body += data
    response.release()
    return body


async def test_a_connection_serves_again_and_heads_go_out_as_they_are(pool: Pool) -> None:
    server = Server()
    async with listening(server) as port:
        origin = origin_of(f"http://127.0.0.1:{port}", None)
        assert [await whole(pool, origin) for _ in range(3)] == [b"1", b"2", b"3"]
    assert server.heads[0] == b"GET /v1/x?y=%%2f HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-A: caf\xe9\r\n\r\n" % port


async def used_once(pool: Pool, origin: Origin) -> Connection:
    """The connection that a first call has left standing."""
    assert await whole(pool, origin) == b"1"
    kept = standing(pool.idle(origin))
    assert kept is not None and kept.free is not None
    kept.free.append(kept)
    return kept


async def test_one_that_the_other_side_has_closed_is_not_used(pool: Pool) -> None:
    server = Server()
    async with listening(server) as port:
        origin = origin_of(f"http://127.0.0.1:{port}", None)
        kept = await used_once(pool, origin)
        server.connections[0].transport.abort()
        await server.connections[0].wait_closed()
        while not kept.peek(0):  # the kernel brings it in its own time
            time.sleep(0.001)
        assert await whole(pool, origin) == b"1"
    assert len(server.connections) == 2


async def test_bytes_that_nobody_asked_for_are_not_the_reply_to_the_next_call(pool: Pool) -> None:
    server = Server()
    async with listening(server) as port:
        origin = origin_of(f"http://127.0.0.1:{port}", None)
        kept = await used_once(pool, origin)
        server.connections[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        while not kept.peek(0):  # it waits in the kernel, and the loop has not come round to it
            time.sleep(0.001)
        assert await whole(pool, origin) == b"1"
    assert len(server.connections) == 2


async def test_a_closed_pool_keeps_nothing(pool: Pool) -> None:
    server = Server()
    async with listening(server) as port:
        origin = origin_of(f"http://127.0.0.1:{port}", None)
        await whole(pool, origin)
        pool.close()
        assert await whole(pool, origin) == b"1"


async def test_a_body_has_its_length_and_a_line_end_in_a_header_is_refused(pool: Pool) -> None:
    server = Server()
    async with listening(server) as port:
        origin = origin_of(f"http://127.0.0.1:{port}", None)
        await whole(pool, origin, Asked("POST", "/"))
        with pytest.raises(ValueError, match="line end"):
            await pool.ask(origin, Asked("GET", "/", [("X-A", "a\r\nX-Evil: 1")]).to(origin), CONNECT_SECONDS)
    assert b"\r\nContent-Length: 0\r\n" in server.heads[0]
    assert len(server.heads) == 1


async def test_tls_is_verified(pool: Pool, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = Server()
    async with listening(server, secured(certificate)) as port:
        origin = origin_of(f"https://127.0.0.1:{port}", None)
        with pytest.raises(
            Unreachable, match="self-signed certificate.*system's.*`ca_file:`, or SSL_CERT_FILE"
        ) as error:
            await whole(pool, origin)
        assert error.value.is_tls
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
        with pytest.raises(Unreachable, match="SSL_CERT_FILE, which cannot be read"):
            await whole(Pool(), origin)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = Pool()
        assert [await whole(trusting, origin) for _ in range(2)] == [b"1", b"2"]
        trusting.close()


async def test_a_ca_file_is_for_those_who_name_it_and_read_anew_where_it_changed(
    pool: Pool, certificate: Path, tmp_path: Path
) -> None:
    server, file = Server(), tmp_path / "ca.pem"
    async with listening(server, secured(certificate)) as port:
        base = f"https://127.0.0.1:{port}"
        with pytest.raises(Unreachable, match="`ca_file:` cannot be read as PEM"):
            await whole(pool, origin_of(base, None, str(file)))
        file.write_bytes(certificate.read_bytes())
        assert await whole(pool, origin_of(base, None, str(file))) == b"1"
        with pytest.raises(Unreachable, match="self-signed"):
            await whole(pool, origin_of(base, None))  # no connection of the other's is lent
        pool.close()
        file.write_text("no certificate")
        with pytest.raises(Unreachable, match="cannot be read as PEM"):
            await whole(pool, origin_of(base, None, str(file)))


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"), (b"", "broken off by the other side")],
)
async def test_what_speaks_no_tls_is_told_so(pool: Pool, answer: bytes, words: str) -> None:
    async with listening(Plain(answer)) as port:
        with pytest.raises(Unreachable, match=words) as error:
            await whole(pool, origin_of(f"https://127.0.0.1:{port}", None))
    assert error.value.is_tls


async def test_plain_requests_name_the_whole_url_to_a_proxy(pool: Pool) -> None:
    through = Proxy()
    async with listening(through) as port:
        origin = origin_of("http://provider.invalid:8080", f"http://us%65r:pass@127.0.0.1:{port}")
        assert await whole(pool, origin) == b"p"
    assert through.heads[0].startswith(b"GET http://provider.invalid:8080/v1/x?y=%2f HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in through.heads[0]


async def test_tls_goes_through_a_tunnel(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server, through, pool = Server(), Proxy(), Pool()
    async with listening(server, secured(certificate)) as port, listening(through) as proxy:
        origin = origin_of(f"https://127.0.0.1:{port}", f"http://127.0.0.1:{proxy}")
        assert [await whole(pool, origin) for _ in range(2)] == [b"1", b"2"]
        pool.close()
    assert through.heads == [b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (port, port)]
    assert server.heads[0].startswith(b"GET /v1/x?y=%2f HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"", b"HTTP/1.1 200"])
async def test_a_proxy_that_opens_no_tunnel_leaves_the_provider_unreachable(pool: Pool, answer: bytes) -> None:
    async with listening(Proxy(refuses=answer or b" ")) as proxy:
        with pytest.raises(Unreachable, match="refused"):
            await whole(pool, origin_of("https://provider.invalid", f"http://127.0.0.1:{proxy}"))


async def test_a_name_without_an_address_and_a_closed_port_are_told_apart(pool: Pool) -> None:
    with pytest.raises(Unreachable, match="no address"):
        await whole(pool, origin_of("http://provider.invalid", None))
    with held_port() as port, pytest.raises(Unreachable, match="refused"):
        await whole(pool, origin_of(f"http://127.0.0.1:{port}", None))


async def test_a_handshake_that_does_not_come_in_time_is_no_connection(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = origin_of(f"https://127.0.0.1:{silent.getsockname()[1]}", None)
        with pytest.raises(Unreachable, match=r"no connection within 0\.2 s"):
            await pool.ask(origin, GET.to(origin), 0.2)


@pytest.mark.parametrize(
    ("base", "authority"),
    [
        ("https://api.example.com", "api.example.com"),
        ("https://API.example.com:443", "api.example.com"),
        ("http://api.example.com:443", "api.example.com:443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://b\u00fccher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_is_the_authority_less_what_goes_without_saying(base: str, authority: str) -> None:
    assert origin_of(base, None).authority == authority
