"""`tollkeeper completion`: what makes a shell complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_TOLLKEEPER_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete `tollkeeper`; its start-up file is to read it."""
    from proxy.cli import main

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(main, {}, "tollkeeper", _VARIABLE).source())
