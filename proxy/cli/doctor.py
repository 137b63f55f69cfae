"""`tollkeeper doctor`: everything that can be wrong around an installation, one line a check."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from proxy.doctor.check import Check

_WIDEST, _NARROW = 100, 60
_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}
_NAME_COLUMN = 8


@click.command("doctor")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--offline", is_flag=True, help="Ask no provider.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(config_path: str | None, offline: bool, as_json: bool) -> None:
    """Look at everything that can be wrong, whether a daemon runs or not; exit status 1 if something is.

    Nothing is changed, and nothing is asked of a provider that costs money.
    """
    import msgspec

    from proxy.cli.home import readable_file, refuse_strangers
    from proxy.doctor.check import is_well
    from proxy.doctor.visit import visit

    file = readable_file(config_path)
    refuse_strangers(file)
    checks = visit(file, os.environ, offline=offline)
    if as_json:
        rows = [msgspec.structs.asdict(check) for check in checks]
        click.echo(json.dumps({"ok": is_well(checks), "checks": rows}, indent=1))
    else:
        _print(checks)
    sys.exit(0 if is_well(checks) else 1)


def _print(checks: Sequence[Check]) -> None:
    """Group by group; colours on a terminal only, and not where NO_COLOR is set."""
    from rich.console import Console
    from rich.text import Text

    from proxy.cli.tables import terminal_width, visible

    width = min(_WIDEST, terminal_width())
    console = Console(file=sys.stdout, width=width, highlight=False, soft_wrap=True)
    column = max(len(check.name) for check in checks) + 2
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            console.print(Text(group, style="bold"))
        indent = _NAME_COLUMN + column if width >= _NARROW else _NAME_COLUMN
        lines = _wrapped(visible(check.found), width - indent)
        lines = lines if width >= _NARROW else ["", *lines]  # below the name
        name = f"{check.name:<{column}}{lines[0]}".rstrip()
        console.print(Text.assemble("  ", (check.status, _STYLES[check.status]), f"  {name}"))
        more = lines[1:] + ([] if check.next is None else _wrapped(f"next: {visible(check.next)}", width - indent))
        for line in more:
            console.print(Text(" " * indent + line))
    counts = Counter(check.status for check in checks)
    console.print(Text(f"\n{counts['fail']} failed, {counts['warn']} warned, {counts['pass']} passed"))


def _wrapped(text: str, width: int) -> list[str]:
    """Words stay whole: a path or a command is there to be copied."""
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]
