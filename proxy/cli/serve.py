"""`tollkeeper serve`: run the daemon in the foreground."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from proxy.cli.apart import Apart
from proxy.cli.chosen import Chosen
from proxy.cli.lean_imports import import_lean
from proxy.policy.values import Settings

if TYPE_CHECKING:
    from proxy.app import Daemon
    from proxy.config.stored import Layers
    from proxy.reloading import Source
    from proxy.stores.vault import Vault
    from proxy.watching import Watch

SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (50_000, 20, 50)  # a call makes hardly any cycles
MOST_NAMES = 20  # of keys, in the line that names them
_NAMES_OF = {
    "openai": "OpenAI's (gpt-4o, openai/gpt-4o) go",
    "anthropic": "Anthropic's (claude-sonnet-4-5, anthropic/claude-sonnet-4.5)",
}
STOP_SECONDS = 10.0  # what stopping may take beyond the drain window


@click.command()
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--mock", is_flag=True, help="Serve the built-in mock provider only; no key, no network.")
@click.option("--host", metavar="ADDRESS", help="The data port's address, in the place of listen.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="The data port, in the place of listen.port; 0 is any.")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="The admin port, in the place of admin.port.")
@click.option("--watch", "watches", is_flag=True, help="Read the configuration again whenever its file changes.")
def serve(watches: bool, **options: Any) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    # until there is something to close; an exception out of a handler is turned into another one by some C callers
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    gc.disable()  # nothing a start makes is garbage; looking for some would take a tenth of its time
    from proxy.cli.home import readable_file, refuse_to_serve

    chosen = Chosen(**options)
    watched = _watched(chosen.config_path) if watches else None
    file = readable_file(chosen.config_path)
    settings, layers = _read(chosen)
    refuse_to_serve(settings.state_dir, file)
    if not settings.providers:
        _explain_no_provider()
    from proxy.observe.logs import set_up
    from proxy.observe.sink import LineSink
    from proxy.web.client.gate import allow_descriptors

    allow_descriptors()
    sink = LineSink(sys.stderr.fileno())
    atexit.register(sink.close)
    set_up(settings.log_level, settings.log_format, sink)
    code = run_async(_run((settings, layers), _source(chosen), watched))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # everything is closed; one more signal changes nothing
    sys.exit(code)


def _read(chosen: Chosen) -> tuple[Settings, Layers]:
    """The configuration, read by a copy of this process, for what reads it is large and seldom wanted again. Ends the
    command where it has problems."""
    from proxy.cli.home import end_with
    from proxy.config import checks  # noqa: F401 - what both need is imported once
    from proxy.config.problems import ConfigProblems
    from proxy.config.terms import remember
    from proxy.stores import effective, keyset  # noqa: F401

    begun = Apart(chosen.read)
    import_lean()  # meanwhile, as what reads it needs none of that
    import proxy.app  # noqa: F401

    read = begun.result()
    if isinstance(read, ConfigProblems):
        end_with(read)
    settings, layers, terms = read
    remember(terms)
    return settings, layers


def _source(chosen: Chosen) -> Source:
    from proxy.config.discover import find_config
    from proxy.reloading import Source
    from proxy.watching import left_alone

    return Source(lambda: left_alone(find_config(chosen.config_path, os.environ)), chosen.read_again)


def _watched(config_path: str | None) -> Watch:
    from proxy.cli.home import config_file
    from proxy.watching import Watch

    file = config_file(config_path)
    if file is None:
        raise click.UsageError("--watch needs a configuration file, and there is none")
    return Watch(file)


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run` on uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def _run(read: tuple[Settings, Layers], source: Source, watched: Watch | None) -> int:
    from proxy.app import Daemon
    from proxy.listeners import StartError
    from proxy.observe.notify import Notifier, keep_telling
    from proxy.observe.sockets import NotAListener, inherited_sockets
    from proxy.reloading import Reloader
    from proxy.stores.vault import open_vault

    settings, layers = read
    vault = open_vault(Path(settings.state_dir), Path(settings.master_key_file), os.environ)
    notifier = Notifier(os.environ)
    stopping = asyncio.Event()
    try:
        daemon = Daemon(settings, inherited_sockets(os.environ))
        reloader = daemon.reload_now = Reloader(source, daemon, notifier, (layers, vault))
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
    _serve_quickly()
    notifier.ready(daemon.status())
    beside = [asyncio.create_task(keep_telling(notifier, daemon.status), name="tell systemd")]
    if watched is not None:
        beside.append(asyncio.create_task(watched.run(reloader.quietly), name="watch the configuration"))
    await reloader.with_vault(_with_master_key)
    await stopping.wait()
    notifier.stopping(daemon.status())
    notifier.extend_timeout(daemon.settings.drain + STOP_SECONDS)
    await daemon.stop()
    for task in beside:
        task.cancel()
    return 0


def _serve_quickly() -> None:
    # what start-up made stays for good: keep the collector from walking it with every call's garbage
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    # the ledger's thread is to give the interpreter back to the calls at once, not after its usual 5 ms
    sys.setswitchinterval(SWITCH_SECONDS)


async def _with_master_key(vault: Vault) -> None:
    """The first one, so that it can be copied before anything hangs on it; where it cannot be made, the first secret that
    is to be stored says why."""
    from proxy.stores.master_keys import MasterKeysUnusable

    if vault.is_read:
        with contextlib.suppress(MasterKeysUnusable):
            await asyncio.to_thread(vault.sealer.begin, time.time())


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
    lines += _names_lines(settings) + environment_lines(settings)
    keys = _some([caller.name for caller in settings.callers])
    nobody = "Keys: none; open to everybody on this machine" if is_open else "Keys: none left; nobody may call"
    lines.append(f"Keys: {keys}" if keys else nobody)
    lines += [f"Admin on {admin_url}", f"Listening on {url}"]
    if all(provider.kind == "mock" for provider in settings.providers.values()) and not url.startswith("unix:"):
        lines += _snippets(url, is_open=is_open)
    return lines


def _names_lines(settings: Settings) -> list[str]:
    """Which models' names go where, in a line, where the environment made the providers."""
    providers = [provider for provider in settings.providers.values() if provider.kind != "mock"]
    if not providers or settings.routes or "providers" in settings.written:
        return []
    own = [f"{_NAMES_OF[each.kind]} to {each.name}" for each in providers if each.kind in _NAMES_OF]
    through = next((each.name for each in providers if each.kind == "openrouter"), None)
    if through is None:
        return [f"Names: {'; '.join(own)}" if len(own) > 1 else f"Names: all go to {providers[0].name}"]
    unasked = [each.name for each in providers if each.name != through]
    unless = f"; none to {' or '.join(unasked)} without an entry under routes: that sends it there" if unasked else ""
    return [f"Names: all go to {through} (openai/gpt-4o, gpt-4o, claude-sonnet-4-5 and so on){unless}"]


