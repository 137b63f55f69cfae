"""How well models judge: replies of which is known whether they keep to the rubric, asked of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import click
import msgspec
from msgspec import Struct

from proxy.cli.tables import Table, print_table
from proxy.policy.money.amounts import dollars
from proxy.policy.quality.judging import Scene, keeps_to_it, question


class Labelled(Struct, forbid_unknown_fields=True):
    """A line of the file: a reply, whether it keeps to the rubric, and what it was given to."""

    reply: str
    keeps: bool
    system: str = ""
    asked: str = ""


class Score(Struct):
    """Of one model: what it said of replies that keep to the rubric and of those that do not."""

    right: int = 0
    missed: int = 0
    false_alarms: int = 0
    unreadable: int = 0
    cost_usd: Decimal = Decimal(0)

    def add(self, cell: dict[str, Any], *, keeps: bool) -> None:
        """One answer."""
        found = None if cell["error"] else keeps_to_it(cell["text"])
        self.right += found is keeps
        self.missed += found is True and not keeps
        self.false_alarms += found is False and keeps
        self.unreadable += found is None
        self.cost_usd += Decimal(cell["cost_usd"] or 0)


def read_labelled(lines: Iterable[str]) -> list[Labelled]:
    """Read the file. Raises `ClickException` naming the first line that is none."""
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=Labelled))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wanted = '{"reply": "…", "keeps": true or false}'
            raise click.ClickException(f"line {number} is not {wanted} with `system` and `asked`: {error}") from None
    if not found:
        raise click.ClickException("the file has no labelled reply")
    return found


def calibrate(
    labelled: list[Labelled], models: list[str], rubric: str, asked: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Score]:
    """Ask every model about every reply; `asked` makes a comparison."""
    scores = {name: Score() for name in models}
    for one in labelled:
        body = {"models": models, **question(rubric, Scene(one.system, one.asked), one.reply)}
        result = asked(body)
        for cell in result["cells"]:
            scores[result["models"][cell["column"]]].add(cell, keeps=one.keeps)
    return scores


def print_scores(scores: dict[str, Score], labelled: list[Labelled]) -> None:
    """As a table."""
    broken = sum(not one.keeps for one in labelled)
    columns = [("Judge", False), *((name, True) for name in ("Right", "Missed", "False alarms", "Unreadable", "Cost"))]
    rows = [
        [
            name,
            f"{score.right} of {len(labelled)}",
            f"{score.missed} of {broken}",
            f"{score.false_alarms} of {len(labelled) - broken}",
            str(score.unreadable),
            dollars(str(score.cost_usd)),
        ]
        for name, score in scores.items()
    ]
    print_table(Table(columns, rows))
