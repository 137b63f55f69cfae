"""The daemon's loop, from its start to its end."""

from __future__ import annotations

import asyncio
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

from proxy.cli.start_lines import start_lines

if TYPE_CHECKING:
    from proxy.app import Daemon
    from proxy.config.stored import Layers
    from proxy.policy.values import Settings
    from proxy.reloading import Source
    from proxy.stores.secrets.vault import Vault
    from proxy.watching import Watch

SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (50_000, 20, 50)  # a call makes hardly any cycles
STOP_SECONDS = 10.0  # what stopping may take beyond the drain window


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run` on uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def run_daemon(read: tuple[Settings, Layers], source: Source, watched: Watch | None) -> int:
    """Serve until a signal ends it; the exit status."""
    from proxy.app import Daemon
    from proxy.listeners import StartError
    from proxy.observe.notify import Notifier, keep_telling
    from proxy.observe.sockets import NotAListener, inherited_sockets
    from proxy.reloading import Reloader
    from proxy.stores.secrets.vault import open_vault

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
    from proxy.stores.secrets.master_keys import MasterKeysUnusable

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