def _some(names: list[str]) -> str:
    """The first of them, and how many there are besides."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:MOST_NAMES])} and {rest:,} more"


def environment_lines(settings: Settings) -> list[str]:
    """What variables say beside the file, a line each, and which of them say nothing after all."""
    told = [f"Setting {one.setting}: {one.value}; environment variable {one.variable}" for one in settings.environment]
    return told + [f"Not used: {sentence}" for sentence in settings.unused]


def _snippets(url: str, *, is_open: bool) -> list[str]:
    """What works as it stands, in another terminal; a key is read from the environment."""
    model, key = "mock/echo", '"anything"' if is_open else 'os.environ["TOLLKEEPER_KEY"]'
    header = "" if is_open else ' -H "Authorization: Bearer $TOLLKEEPER_KEY"'
    return [
        "",
        "No provider key was found or wanted: the built-in mock answers, free and offline. Try it:",
        "",
        *([] if is_open else ["  export TOLLKEEPER_KEY=…      # a key; `tollkeeper keys create NAME` makes one", ""]),
        f"  curl {url}/chat/completions -H 'Content-Type: application/json'{header} \\",
        f'    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
        "",
        f"  {'' if is_open else 'import os; '}from openai import OpenAI",
        f'  client = OpenAI(base_url="{url}", api_key={key})',
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
