"""`tollkeeper usage`: calls, tokens and cost by day, month, model, key, provider, tenant or session, or several of them."""

from __future__ import annotations

import csv
import json
import sys
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import click

from proxy.cli.client import ask
from proxy.cli.completing import key_names, model_names, tenant_names
from proxy.cli.home import Home, home_or_exit
from proxy.cli.tables import NARROW, Table, in_units, on_one_line, print_table, say, terminal_width, unit_of
from proxy.policy.money.amounts import dollars
from proxy.web.operator.cells import harmless, sources_text
from proxy.web.operator.timestamps import moment_ms

_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_DIMENSIONS = ("day", "month", "model", "key", "provider", "tenant", "session", "flag")
_FILTERS = ("key", "model", "provider", "tenant", "session")
_FIELDS = ("calls", *_TOKENS, "cost_usd", "cached_calls", "saved_usd")


class _Usage(click.Command):
    """Says of a bare `month` that it goes behind --by."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = set(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            bare = next((name for name in _DIMENSIONS if name in given and f"({name}" in error.message), None)
            if bare is None:
                raise
            raise click.UsageError(f"{error.message} (did you mean --by {bare}?)", ctx) from None


@click.command("usage", cls=_Usage)
@click.option("--by", type=click.Choice(_DIMENSIONS), multiple=True,
              help="What a row stands for; may be repeated. Default: day.")  # fmt: skip
@click.option("--key", metavar="NAME", shell_complete=key_names, help="Only of this key, or of a pattern: 'ci-*'.")
@click.option("--model", metavar="NAME", shell_complete=model_names, help="The same for the model: 'openai/*'.")
@click.option("--provider", metavar="NAME", help="The same for the provider.")
@click.option("--session", metavar="ID", help="The same for the session of a coding agent.")
@click.option("--tenant", metavar="NAME", shell_complete=tenant_names, help="The same for the tenant.")
@click.option("--since", metavar="DATE", help="From this day or moment on. Default: everything.")
@click.option("--until", metavar="DATE", help="Up to the end of this day, or to this moment.")
@click.option("--tz", metavar="ZONE", help="The zone of days, such as Europe/Berlin. Default: the machine's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, a heading and no total.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def usage(**options: Any) -> None:
    """What was used and what it cost. DATE is 2026-11-21, 2026-11-21T08:00, today, yesterday, or 7d (ago)."""
    if options["as_json"] and options["as_csv"]:
        raise click.UsageError("--json and --csv exclude each other")
    home = home_or_exit(options["config_path"])
    zone = _zone(options["tz"]) if options["tz"] else home.zone
    params = {
        "by": options["by"] or ["day"],
        "since_ms": given_moment_ms(options["since"], zone, "--since", is_end=False),
        "until_ms": given_moment_ms(options["until"], zone, "--until", is_end=True),
        "tz": options["tz"],
        **{name: options[name] for name in _FILTERS},
    }
    _refuse_backwards(params)
    report = ask(home, "usage", params)
    if options["as_json"]:
        click.echo(json.dumps(report, indent=1))
    elif options["as_csv"]:
        _write_csv(report)
    elif report["rows"]:
        _print(report)
    else:
        say(f"No calls{_filtered(home, params)} in this time.")


def _refuse_backwards(params: dict[str, Any]) -> None:
    since, until = params["since_ms"], params["until_ms"]
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is before --since: nothing lies between them")


def _filtered(home: Home, params: dict[str, Any]) -> str:
    """What the calls were asked to be of, each with the near name that has calls where it was mistyped."""
    from proxy.config.problems import suggestion

    said = []
    for name in _FILTERS:
        if wanted := params[name]:
            known = {row[name] or "" for row in ask(home, "usage", {"by": [name]})["rows"]}
            said.append(f"{name} {wanted}{'' if wanted in known or '*' in wanted else suggestion(wanted, known)}")
    return f" of {' and '.join(said)}" if said else ""


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise click.BadParameter("must be a time zone such as Europe/Berlin", param_hint="--tz") from None


def given_moment_ms(text: str | None, zone: tzinfo, option: str, *, is_end: bool) -> int | None:
    """A moment somebody gave for an option, UTC epoch milliseconds; what cannot be read ends the command."""
    try:
        return None if text is None else moment_ms(text, zone, is_end=is_end)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _print(report: dict[str, Any]) -> None:
    """The table; below 100 columns the kinds of tokens that are parts of others are left out."""
    by = _dimensions(report)
    shown = _TOKENS if terminal_width() >= NARROW else _TOKENS[:2]
    headings = {"input_tokens": "Input", "output_tokens": "Output", "cached_input_tokens": "Cached"}
    columns = [*((name.capitalize(), False) for name in by), ("Calls", True)]
    columns += [(headings.get(name, "Reasoning"), True) for name in shown]
    columns += [("Cost (USD)", True)]
    rows = [_cells(row, [on_one_line(row[name] or "-") for name in by], shown) for row in report["rows"]]
    total = _cells(report["total"], ["Total", *([""] * (len(by) - 1))], shown)
    if report["total"]["cached_calls"]:  # many have no cache
        columns += [("Cached calls", True), ("Saved (USD)", True)]
        for cells, row in zip([*rows, total], [*report["rows"], report["total"]], strict=True):
            cells += [f"{row['cached_calls']:,}", dollars(row["saved_usd"])]
    if unit := unit_of(report["rows"], "cost"):
        columns.append((f"Cost ({unit})", True))
        for cells, row in zip([*rows, total], [*report["rows"], report["total"]], strict=True):
            cells.append(in_units(row[f"cost_{unit}"]))
    print_table(Table(columns, rows, total))


def _dimensions(report: dict[str, Any]) -> list[str]:
    by = report["by"]
    return [by] if isinstance(by, str) else by


def _cells(row: dict[str, Any], names: list[str], shown: tuple[str, ...]) -> list[str]:
    return [*names, f"{row['calls']:,}", *(f"{row[kind]:,}" for kind in shown), dollars(row["cost_usd"])]


def _write_csv(report: dict[str, Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    by = _dimensions(report)
    unit = unit_of([report["total"]], "cost")
    at = _FIELDS.index("cost_usd") + 1
    fields = [*_FIELDS[:at], "sources", *_FIELDS[at:], *([f"cost_{unit}", f"saved_{unit}"] if unit else [])]
    writer.writerow([*by, *fields])
    for row in report["rows"]:
        shown = {**row, "sources": sources_text(row["sources"])}
        writer.writerow([*(harmless(row[name]) for name in by), *(shown[name] for name in fields)])
