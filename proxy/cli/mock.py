"""`tollkeeper mock`: the scripted upstream on its own, until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import click

from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.mock.state import Rules

_DEFAULT_PORT = 8657


@click.command("mock")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=_DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes any free one.",
)
@click.option("--key", default=None, help="Answer 401 to callers without this key. Default: any key will do.")
@click.option(
    "--lenient", is_flag=True, help="Take what the real providers refuse. Default: refuse it, in their words."
)
@click.option(
    "--models",
    default=0,
    metavar="N",
    type=click.IntRange(0, 10_000),
    help="List so many models more: mock/model-1 and on, each at a price of its own.",
)
def mock(host: str, port: int, key: str | None, lenient: bool, models: int) -> None:
    """Serve an OpenRouter-, OpenAI- and Anthropic-shaped API that needs no network and costs nothing.

    The model name chooses the behaviour: mock/echo, mock/slow?ttft=2, mock/error?status=429,
    mock/cut?after=5, mock/hang and more. GET /mock/bill shows what every call cost.
    """
    import asyncio

    try:
        from proxy.mock.state import Rules  # aiohttp is slow to import, and `--help` needs none of it

        asyncio.run(_serve(host, port, Rules(Secret(key) if key else None, strict=not lenient, models=models)))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


async def _serve(host: str, port: int, rules: Rules) -> None:
    """Print one line with the base URLs, then serve until SIGINT or SIGTERM."""
    import asyncio

    from proxy.mock.server import start_mock

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    server = await start_mock(host, port, rules)
    click.echo(
        f"mock upstream: OpenRouter {server.base_url} | OpenAI {server.openai_url} "
        f"| Anthropic {server.anthropic_url} | bill {server.root}/mock/bill"
    )
    try:
        await stopped.wait()
    finally:
        await server.close()
