"""The `tollkeeper` command. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import io
import keyword
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from proxy import __version__

_COMMANDS = (
    "serve",
    "init",
    "check",
    "connect",
    "import",
    "demo",
    "models",
    "images",
    "keys",
    "tenants",
    "budgets",
    "settings",
    "secrets",
    "experiments",
    "alerts",
    "admins",
    "dashboard",
    "audit",
    "sessions",
    "webhooks",
    "providers",
    "usage",
    "reconcile",
    "explain",
    "compare",
    "route",
    "simulate",
    "savings",
    "what-if",
    "show",
    "tail",
    "top",
    "reload",
    "backup",
    "mock",
    "health",
    "doctor",
    "completion",
)


# of standard output: commands say of the files they work on which one it is
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE})


_ANY_LENGTH = 1000


class Suggesting(click.Group):
    """Says which command a mistyped one may have been, as click does for options, and what each does in a whole sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click cuts sentences off where the line ends; here they go on in the next one."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_ANY_LENGTH)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a usage error with the near name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from proxy.config.problems import suggestion

            near = suggestion(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{error.message.removesuffix('.')}{near}", ctx) from None


def filled(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An option's value, which must say something: `--models "$UNSET"` would else let a key use every model."""
    if value is not None and not value.strip(" ,"):
        raise click.BadParameter("is empty; leave it out, or is a variable not set?", param=parameter)
    return value


def _as_all(command: click.Command) -> click.Command:
    """With what is so of every command: `--version` works, also below it, and `--config` names a file."""
    if any("--version" in parameter.opts for parameter in command.params):
        return command
    # under a name of its own: an argument of `settings rollback` is called version
    click.version_option(__version__, "--version", "own_version", prog_name="tollkeeper", hidden=True)(command)
    for parameter in command.params:
        if "--config" in parameter.opts:
            parameter.callback = filled
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _as_all(below)
    return command


def _have_standard_streams() -> None:
    """What is opened next must not come in the place of one that was closed: uvloop aborts the process where that is closed,
    and what is printed would go into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


@contextlib.contextmanager
def _without_garbage() -> Iterator[None]:
    """Importing makes none: looking for some would take as long as a tenth of it does."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Lazy(Suggesting):
    """Each command lives in the module of its name."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Where what is printed finds no place, that is a sentence; a reader who has left needs none."""
        _have_standard_streams()
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of few characters gets ? for the others
            sys.stdout.reconfigure(errors="replace")
        try:
            try:
                return super().main(*args, **extra)
            finally:
                sys.stdout.flush()
        except OSError as error:
            if error.errno not in _UNWRITABLE or error.filename is not None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries once more
            if error.errno != errno.EPIPE:
                click.echo(f"tollkeeper: what is printed cannot be written: {error.strerror}", err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        with _without_garbage():
            command = getattr(importlib.import_module(f"proxy.cli.{name}"), name)
        return _as_all(command) if isinstance(command, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tollkeeper")
def main() -> None:
    """A local OpenAI-compatible proxy: real clients unchanged, budgets kept, every call's cost known."""
