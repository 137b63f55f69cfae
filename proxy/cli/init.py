"""`tollkeeper init`: write a configuration to start from."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click

from proxy.config.discover import user_config
from proxy.presets import PRESETS


@click.command("init")
@click.argument("path", required=False, type=click.Path())
@click.option("--force", is_flag=True, help="Replace a file that is already there.")
def init(path: str | None, force: bool) -> None:
    """Write a commented configuration, readable by you alone, with the providers whose keys are in the environment.

    PATH defaults to the place where every command looks first: ~/.config/tollkeeper/config.yaml.
    """
    usual, found = user_config(os.environ), _keys_of(os.environ)
    target = Path(path) if path else usual
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(target, starter(resources.files("proxy.config").joinpath("starter.yaml").read_text(), found), force)
    except FileExistsError:
        raise click.ClickException(f"{target} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    option = "" if target.absolute() == usual.absolute() else f" --config {target}"
    click.echo(f"wrote {target}")
    for kind, variable in found.items():
        click.echo(f"provider {kind}, whose key the daemon reads from {variable}")
    if not found:
        click.echo("next: export OPENROUTER_API_KEY=…   (from https://openrouter.ai/keys)")
    click.echo(f"then: tollkeeper check{option}")
    click.echo(f"      tollkeeper serve{option}")


def _keys_of(env: Mapping[str, str]) -> dict[str, str]:
    """The providers whose key is in the environment, and the variable it is in."""
    named = ((preset.kind, name) for preset in PRESETS.values() for name in reversed(preset.variables) if env.get(name))
    return dict(named)


def starter(text: str, found: Mapping[str, str]) -> str:
    """The starter's text with the blocks of these providers, and no others; with OpenRouter's where none is found."""
    for preset in PRESETS.values():
        block = re.search(rf"^  (?:# )?{preset.kind}:\n(?:  (?:# )?  .*\n)+", text, re.MULTILINE)
        if block is None or not found:
            continue
        lines = [line[4:] if line.startswith("  # ") else line[2:] for line in block[0].splitlines()]
        mark = "  " if preset.kind in found else "  # "
        new = "".join(f"{mark}{line}\n" for line in lines)
        new = new.replace("${" + preset.variables[0] + "}", "${" + found.get(preset.kind, preset.variables[0]) + "}")
        text = text.replace(block[0], new)
    return text


def _write(target: Path, content: str, force: bool) -> None:
    """Create `target` with mode 0600; replacing goes through a new file, so that the old one is never half gone."""
    written = target.with_name(f".{target.name}.{secrets.token_hex(4)}") if force else target
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    if force:
        _replace(written, target)


def _replace(written: Path, target: Path) -> None:
    try:
        written.replace(target)
    except OSError:
        written.unlink()
        raise
