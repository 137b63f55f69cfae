"""`tollkeeper tail`: each call as it ends, a line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

import click
import msgspec
from msgspec import Struct

from proxy.cli.client import ask, follow
from proxy.cli.home import Home, home_or_exit
from proxy.cli.screen.columns import Printer, beside, lay_out
from proxy.cli.screen.entries import COLUMNS, UNIT_FROM, cells, is_failure
from proxy.cli.tables import unit_of
from proxy.exchange.entry import Entry


class Wanted(Struct, frozen=True):
    """Which calls are shown: those that are as every field here says."""

    key: str | None = None
    model: str | None = None
    provider: str | None = None
    errors: bool = False
    slow: float = 0.0
    min_cost: Decimal = Decimal(0)

    def has(self, entry: Entry) -> bool:
        """Whether a call is one of them."""
        if self.errors and not is_failure(entry):
            return False
        if entry.total_seconds < self.slow or Decimal(entry.cost_usd or 0) < self.min_cost:
            return False
        asked = (
            (self.key, (entry.key,)),
            (self.model, (entry.model, entry.target)),
            (self.provider, (entry.provider,)),
        )
        return all(text is None or any(_fits(text, name or "") for name in names) for text, names in asked)


def _fits(text: str, name: str) -> bool:
    """A text with * ? or [ is a pattern for the whole name, any other a part of it; case does not matter."""
    text, name = text.lower(), name.lower()
    return fnmatchcase(name, text) if any(char in text for char in "*?[") else text in name


class _Dollars(click.ParamType[Decimal]):
    """An amount that is not negative."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            usd = Decimal(str(value))
        except InvalidOperation:
            usd = Decimal(-1)
        if not usd.is_finite() or usd < 0:
            self.fail("must be an amount in US dollars such as 0.25", param, ctx)
        return usd


@click.command("tail")
@click.option("-n", "--last", metavar="N", type=click.IntRange(0, 100), default=0,
              help="Begin with the latest N calls that have ended (at most 100); filters apply to them as well.")  # fmt: skip
@click.option(
    "--key", metavar="TEXT", help="Only calls of keys with TEXT in their name, or of a pattern such as 'ci-*'."
)
@click.option("--model", metavar="TEXT", help="The same for the model, as it was sent or as it was taken for.")
@click.option("--provider", metavar="TEXT", help="The same for the provider.")
@click.option("--errors", is_flag=True, help="Only calls that failed or were refused.")
@click.option("--slow", metavar="SECONDS", type=click.FloatRange(0), default=0.0, help="Only calls that took so long.")
@click.option("--min-cost", metavar="USD", type=_Dollars(), default="0", help="Only calls that cost so much.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the fields of the log line.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def tail(**options: Any) -> None:
    """Print each call as it ends, until Ctrl-C. What calls under way do is seen with `tollkeeper top`."""
    home = home_or_exit(options["config_path"])
    wanted = Wanted(**{name: options[name] for name in Wanted.__struct_fields__})
    try:
        lines = follow(home, "tail", {"last": options["last"]})
        if options["as_json"]:
            _print_as_they_are(lines, wanted)
        else:
            _print(lines, wanted, home)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"the daemon is of another version: {error}") from None
    except KeyboardInterrupt:
        return


def _print_as_they_are(lines: Iterator[bytes], wanted: Wanted) -> None:
    decoder = msgspec.json.Decoder(Entry)
    for line in lines:
        if line and wanted.has(decoder.decode(line)):
            click.echo(line)


def _print(lines: Iterator[bytes], wanted: Wanted, home: Home) -> None:
    """A terminal may change its width between two lines."""
    decoder, printer = msgspec.json.Decoder(Entry), Printer()
    next(lines)
    columns = beside(COLUMNS, "Cost", _unit(home), UNIT_FROM)
    if printer.is_terminal:
        printer.say(lay_out(columns, printer.room).headings())
    for line in lines:
        entry = decoder.decode(line) if line else None
        if entry is not None and wanted.has(entry):
            printer.say(lay_out(columns, printer.room).row(cells(entry, home.zone)))


def _unit(home: Home) -> str:
    """The operator's own, as the daemon tells amounts; "" where there is none, or the ledger cannot be used now."""
    try:
        return unit_of([ask(home, "usage", {"by": "key", "since_ms": int(time.time() * 1000)})["total"]], "cost")
    except click.ClickException:
        return ""
