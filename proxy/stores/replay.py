"""What the journal says at start: what was spent behind the ledger's position, and which holds are still open.

Holds are looked for in every segment there is, spending only behind the ledger's position. A
segment goes only after the holds still open in it were copied forward (`Journal.forget`), so
the segments there are hold every open one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from proxy.stores.records import Adjusted, Begun, Charge, Hold, Record, Settled, Voided
from proxy.stores.segments import START, Position, Problem, Reader, Tail


class OpenHold(Struct, frozen=True):
    """A hold without an end; `generation_id` where the upstream had begun; `segment` has its latest copy."""

    hold: Hold
    generation_id: str | None
    segment: int


class Replayed(Struct, frozen=True):
    """`spent` is to be added to what the ledger has. `end` and `tail` say how the last segment ends."""

    after: Position
    spent: dict[Charge, int]
    holds: tuple[OpenHold, ...]
    problems: tuple[Problem, ...]
    end: Position
    tail: Tail


def replay(directory: Path, after: Position = START) -> Replayed:
    """Read the whole journal once; `after` is the ledger's position."""
    spent: dict[Charge, int] = {}
    holds: dict[str, OpenHold] = {}
    counted: set[str] = set()
    reader = Reader(directory)
    for position, record in reader:
        _follow(holds, record, position.segment)
        if position > after:
            _count(spent, counted, record)
    end, tail = (reader.last.position, reader.last.tail) if reader.last else (START, "")
    return Replayed(after, spent, tuple(holds.values()), tuple(reader.problems), end, tail)


def added_spending(records: Iterable[Record]) -> dict[Charge, int]:
    """What these records add to the periods of budgets, each id once."""
    spent: dict[Charge, int] = {}
    counted: set[str] = set()
    for record in records:
        _count(spent, counted, record)
    return spent


def _follow(holds: dict[str, OpenHold], record: Record, segment: int) -> None:
    match record:
        case Hold():
            holds[record.id] = OpenHold(record, None, segment)
        case Begun() if record.id in holds:
            holds[record.id] = OpenHold(holds[record.id].hold, record.generation_id, segment)
        case Settled() | Voided():
            holds.pop(record.row.id, None)


def _count(spent: dict[Charge, int], counted: set[str], record: Record) -> None:
    """Add what the record spent, once per id, as the ledger will."""
    charges: tuple[Charge, ...]
    match record:
        case Settled():
            identity, amount, charges = record.row.id, record.row.cost_pusd, record.charges
        case Adjusted():
            identity, amount, charges = record.id, record.delta_pusd, ((record.budget, record.period),)
        case Voided():
            identity, amount, charges = record.row.id, 0, ()
        case _:
            return
    if identity in counted:
        return
    counted.add(identity)
    for charge in charges:
        spent[charge] = spent.get(charge, 0) + amount
