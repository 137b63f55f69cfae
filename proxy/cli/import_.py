"""`tollkeeper import`: a configuration of another gateway as one of ours."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli import Suggesting
from proxy.cli.home import end_with
from proxy.cli.init import write_private
from proxy.config.problems import ConfigProblems, number_of

if TYPE_CHECKING:
    from proxy.cli.litellm.moving import Moved

_OUTPUT = "Write there instead of to standard output, readable by you alone; asks before it replaces a file."


@click.group("import", cls=Suggesting)
def import_() -> None:
    """Write our configuration from that of another gateway."""


@import_.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path), help=_OUTPUT)
@click.option("--force", is_flag=True, help="Replace a file that is already there without asking.")
def litellm(file: Path, output: Path | None, force: bool) -> None:
    """Write our configuration from FILE, a config.yaml of LiteLLM's proxy.

    The configuration goes to standard output; what is left out of it, and why, to standard error.
    """
    from proxy.cli.litellm.moving import move  # slow to import
    from proxy.config.locate import read_text

    try:
        moved = move(read_text(file), str(file))
    except ConfigProblems as problems:
        end_with(problems)
    for sentence in moved.report.sentences():
        click.echo(sentence, err=True)
    if not moved.providers:
        raise click.ClickException(f"none of the models of {file} can be moved")
    if output is None:
        click.echo(moved.text, nl=False)
    else:
        _write(output, moved.text, force)
    for sentence in _closing(moved, output):
        click.echo(sentence, err=True)


def _write(output: Path, text: str, force: bool) -> None:
    if output.exists() and not force:
        if not sys.stdin.isatty():
            raise click.ClickException(f"{output} exists already; --force replaces it")
        click.confirm(f"{output} exists already. Replace it?", abort=True, err=True)
        force = True
    try:
        write_private(output, text, force)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None


def _closing(moved: Moved, output: Path | None) -> Iterator[str]:
    """What is there now, what it does not hold, and what to do next."""
    where = f"wrote {output}: " if output else ""
    yield f"{where}{number_of(len(moved.models), 'name')} at {number_of(len(moved.providers), 'provider')}"
    if moved.has_keys:
        yield "keys made with LiteLLM's /key/generate are in its database, not in this file: `tollkeeper keys create NAME` makes new ones"
    else:
        yield "there is no master_key: calls need no key, and come from this machine only"
    for variable in moved.report.to_set():
        yield f"set {variable}"
    if output:
        yield f"then: tollkeeper check {shlex.quote(str(output))}"
