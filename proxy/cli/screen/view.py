"""What the operator has chosen to see in `top`, and what a key makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from proxy.exchange.entry import Entry
from proxy.web.operator.answers import LiveCall

Sort = Literal["age", "cost", "tokens/s", "key", "model"]
Mode = Literal["list", "filter", "confirm", "help"]
Action = Literal["quit", "suspend", "end"]

# what each order compares, and whether the largest comes first
_ORDERS: dict[Sort, tuple[Callable[[LiveCall], Any], bool]] = {
    "age": (lambda call: call.age_seconds, True),
    "cost": (lambda call: int(call.cost_usd.replace(".", "")), True),
    "tokens/s": (lambda call: call.tokens_per_second or 0.0, True),
    "key": (lambda call: call.key or "", False),
    "model": (lambda call: call.model or "", False),
}
SORTS = tuple(_ORDERS)


class View(Struct, frozen=True):
    """`selected` and `ending` are request ids; `typed` is the filter while it is being written."""

    sort: Sort = "age"
    is_reversed: bool = False
    filter: str = ""
    selected: str | None = None
    mode: Mode = "list"
    typed: str = ""
    ending: str | None = None
    notice: str = ""

    def shown(self, calls: Sequence[LiveCall]) -> list[LiveCall]:
        """Those that pass the filter, in order; calls that compare alike stand as they came."""
        value, is_largest_first = _ORDERS[self.sort]
        kept = [call for call in calls if self.passes(call)]
        return sorted(kept, key=value, reverse=is_largest_first is not self.is_reversed)

    def passes(self, call: LiveCall | Entry) -> bool:
        """Whether the filter is part of its key, model or provider; case does not matter."""
        names = (call.key, call.model, call.provider)
        return any(self.filter.lower() in (name or "").lower() for name in names)

    def cursor(self, shown: Sequence[LiveCall]) -> int:
        """The row that is selected; the first where that call has ended."""
        return next((row for row, call in enumerate(shown) if call.request_id == self.selected), 0)


def press(view: View, key: str, shown: Sequence[LiveCall]) -> tuple[View, Action | None]:
    """What one key does, with these calls on the screen. "end" means the call in `ending`."""
    if key == "ctrl-z":
        return view, "suspend"
    view = replace(view, notice="")
    if view.mode == "filter":
        return _typed(view, key), None
    if view.mode == "confirm":
        return replace(view, mode="list"), "end" if key in ("y", "Y") else None
    if view.mode == "help":
        return replace(view, mode="list"), None
    return (view, "quit") if key == "q" else (_listed(view, key, shown), None)


def _typed(view: View, key: str) -> View:
    if key == "enter":
        return replace(view, mode="list", filter=view.typed.strip())
    if key == "escape":
        return replace(view, mode="list")
    if key == "backspace":
        return replace(view, typed=view.typed[:-1])
    return replace(view, typed=view.typed + key) if len(key) == 1 else view


def _listed(view: View, key: str, shown: Sequence[LiveCall]) -> View:
    if key in _STEPS:
        return _moved(view, _STEPS[key], shown)
    if key == "s":
        following = SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)]
        return replace(view, sort=following, is_reversed=False)
    if key == "r":
        return replace(view, is_reversed=not view.is_reversed)
    if key in ("f", "/"):
        return replace(view, mode="filter", typed=view.filter)
    if key in ("?", "h"):
        return replace(view, mode="help")
    if key == "escape":
        return replace(view, filter="")
    return _asked_to_end(view, shown) if key == "x" else view


def _moved(view: View, step: int, shown: Sequence[LiveCall]) -> View:
    if not shown:
        return view
    row = min(len(shown) - 1, max(0, view.cursor(shown) + step))
    return replace(view, selected=shown[row].request_id)


def _asked_to_end(view: View, shown: Sequence[LiveCall]) -> View:
    """The question is about the call that was selected then, whatever moves meanwhile."""
    if not shown:
        return replace(view, notice="no call to end")
    request_id = shown[view.cursor(shown)].request_id
    return replace(view, mode="confirm", ending=request_id, selected=request_id)


_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10}
