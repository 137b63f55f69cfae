"""`tollkeeper init`: write a configuration to start from."""

from __future__ import annotations

import os
import secrets
from importlib import resources
from pathlib import Path

import click

from proxy.config.discover import user_config


@click.command("init")
@click.argument("path", required=False, type=click.Path())
@click.option("--force", is_flag=True, help="Replace a file that is already there.")
def init(path: str | None, force: bool) -> None:
    """Write a commented configuration, readable by you alone.

    PATH defaults to the place where every command looks first: ~/.config/tollkeeper/config.yaml.
    """
    usual = user_config(os.environ)
    target = Path(path) if path else usual
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(target, resources.files("proxy.config").joinpath("starter.yaml").read_bytes(), force)
    except FileExistsError:
        raise click.ClickException(f"{target} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    option = "" if target.absolute() == usual.absolute() else f" --config {target}"
    click.echo(f"wrote {target}")
    if not os.environ.get("OPENROUTER_API_KEY"):
        click.echo("next: export OPENROUTER_API_KEY=…   (from https://openrouter.ai/keys)")
    click.echo(f"then: tollkeeper check{option}")
    click.echo(f"      tollkeeper serve{option}")


def _write(target: Path, content: bytes, force: bool) -> None:
    """Create `target` with mode 0600; replacing goes through a new file, so that the old one is never half gone."""
    written = target.with_name(f".{target.name}.{secrets.token_hex(4)}") if force else target
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if force:
        _replace(written, target)


def _replace(written: Path, target: Path) -> None:
    try:
        written.replace(target)
    except OSError:
        written.unlink()
        raise
