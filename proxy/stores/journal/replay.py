"""What the journal says at start: what was spent behind the ledger's position, and which holds are still open.

Holds are looked for in every segment there is, spending only behind the ledger's position. A
segment goes only after the holds still open in it were copied forward (`Journal.forget`), so
the segments there are hold every open one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from proxy.stores.journal.records import Adjusted, Begun, Charge, Corrected, Hold, Record, Settled, Voided
from proxy.stores.journal.segments import START, Position, Problem, Reader, Tail


class OpenHold(Struct, frozen=True):
    """A hold without an end; `generation_id` where the upstream had begun (`background`: on a response it goes on with
    by itself); `segment` has its latest copy."""

    hold: Hold
    generation_id: str | None
    segment: int
    background: bool = False


class Replayed(Struct, frozen=True):
    """`spent` is to be added to what the ledger has. `end` and `tail` say how the last segment ends."""

    after: Position
    spent: dict[Charge, int]
    holds: tuple[OpenHold, ...]
    problems: tuple[Problem, ...]
    end: Position
    tail: Tail


def replay(directory: Path, after: Position = START) -> Replayed:
    """Read the whole journal once; `after` is the ledger's position. Never raises for what it reads.

    A record counts however odd its company is: an end without its hold, a hold twice, what began and
    was never held. What cannot be read is a problem; its hold stays open, and is charged in the end.
    """
    spent: dict[Charge, int] = {}
    holds: dict[str, OpenHold] = {}
    counted: set[str] = set()
    reader = Reader(directory)
    for position, record in reader:
        is_first = _is_first(counted, record)
        if is_first and position > after:
            _count(spent, record)
        _follow(holds, counted, record, position.segment)
    end, tail = (reader.last.position, reader.last.tail) if reader.last else (START, "")
    return Replayed(after, spent, tuple(holds.values()), tuple(reader.problems), end, tail)


def added_spending(records: Iterable[Record]) -> dict[Charge, int]:
    """What these records add to the periods of budgets, each id once."""
    spent: dict[Charge, int] = {}
    counted: set[str] = set()
    for record in records:
        if _is_first(counted, record):
            _count(spent, record)
    return spent


def _is_first(counted: set[str], record: Record) -> bool:
    """Whether this is the first end of its attempt, or a correction not seen before; the ledger takes no second one."""
    match record:
        case Settled() | Voided():
            identity = record.row.id
        case Corrected():
            identity = f"{record.row.id} corrected"
        case Adjusted():
            identity = record.id
        case _:
            return False
    is_first = identity not in counted
    counted.add(identity)
    return is_first


def _follow(holds: dict[str, OpenHold], ended: set[str], record: Record, segment: int) -> None:
    match record:
        case Hold() if record.id not in ended:
            known = holds.get(record.id)  # written again: it has grown, or its segment goes
            begun = (None, False) if known is None else (known.generation_id, known.background)
            holds[record.id] = OpenHold(record, begun[0], segment, begun[1])
        case Begun() if record.id in holds:
            holds[record.id] = OpenHold(holds[record.id].hold, record.generation_id, segment, record.background)
        case Settled() | Voided():
            holds.pop(record.row.id, None)


def _count(spent: dict[Charge, int], record: Record) -> None:
    """Add what the record spent, as the ledger will."""
    match record:
        case Settled():
            for charge in record.charges:
                spent[charge] = spent.get(charge, 0) + record.row.cost_pusd
        case Corrected():
            for charge in record.charges:
                spent[charge] = spent.get(charge, 0) + record.delta_pusd
        case Adjusted():
            charge = record.budget, record.period
            spent[charge] = spent.get(charge, 0) + record.delta_pusd
