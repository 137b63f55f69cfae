"""The screen of `top`: every section has its place and its number of lines, so that nothing jumps."""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct

from proxy import __version__
from proxy.cli.screen.columns import ROOMY, Line, Span, beside, fit, lay_out, width_of
from proxy.cli.screen.entries import COLUMNS, UNIT_FROM, cells, error_share, per_minute
from proxy.cli.screen.numbers import percentile, rate, seconds, span
from proxy.cli.screen.rows import BUDGETS, BUDGETS_UNIT_FROM, CALLS, budget_cells, call_cells, fullest
from proxy.cli.screen.snapshot import Snapshot
from proxy.cli.screen.view import View
from proxy.policy.money.amounts import dollars
from proxy.policy.money.budgets import GLOBAL
from proxy.web.operator.answers import ProviderAnswer

RECENT = 20  # the daemon tells of so many calls that ended
_HEAD = 4  # lines above the sections
_TITLES = 2  # lines of a section above its rows
_KEYS = "q quit   s sort   r reverse   f filter   j k select   x end a call   ? help"
_HELP = (
    ("q  Ctrl-C", "quit"),
    ("s", "sort by age, cost, tokens a second, key, model"),
    ("r", "the other way round"),
    ("f  /", "show only what has a text in its key, model or provider"),
    ("Esc", "no filter"),
    ("j  k  ↓  ↑", "select a call"),
    ("x", "end the selected call, after a question: error call_ended"),
    ("?", "this page; any key leaves it"),
)


class Canvas(Struct, frozen=True):
    """What is drawn on. `height` None: as long as it takes, for a file. Times are in `zone`."""

    width: int
    height: int | None
    zone: tzinfo


class Rows(Struct, frozen=True):
    """How many lines each section has for its rows; None is as many as there are."""

    calls: int | None = None
    budgets: int | None = None
    recent: int | None = None


