"""The holds without an end, to be written again when their segment goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from proxy.stores.journal.records import Begun, Hold, Record, Settled, Voided
from proxy.stores.journal.replay import OpenHold
from proxy.stores.journal.segment_writer import framed

_ENDS = frozenset({Settled, Voided})


class OpenHolds:
    """By id: the newest segment the hold stands in, the hold itself, and the record of what its upstream began."""

    def __init__(self, holds: Iterable[OpenHold]) -> None:
        """Start with the holds a replay found."""
        self._open: dict[str, tuple[int, Hold, Begun | None]] = {}
        for opened in holds:
            began = opened.generation_id
            begun = None if began is None else Begun(opened.hold.id, began, opened.background)
            self._open[opened.hold.id] = opened.segment, opened.hold, begun

    def follow(self, records: Sequence[Record], segment: int) -> list[Record]:
        """Take note of records that were written to `segment`; return all but beginnings. Nearly every hold has its end among
        them: the others are few."""
        held = self._open
        others = [record for record in records if type(record) is not Hold]  # `isinstance` takes its time
        has_odd = not _ENDS.issuperset(map(type, others))
        ends = [record for record in others if type(record) in _ENDS] if has_odd else others
        ended = {record.row.id for record in cast(list[Settled | Voided], ends)}
        for hold in [record for record in records if type(record) is Hold and record.id not in ended]:
            known = held.get(hold.id)  # one that has grown is written again
            held[hold.id] = segment, hold, None if known is None else known[2]
        if has_odd:
            for record in others:
                if type(record) is Begun and (known := held.get(record.id)) is not None:
                    held[record.id] = known[0], known[1], record
            others = [record for record in others if type(record) is not Begun]
        for identity in held.keys() & ended:
            del held[identity]
        return others

    def inside(self, numbers: Iterable[int]) -> list[tuple[str, bytes]]:
        """The open holds whose newest copy stands in one of these segments, each with its frames to write again."""
        wanted = set(numbers)
        return [(one, _frames(hold, begun)) for one, (n, hold, begun) in self._open.items() if n in wanted]

    def moved(self, identity: str, segment: int) -> None:
        """The hold was written again, to `segment`."""
        self._open[identity] = segment, *self._open[identity][1:]


def _frames(hold: Hold, begun: Begun | None) -> bytes:
    return framed(hold) + (b"" if begun is None else framed(begun))
