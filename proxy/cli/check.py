"""`tollkeeper check`: say everything that is wrong with a configuration, or that nothing is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from msgspec import structs
from msgspec.structs import asdict

from proxy.cli import filled
from proxy.cli.home import config_file
from proxy.cli.start_lines import environment_lines
from proxy.config.problems import ConfigProblems

if TYPE_CHECKING:
    from proxy.policy.values import Settings

ENVIRONMENT = "environment"


@click.command("check")
@click.argument("file", required=False, type=click.Path(), callback=filled)
@click.option("--config", "config", metavar="FILE", help="The same as the argument FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: str | None, config: str | None, as_json: bool) -> None:
    """Check a configuration: every problem as file:line:col, exit status 1 if there is any.

    Without FILE the usual places are searched; with no file at all the environment decides.
    """
    if file and config:
        raise click.UsageError("give the file once: as FILE or as --config FILE")
    path = config_file(file or config)
    from proxy.cli.lean_imports import import_config_lean

    import_config_lean()
    from proxy.cli.loose_names import loose_names
    from proxy.config.load import load

    try:
        settings = load(path, os.environ).settings
    except ConfigProblems as problems:
        _refuse(problems, path, as_json)
    name = ENVIRONMENT if path is None else str(path)
    settings = structs.replace(settings, warnings=(*settings.warnings, *loose_names(settings)))
    click.echo(json.dumps(_report(name, settings), indent=2) if as_json else _summary(name, settings))


def _refuse(problems: ConfigProblems, path: Path | None, as_json: bool) -> NoReturn:
    if as_json:
        rows = [
            {name: getattr(problem, name) for name in ("file", "line", "column", "path", "sentence")}
            for problem in problems.problems
        ]
        click.echo(json.dumps({"file": str(path or ENVIRONMENT), "ok": False, "problems": rows}, indent=2))
    else:
        click.echo(str(problems))
    raise SystemExit(1)


def _report(name: str, settings: Settings) -> dict[str, object]:
    return {
        "file": name,
        "ok": True,
        "problems": [],
        "providers": list(settings.providers),
        "models": list(settings.aliases),
        "keys": [caller.name for caller in settings.callers],
        "environment": [asdict(one) for one in settings.environment],
        "unused": list(settings.unused),
        "alerts": [hook.host for hook in settings.alerts],
        "warnings": list(settings.warnings),
    }


def _summary(name: str, settings: Settings) -> str:
    keys = ", ".join(caller.name for caller in settings.callers)
    lines = [
        f"{name}: ok",
        f"  providers: {', '.join(settings.providers) or 'none'}",
        f"  models: {', '.join(settings.aliases) or 'no names of your own'}",
        f"  keys: {keys or 'none; everybody on this machine may call'}",
    ]
    lines += [f"  {line[0].lower()}{line[1:]}" for line in environment_lines(settings)]
    if settings.alerts:
        lines.append(f"  alerts: to {', '.join(hook.host for hook in settings.alerts)}")
    return "\n".join(lines + [f"warning: {warning}" for warning in settings.warnings])
