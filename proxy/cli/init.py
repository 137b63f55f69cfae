"""`tollkeeper init`: write a configuration to start from."""

from __future__ import annotations

import json
import os
import re
import secrets
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli import filled
from proxy.cli.home import end_with
from proxy.config.discover import user_config
from proxy.config.problems import ConfigProblems

if TYPE_CHECKING:
    from proxy.config.environment import Said


@click.command("init")
@click.argument("path", required=False, type=click.Path(), callback=filled)
@click.option("--force", is_flag=True, help="Replace a file that is already there.")
def init(path: str | None, force: bool) -> None:
    """Write a commented configuration, readable by you alone, with what the environment says: keys as variables.

    PATH defaults to the place where every command looks first: ~/.config/tollkeeper/config.yaml.
    """
    from proxy.cli.lean_imports import import_config_lean

    import_config_lean()
    from proxy.config.environment import read_environment
    from proxy.config.load import load

    usual, said = user_config(os.environ), read_environment(os.environ)
    try:
        load(None, os.environ)
    except ConfigProblems as problems:
        end_with(problems)
    target = Path(path) if path else usual
    try:
        write_private(
            target, starter(resources.files("proxy.config").joinpath("starter.yaml").read_text(), said), force
        )
    except FileExistsError:
        raise click.ClickException(f"{target} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    option = "" if target.absolute() == usual.absolute() else f" --config {target}"
    click.echo(f"wrote {target}")
    for kind, variable in said.keys.items():
        click.echo(f"provider {kind}, whose key the daemon reads from {variable}")
    for one in said.told:
        click.echo(f"{one.setting}: {one.value}, as {one.variable} says")
    if not said.keys:
        click.echo("next: export OPENROUTER_API_KEY=…   (from https://openrouter.ai/keys)")
    click.echo(f"then: tollkeeper check{option}")
    click.echo(f"      tollkeeper serve{option}")


def starter(text: str, said: Said) -> str:
    """The starter's text with the blocks of the providers that have a key, and no others; with OpenRouter's where none
    has. What else the environment says stands in the place of the comment about it."""
    from proxy.presets import PRESETS

    for preset in PRESETS.values():
        block = re.search(rf"^  (?:# )?{preset.kind}:\n(?:  (?:# )?  .*\n)+", text, re.MULTILINE)
        if block is None or not said.keys:
            continue
        lines = [line[4:] if line.startswith("  # ") else line[2:] for line in block[0].splitlines()]
        mark = "  " if preset.kind in said.keys else "  # "
        new = "".join(f"{mark}{line}\n" for line in lines)
        new = new.replace(
            "${" + preset.variables[0] + "}", "${" + said.keys.get(preset.kind, preset.variables[0]) + "}"
        )
        text = text.replace(block[0], new)
    for name, value in _written(said).items():
        line = rf"\g<1>{name}: " + value.replace("\\", r"\\")
        text = re.sub(rf"^( *)# {name}: .*$", line, text, count=1, flags=re.MULTILINE)
    return text


def _written(said: Said) -> dict[str, str]:
    """What the environment says, by the name of the line it goes to, as YAML; keys have lines of their own."""
    lines: dict[str, dict[str, str]] = {}
    plain: dict[str, str] = {}
    for path, (_, value) in said.values.items():
        *around, name = map(str, path)
        within = [(at[-1], variable) for at, variable in said.secrets.items() if at[: len(path)] == path != at]
        shown = json.dumps(value, ensure_ascii=False).replace("${", "$${")
        if within:
            plain[name] = "[{" + ", ".join(f'{member}: "${{{variable}}}"' for member, variable in within) + "}]"
        elif around and path not in said.secrets:
            lines.setdefault(around[-1], {})[name] = shown
        elif not around:
            plain[name] = shown
    mappings = {of: ", ".join(f"{name}: {shown}" for name, shown in members.items()) for of, members in lines.items()}
    return {**plain, **{of: f"{{{members}}}" for of, members in mappings.items()}}


def write_private(target: Path, content: str, force: bool) -> None:
    """Create `target` with mode 0600; replacing goes through a new file, so that the old one is never half gone."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