def share_out(height: int, budgets: int) -> Rows:
    """Budgets get up to a third, calls under way and those that ended share the rest. On a low screen the last go first."""
    left = height - _HEAD - 1 - _TITLES
    shown = min(budgets, max(0, (left - _TITLES) // 3))
    left -= shown + _TITLES if shown else 0
    recent = min(RECENT, max(0, (left - _TITLES) // 2))
    left -= recent + _TITLES if recent else 0
    return Rows(max(0, left), shown, recent)


def draw(now: Snapshot, view: View, paper: Canvas, gone: str | None = None) -> list[Line]:
    """Everything, top to bottom. `gone` says why there is nothing newer."""
    lines = [*_head(now, paper), _providers(now.providers, paper.width) if gone is None else _gone(gone, paper.width)]
    if paper.height is None:
        return [*lines, *_sections(now, view, paper, Rows())]
    room = paper.height - _HEAD - 1
    body = _help(paper.width) if view.mode == "help" else _sections(now, view, paper, _rows(now, paper.height))
    body = [[(text, "dim") for text, _ in line] for line in body] if gone is not None else body
    body = [*body, *[[] for _ in range(room)]][: max(0, room)]
    return [*lines, *body, _foot(now, view, paper.width)][: paper.height]


def _rows(now: Snapshot, height: int) -> Rows:
    return share_out(height, len(now.budgets))


def _head(now: Snapshot, paper: Canvas) -> list[Line]:
    """Name and clock, then the numbers of the whole under their names, as many as find room."""
    recent = now.live.recent
    share, first = error_share(recent), [e.first_token_seconds for e in recent if e.first_token_seconds is not None]
    facts: list[tuple[str, int, Span]] = [
        ("Under way", 9, (str(len(now.live.calls)), "bold")),
        ("Calls/min", 9, (f"{per_minute(recent, now.now, RECENT):.0f}", "bold")),
        ("Errors", 6, ("-" if share is None else f"{share:.0%}", "bold red" if share else "bold")),
        ("First token p95", 15, (seconds(percentile(first, 95)), "bold")),
        ("Last hour", 11, (f"{rate(now.burn.per_hour(GLOBAL))}/h", "bold")),
        ("Today", 12, (dollars(str(now.today_usd)), "bold")),
    ]
    gap = "   " if paper.width >= 80 else " "
    room = paper.width
    for fact in tuple(facts):
        if len(gap) + fact[1] > room:
            facts.remove(fact)
        else:
            room -= len(gap) + fact[1]
    names = [(gap + fit(name, width, is_number=True), "dim") for name, width, _ in facts]
    values = [(gap + fit(text, width, is_number=True), style) for _, width, (text, style) in facts]
    name, clock = f"tollkeeper {__version__}", f"{now.now.astimezone(paper.zone):%H:%M:%S}"
    up = "" if now.up_seconds is None else f"   up {span(now.up_seconds)}"
    title = (name, "bold"), (up if len(f"{name}{up} {clock}") <= paper.width else "", "dim")
    return [_apart([*title], [(clock, "dim")], paper.width), names, values]


def _apart(left: Line, right: Line, width: int) -> Line:
    """One at each end."""
    return [*left, (" " * max(1, width - width_of(left) - width_of(right)), ""), *right]


def _gone(sentence: str, width: int) -> Line:
    return [(fit(f"trying again: {sentence}", width), "bold red")]


def _providers(providers: list[ProviderAnswer], width: int) -> Line:
    """A dot each: ● answers, ✖ is left alone for a while, ○ has no breaker; and how many calls it has."""
    line: Line = []
    for number, provider in enumerate(providers, 1):
        part: Line = [("   ", ""), *_provider(provider, width)] if line else _provider(provider, width)
        later = len(providers) - number
        room = width - len(f"   and {later} more") if later else width
        if line and width_of([*line, *part]) > room:
            return [*line, (f"   and {later + 1} more", "dim")]
        line += part
    return line


def _provider(provider: ProviderAnswer, width: int) -> Line:
    dot = {"closed": ("●", "green"), "open": ("✖", "bold red")}.get(provider.breaker, ("○", "dim"))
    retry = provider.retry_in_seconds
    later = "" if retry is None else f" left alone, tried again in {span(retry)}" if retry >= 1 else " tried next"
    if not later and provider.models:
        later = f", {len(provider.models)} of its models left alone"
    text = f" {provider.provider} {provider.in_flight or ''}".rstrip() + later
    return [dot, (fit(text, min(len(text), width - 16)), "red" if later else "")]


def _sections(now: Snapshot, view: View, paper: Canvas, rows: Rows) -> list[Line]:
    lines = _calls(now, view, paper, rows.calls)
    if now.budgets and rows.budgets != 0:
        lines += _budgets(now, paper.width, rows.budgets)
    if rows.recent != 0:
        lines += _recent(now, view, paper, rows.recent)
    return lines


def _calls(now: Snapshot, view: View, paper: Canvas, most: int | None) -> list[Line]:
    """The selected call is always among those that are shown."""
    shown = view.shown(now.live.calls)
    cursor = view.cursor(shown)
    first = 0 if most is None else max(0, min(cursor - most // 2, len(shown) - most))
    here = shown[first : None if most is None else first + most]
    order = f"by {view.sort}{', reversed' if view.is_reversed else ''}"
    kept = f'with "{view.filter}", ' if view.filter else ""
    number = f"{len(here)} of {len(now.live.calls)}, " if len(here) < len(now.live.calls) else ""
    layout = lay_out(beside(CALLS, "Cost", now.unit, ROOMY), paper.width)
    lines = [_rule("Under way", f"{number}{kept}{order}", paper.width), layout.headings()]
    for row, call in enumerate(here, first):
        is_selected = most is not None and row == cursor
        line = layout.row(call_cells(call, is_selected=is_selected) | now.beside(call.request_id))
        lines.append([(text, "reverse") for text, _ in line] if is_selected else line)
    if not here:
        lines.append([("  none", "dim")])
    return _exactly(lines, most)


def _budgets(now: Snapshot, width: int, most: int | None) -> list[Line]:
    budgets = now.budgets if most is None else fullest(now.budgets, most)
    number = f"the fullest {most} of {len(now.budgets)}" if len(budgets) < len(now.budgets) else ""
    layout = lay_out(beside(BUDGETS, "of", now.unit, BUDGETS_UNIT_FROM), width)
    rows = [
        layout.row(budget_cells(budget, now.burn.per_hour(budget.scope), now.now, layout) | now.beside(budget.budget))
        for budget in budgets
    ]
    return [_rule("Budgets", number, width), layout.headings(), *rows]


def _recent(now: Snapshot, view: View, paper: Canvas, most: int | None) -> list[Line]:
    layout = lay_out(beside(COLUMNS, "Cost", now.unit, UNIT_FROM), paper.width)
    entries = [entry for entry in now.live.recent if view.passes(entry)][:most]
    rows = [layout.row(cells(entry, paper.zone)) for entry in entries]
    return _exactly([_rule("Ended", "", paper.width), layout.headings(), *(rows or [[("none", "dim")]])], most)


def _exactly(lines: list[Line], rows: int | None) -> list[Line]:
    """A section keeps its place when it has less to show."""
    return lines if rows is None else [*lines, *[[] for _ in range(rows)]][: rows + _TITLES]


def _rule(title: str, remark: str, width: int) -> Line:
    start, end = f"── {title} ", f" {remark} ──" if remark else "──"
    return [(fit(start + "─" * max(0, width - len(start) - len(end)) + end, width), "dim")]


def _help(width: int) -> list[Line]:
    return [
        _rule("Keys", "", width),
        *[[(f"  {keys:12}", "bold"), (fit(text, width - 14), "")] for keys, text in _HELP],
    ]


def _foot(now: Snapshot, view: View, width: int) -> Line:
    """What the keys do now, or what became of the last one."""
    if view.mode == "filter":
        return [(fit(f"filter: {view.typed}▏  Enter keeps it, Esc does not", width), "bold")]
    if view.mode == "confirm":
        call = next((call for call in now.live.calls if call.request_id == view.ending), None)
        what = f"{call.key or 'nobody'}'s call to {call.model or call.endpoint}" if call else str(view.ending)
        return [(fit(f"y ends {fit(what, min(len(what), width - 34))}, any other key does not", width), "bold yellow")]
    if view.mode == "help":
        return [(fit("any key leaves this page", width), "dim")]
    return [(fit(view.notice or _KEYS, width), "bold" if view.notice else "dim")]
