"""`tollkeeper demo`: the whole product in five seconds, without a key and without a network."""

from __future__ import annotations

import json
import sys
import tempfile
from decimal import Decimal

import click


@click.command()
def demo() -> None:
    """Start the mock upstream and the proxy, stream one call through them, and show what became of it."""
    from proxy.cli.running import run_async
    from proxy.observe.logs import set_up

    set_up("error", "auto")
    with tempfile.TemporaryDirectory(prefix="tollkeeper-demo-") as state_dir:
        sys.exit(run_async(_run(state_dir)))


async def _run(state_dir: str) -> int:
    from proxy.app import Daemon
    from proxy.policy.values import Listen, Provider, Settings

    settings = Settings(
        listen=Listen(), admin=Listen(), state_dir=state_dir, providers={"mock": Provider("mock", "mock", "")}
    )
    daemon = Daemon(settings)
    await daemon.start()
    try:
        click.echo(f"Proxy on {daemon.url}, in front of a mock provider that speaks OpenRouter's dialect.\n")
        await _streamed(daemon.url)
        await _refused(daemon.url)
    finally:
        await daemon.stop()
    click.echo("That is all of it: point any OpenAI client at `tollkeeper serve`.")
    return 0


async def _streamed(url: str) -> None:
    """One streamed call: the text as it comes, then what it cost."""
    import asyncio

    import aiohttp

    body = {
        "model": "mock/slow?ttft=0.2&interval=0.06",
        "stream": True,
        "messages": [{"role": "user", "content": "Every call passes the toll, and every toll is written down."}],
    }
    click.echo(f"> POST /v1/chat/completions  {json.dumps(body)}\n")
    loop = asyncio.get_running_loop()
    began, first = loop.time(), 0.0
    usage: dict[str, object] = {}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=body) as reply:
        async for line in reply.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:], parse_float=Decimal)
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                text = choice["delta"].get("content") or ""
                first = first or (loop.time() if text else 0.0)
                click.echo(text, nl=False)
        click.echo(f"\n\n< {reply.status} from {reply.headers['x-tollkeeper-provider']}", nl=False)
    click.echo(f", first word after {first - began:.2f} s, all after {loop.time() - began:.2f} s")
    click.echo(
        f"  {usage.get('prompt_tokens')} tokens in, {usage.get('completion_tokens')} out, "
        f"cost {usage.get('cost'):f} USD as the provider reported it\n"
    )


async def _refused(url: str) -> None:
    """One call the provider turns down: the error passes as it came, after the retries."""
    import aiohttp

    body = {"model": "mock/error?status=402", "messages": [{"role": "user", "content": "Hello"}]}
    click.echo(f"> POST /v1/chat/completions  {json.dumps(body)}\n")
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=body) as reply:
        error = (await reply.json())["error"]
        click.echo(f"< {reply.status} {error['message']}")
        click.echo(f"  attempts: {reply.headers['x-tollkeeper-attempts']}, id: {reply.headers['x-request-id']}\n")
