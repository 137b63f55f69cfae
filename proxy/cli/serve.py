"""`tollkeeper serve`: run the daemon in the foreground."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import click

from proxy.policy.values import Settings


@click.command()
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--mock", is_flag=True, help="Serve the built-in mock provider only; no key, no network.")
def serve(config_path: str | None, mock: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    settings = settings_or_exit(config_path, mock=mock)
    if not settings.providers:
        _explain_no_provider()
    from proxy.observe.logs import set_up

    set_up(settings.log_level, settings.log_format)
    sys.exit(run_async(_run(settings)))


def settings_or_exit(config_path: str | None, *, mock: bool = False) -> Settings:
    """Load the configuration; print every problem and exit 1 where there is one."""
    from proxy.config import ConfigProblems, find_config, load

    try:
        return load(find_config(config_path, os.environ), os.environ, mock=mock).settings
    except ConfigProblems as problems:
        click.echo(str(problems), err=True)
        sys.exit(1)


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run` on uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def _run(settings: Settings) -> int:
    from proxy.app import Daemon, StartError

    daemon = Daemon(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        daemon.cut_short() if stopping.is_set() else stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await daemon.start()
    except StartError as error:
        click.echo(f"tollkeeper: {error}", err=True)
        return 1
    for line in start_lines(settings, daemon.url, daemon.admin_url):
        click.echo(line)
    sys.stdout.flush()
    # what start-up made stays for good: keep the collector from walking it with every call's garbage
    gc.collect()
    gc.freeze()
    await stopping.wait()
    await daemon.stop()
    return 0


def start_lines(settings: Settings, url: str, admin_url: str) -> list[str]:
    """What was decided at start: where from, which names go where, who may ask, how to try it."""
    lines = [f"Configuration: {settings.source or 'none; providers from the environment'}"]
    lines += [f"Warning: {warning}" for warning in settings.warnings]
    for provider in settings.providers.values():
        where = provider.base_url or "built in"
        lines.append(f"Provider {provider.name} ({provider.kind}): {where}; {provider.key_source}")
    keys = ", ".join(caller.name for caller in settings.callers)
    lines.append(f"Keys: {keys}" if keys else "Keys: none; open to everybody on this machine")
    lines += [f"Admin on {admin_url}", f"Listening on {url}"]
    if all(provider.kind == "mock" for provider in settings.providers.values()):
        lines += _snippets(url, "mock/echo")
    return lines


def _snippets(url: str, model: str) -> list[str]:
    return [
        "",
        "No provider key was found or wanted: the built-in mock answers, free and offline. Try it:",
        "",
        f"  curl {url}/chat/completions -H 'Content-Type: application/json' \\",
        f'    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
        "",
        "  from openai import OpenAI",
        f'  client = OpenAI(base_url="{url}", api_key="anything")',
        f'  print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}]))',
        "",
    ]


def _explain_no_provider() -> None:
    click.echo(
        "tollkeeper: no provider is configured and no key is in the environment.\n"
        "Set OPENROUTER_API_KEY (or OPENAI_API_KEY, ANTHROPIC_API_KEY), write a configuration with "
        "`tollkeeper init`,\nor try it without any key: `tollkeeper serve --mock`.",
        err=True,
    )
    sys.exit(1)
