"""`tollkeeper serve`: run the daemon in the foreground."""

from __future__ import annotations

import atexit
import gc
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxy.cli.chosen import Chosen
    from proxy.config.stored import Layers
    from proxy.policy.values import Settings
    from proxy.reloading import Source
    from proxy.watching import Watch


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
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # keys would be in it
    gc.disable()  # nothing a start makes is garbage; looking for some would take a tenth of its time
    from proxy.cli.chosen import Chosen
    from proxy.cli.home import readable_file, refuse_to_serve

    chosen = Chosen(**options)
    watched = _watched(chosen.config_path) if watches else None
    file = readable_file(chosen.config_path)
    settings, layers = _read(chosen)
    refuse_to_serve(settings.state_dir, file)
    if not settings.providers:
        _explain_no_provider()
    from proxy.cli.running import run_async, run_daemon
    from proxy.observe.logs import set_up
    from proxy.observe.sink import LineSink
    from proxy.web.client.gate import allow_descriptors

    allow_descriptors()
    sink = LineSink(sys.stderr.fileno())
    atexit.register(sink.close)
    set_up(settings.log_level, settings.log_format, sink)
    code = run_async(run_daemon((settings, layers), _source(chosen), watched))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # everything is closed; one more signal changes nothing
    sys.exit(code)


def _read(chosen: Chosen) -> tuple[Settings, Layers]:
    """The configuration, read by a copy of this process, for what reads it is large and seldom wanted again. Ends the
    command where it has problems."""
    from proxy.cli.apart import Apart
    from proxy.cli.home import end_with
    from proxy.cli.lean_imports import import_lean
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


def _explain_no_provider() -> None:
    click.echo(
        "tollkeeper: no provider is configured and no key is in the environment.\n"
        "Set OPENROUTER_API_KEY (or OPENAI_API_KEY, ANTHROPIC_API_KEY), write a configuration with "
        "`tollkeeper init`,\nor try it without any key: `tollkeeper serve --mock`.",
        err=True,
    )
    sys.exit(1)
