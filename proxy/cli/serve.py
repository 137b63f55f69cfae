"""`tollkeeper serve`: run the daemon in the foreground."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click
import msgspec

from proxy.cli.lean_imports import import_lean
from proxy.policy.values import Settings

if TYPE_CHECKING:
    from proxy.app import Daemon
    from proxy.changes import Source
    from proxy.watching import Watch

SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (50_000, 20, 50)  # a call makes hardly any cycles
STOP_SECONDS = 10.0  # what stopping may take beyond the drain window


@click.command()
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--mock", is_flag=True, help="Serve the built-in mock provider only; no key, no network.")
@click.option("--watch", "watches", is_flag=True, help="Read the configuration again whenever its file changes.")
def serve(config_path: str | None, mock: bool, watches: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until there is something to close
    gc.disable()  # nothing a start makes is garbage; looking for some would take a tenth of its time
    import_lean()
    watched = _watched(config_path) if watches else None
    settings = settings_or_exit(config_path, mock=mock)
    if not settings.providers:
        _explain_no_provider()
    from proxy.observe.logs import set_up
    from proxy.observe.sink import LineSink
    from proxy.web.client.gate import allow_descriptors

    allow_descriptors()
    sink = LineSink(sys.stderr.fileno())
    atexit.register(sink.close)
    set_up(settings.log_level, settings.log_format, sink)
    code = run_async(_run(settings, _source(config_path, mock=mock), watched))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # everything is closed; one more signal changes nothing
    sys.exit(code)


def _source(config_path: str | None, *, mock: bool) -> Source:
    from proxy.changes import Source
    from proxy.config.discover import find_config
    from proxy.watching import left_alone

    return Source(lambda: left_alone(find_config(config_path, os.environ)), lambda: _read(config_path, mock=mock))


def _watched(config_path: str | None) -> Watch:
    from proxy.cli.home import config_file
    from proxy.watching import Watch

    file = config_file(config_path)
    if file is None:
        raise click.UsageError("--watch needs a configuration file, and there is none")
    return Watch(file)


def settings_or_exit(config_path: str | None, *, mock: bool = False) -> Settings:
    """Load the configuration; print every problem and exit 1 where there is one."""
    from proxy.config.problems import ConfigProblems

    try:
        return _read(config_path, mock=mock)
    except ConfigProblems as problems:
        click.echo(str(problems), err=True)
        sys.exit(1)


def _read(config_path: str | None, *, mock: bool) -> Settings:
    from proxy.config.discover import find_config
    from proxy.config.load import load

    return load(find_config(config_path, os.environ), os.environ, mock=mock).settings


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run` on uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def _run(settings: Settings, source: Source, watched: Watch | None) -> int:
    from proxy.app import Daemon
    from proxy.changes import Reloader
    from proxy.listeners import StartError
    from proxy.observe.notify import Notifier, keep_telling
    from proxy.observe.sockets import NotAListener, inherited_sockets

    notifier = Notifier(os.environ)
    stopping = asyncio.Event()
    try:
        daemon = Daemon(settings, inherited_sockets(os.environ))
        reloader = daemon.reload_now = Reloader(source, daemon, notifier)
        _listen_to_signals(daemon, stopping, reloader.quietly)
        if not await _started(daemon, stopping):
            return 0
    except (StartError, NotAListener) as error:
        click.echo(f"tollkeeper: {error}", err=True)
        return 1
    keyed = msgspec.structs.replace(daemon.settings, callers=daemon.keys.each)
    for line in start_lines(keyed, daemon.url, daemon.admin_url, is_open=daemon.keys.is_open):
        click.echo(line)
    sys.stdout.flush()
    # what start-up made stays for good: keep the collector from walking it with every call's garbage
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    # the ledger's thread is to give the interpreter back to the calls at once, not after its usual 5 ms
    sys.setswitchinterval(SWITCH_SECONDS)
    notifier.ready(daemon.status())
    beside = [asyncio.create_task(keep_telling(notifier, daemon.status), name="tell systemd")]
    if watched is not None:
        beside.append(asyncio.create_task(watched.run(reloader.quietly), name="watch the configuration"))
    await stopping.wait()
    notifier.stopping(daemon.status())
    notifier.extend_timeout(daemon.settings.drain + STOP_SECONDS)
    await daemon.stop()
    for task in beside:
        task.cancel()
    return 0


async def _started(daemon: Daemon, stopping: asyncio.Event) -> bool:
    """Start; False when a signal came first, and what was open is closed again. Raises `StartError`."""
    starting = asyncio.ensure_future(daemon.start())
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
        return True
    await daemon.stop()
    return False


def _listen_to_signals(
    daemon: Daemon, stopping: asyncio.Event, reload: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """SIGTERM and Ctrl-C end the daemon in order, the second one at once; SIGHUP reads the configuration again."""

    def stop() -> None:
        if stopping.is_set():
            daemon.cut_short()
        stopping.set()
        daemon.stop_accepting()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        if stopping.is_set():
            return
        task = loop.create_task(reload(), name="reload")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)


def start_lines(settings: Settings, url: str, admin_url: str, *, is_open: bool = True) -> list[str]:
    """What was decided at start: where from, which names go where, who may ask, how to try it."""
    lines = [f"Configuration: {settings.source or 'none; providers from the environment'}"]
    lines += [f"Warning: {warning}" for warning in settings.warnings]
    for provider in settings.providers.values():
        where = provider.base_url or "built in"
        lines.append(f"Provider {provider.name} ({provider.kind}): {where}; {provider.key_source}")
    keys = ", ".join(caller.name for caller in settings.callers)
    nobody = "Keys: none; open to everybody on this machine" if is_open else "Keys: none left; nobody may call"
    lines.append(f"Keys: {keys}" if keys else nobody)
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
