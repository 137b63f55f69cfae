"""The lines of `tail` and `top`: they fit every width, keep their places, and show what they should."""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len
from screen_values import NOW, budget, entry, live_call, provider, snapshot_of

from proxy.cli.screen import entries, rows
from proxy.cli.screen.columns import ROOMY, Column, beside, fit, lay_out, plain, width_of
from proxy.cli.screen.drawing import Canvas, Rows, draw, share_out
from proxy.cli.screen.entries import error_share, note, per_minute
from proxy.cli.screen.view import View
from proxy.cli.tail import Wanted
from proxy.exchange.entry import Entry, Tried
from proxy.web.operator.answers import LeftAlone

LONG = "a-name-of-a-model/that-is-much-too-long-for-any-column-of-this-screen?and=more"
BUSY = snapshot_of(
    calls=[live_call(n, key=f"key-{n}", model=LONG if n % 2 else "模型/大きい") for n in range(1, 18)],
    recent=[entry(n, error="rate_limit_exceeded", error_type="policy_rate_limited", model=LONG) for n in range(20)],
    budgets=[
        budget(str(n), cap="1000000", budget=f"key:somebody-{n}:month", resets_at="2026-12-01T00:00Z") for n in range(9)
    ],
    providers=[provider(f"provider-{n}", breaker="open", retry_in_seconds=8.0, failures=5) for n in range(9)],
)


def texts(
    now: Any, view: View | None = None, size: tuple[int, int | None] = (80, 24), gone: str | None = None
) -> list[str]:
    return [plain(line) for line in draw(now, view or View(), Canvas(*size, UTC), gone)]


@pytest.mark.parametrize(
    "columns",
    [
        rows.CALLS,
        rows.BUDGETS,
        entries.COLUMNS,
        beside(rows.CALLS, "Cost", "coins", ROOMY),
        beside(rows.BUDGETS, "of", "coins", rows.BUDGETS_UNIT_FROM),
        beside(entries.COLUMNS, "Cost", "coins", entries.UNIT_FROM),
    ],
)
def test_columns_fill_every_width_from_40_on_and_never_pass_it(columns: tuple[Column, ...]) -> None:
    for width in range(40, 260):
        layout = lay_out(columns, width)
        shown = [column for column, _ in layout.columns]
        assert width_of(layout.headings()) <= width, width
        assert all(column.most == 0 or cells <= column.most for column, cells in layout.columns)
        assert {column for column in columns if not column.shown_from} <= set(shown)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 200])
def test_the_whole_screen_is_as_wide_as_its_terminal(width: int) -> None:
    assert max(map(cell_len, texts(BUSY, size=(width, None)))) == width


def test_all_columns_are_shown_whole_in_a_file() -> None:
    layout = lay_out(entries.COLUMNS, None)
    line = plain(layout.row(entries.cells(entry(model=LONG), UTC)))
    assert LONG in line and entry().request_id in line


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("漢字漢字", 5, "漢字…"),
        ("漢字漢字", 6, "漢字 …"),
        ("\x1b[31m", 10, "\\x1b[31m  "),
        ("a\nb", 3, "a b"),
    ],
)
def test_a_text_takes_exactly_its_cells(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown
    assert cell_len(shown) == width


VIEWS = [
    View(),
    View(mode="help"),
    View(mode="filter", typed="x" * 200),
    View(mode="confirm", ending="req_" + "1" * 24),
]
VIEWS += [View(notice="y" * 200), View(filter="z" * 200), View(mode="confirm", ending=live_call(1).request_id)]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.mode} {view.notice[:1]}{view.filter[:1]}")
@pytest.mark.parametrize("gone", [None, "no daemon runs at /somewhere/rather/deep/in/the/file/system/state" * 2])
def test_a_screen_is_filled_to_its_last_line_and_no_further(view: View, gone: str | None) -> None:
    for now in (BUSY, snapshot_of()):
        for width in (80, 100, 150, 200):
            for height in (5, 8, 12, 16, 24, 30, 60):
                lines = texts(now, view, (width, height), gone)
                assert len(lines) == height
                assert max(map(cell_len, lines)) <= width, max(lines, key=cell_len)


def test_sections_keep_their_places_whatever_happens() -> None:
    def titles(calls: int, ended: int) -> list[tuple[int, str]]:
        now = snapshot_of(
            [live_call(n) for n in range(calls)],
            [entry(n) for n in range(ended)],
            [budget("1"), budget("2", budget="b")],
        )
        return [(at, line[:12]) for at, line in enumerate(texts(now)) if line.startswith("──")]

    assert titles(0, 0) == titles(3, 1) == titles(40, 20)
    assert [title.split()[1] for _, title in titles(1, 1)] == ["Under", "Budgets", "Ended"]


@pytest.mark.parametrize(
    ("height", "budgets", "rows"),
    [
        (24, 3, Rows(5, 3, 5)),
        (24, 0, Rows(8, 0, 7)),
        (24, 20, Rows(4, 5, 4)),
        (30, 3, Rows(8, 3, 8)),
        (200, 3, Rows(166, 3, 20)),
        (12, 3, Rows(2, 1, 0)),
        (8, 3, Rows(1, 0, 0)),
        (3, 3, Rows(0, 0, 0)),
    ],
)
def test_the_height_is_shared_out(height: int, budgets: int, rows: Rows) -> None:
    assert share_out(height, budgets) == rows


def test_the_selected_call_is_among_those_shown() -> None:
    for number in range(1, 18):
        lines = texts(BUSY, View(selected=live_call(number).request_id))
        marked = [line for line in lines if line.startswith("›")]
        assert [line.split()[2] for line in marked] == [f"key-{number}"]
        assert "4 of 17, by age" in "\n".join(lines)


def test_the_fullest_budgets_are_shown_in_their_order() -> None:
    lines = texts(BUSY)
    shown = [line.split()[0] for line in lines if line.startswith("key:")]
    assert shown == [f"key:somebody-{n}:month" for n in range(4, 9)]
    assert any("the fullest 5 of 9" in line for line in lines)


def test_the_head_says_how_things_are() -> None:
    recent = [entry(1, first_token_seconds=0.5), entry(2, error_type="provider_timeout", status=504)]
    head = texts(snapshot_of([live_call()], recent))[:4]
    assert head[0].startswith("tollkeeper ") and "up 3 h 20 min" in head[0] and head[0].endswith("12:00:00")
    assert head[2].split() == ["1", "2", "50%", "0.50s", "$2.00/h", "$3.20"]
    assert head[3] == "● openrouter"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "● openrouter"),
        ({"in_flight": 3}, "● openrouter 3"),
        ({"breaker": "none"}, "○ openrouter"),
        ({"models": [LeftAlone("m", 5, 8.4)]}, "● openrouter, 1 of its models left alone"),
        ({"breaker": "open", "retry_in_seconds": 8.4}, "✖ openrouter left alone, tried again in 8 s"),
        ({"breaker": "open", "retry_in_seconds": 0.0}, "✖ openrouter tried next"),
    ],
)
def test_a_provider_has_a_dot(fields: dict[str, Any], shown: str) -> None:
    assert texts(snapshot_of(providers=[provider(**fields)]))[3] == shown


def test_providers_that_find_no_room_are_counted() -> None:
    assert texts(BUSY)[3].endswith("and 8 more")


def test_a_daemon_that_is_gone_is_named_and_the_rest_is_faint() -> None:
    lines = draw(snapshot_of([live_call()]), View(), Canvas(80, 24, UTC), "no daemon runs here")
    assert plain(lines[3]) == "trying again: no daemon runs here"
    assert {style for line in lines[4:] for text, style in line if text.strip()} == {"dim"}


def test_the_question_names_the_call() -> None:
    view = View(mode="confirm", ending=live_call(1).request_id)
    now = snapshot_of([live_call(1, key="bob", model="openai/o3")])
    assert texts(now, view)[-1] == "y ends bob's call to openai/o3, any other key does not"


def test_a_file_gets_everything_and_no_marks() -> None:
    lines = texts(BUSY, size=(120, None))
    assert len([line for line in lines if "streaming" in line]) == 17
    assert len([line for line in lines if line.startswith("key:somebody")]) == 9
    assert not [line for line in lines if line.startswith("›")] and "quit" not in lines[-1]


@pytest.mark.parametrize(("spent", "fate"), [("1", "lasts"), ("10", "spent"), ("5", "3 h 20 min")])
def test_a_budget_in_shadow_is_marked_and_never_urgent(spent: str, fate: str) -> None:
    layout = lay_out(rows.BUDGETS, 80)
    drawn = rows.budget_cells(budget(spent, shadow=True), Decimal("1.5") if spent == "5" else Decimal(0), NOW, layout)
    assert drawn["At this rate"] == (f"shadow: {fate}", "dim")
    assert drawn["Spent"][1] == "dim"
    assert f"shadow: {fate}" in plain(layout.row(drawn))


NOTES = [
    ({}, ""),
    ({"attempts": 2, "tried": (Tried("a", "m", "503"), Tried("a", "m", "200"))}, "2 tries"),
    ({"shadow_rejections": ("budget_exceeded by global:day",)}, "in shadow"),
    ({"attempts": 2, "tried": (Tried("a", "m", "503"), Tried("b", "m", "200"))}, "fallback"),
    ({"attempts": 1, "tried": (Tried("a", "m", "no_healthy_upstream"), Tried("b", "m", "200"))}, "fallback"),
    ({"error": "call_ended", "error_type": "dropped"}, "call_ended"),
    ({"error": None, "error_type": "_OTHER", "status": 418}, "_OTHER"),
    ({"client_left": "streaming", "error_type": "caller_cancelled", "status": 499}, "client left"),
]


@pytest.mark.parametrize(("fields", "said"), NOTES)
def test_a_note_says_what_was_unusual(fields: dict[str, Any], said: str) -> None:
    assert note(entry(**fields)) == said


def test_the_share_of_errors_leaves_out_clients_that_left() -> None:
    left = entry(client_left="sent", error_type="caller_cancelled", status=499)
    assert error_share([]) is None
    assert error_share([left, entry()]) == 0
    assert error_share([entry(error_type="internal"), left, entry(), entry()]) == 0.25


@pytest.mark.parametrize(
    ("ages", "pace"),
    [([], 0), ([5, 61], 1), ([5, 59, 3], 3), ([1, 2, 3, 30], 8), ([1, 2, 3, 70], 3), ([0, 0, 0, 0], 240)],
)
def test_the_pace_goes_by_the_last_minute(ages: list[float], pace: float) -> None:
    ended = [entry(at=(NOW - timedelta(seconds=age)).isoformat(), total_seconds=0.0) for age in ages]
    assert per_minute(ended, NOW, 4) == pace


FAILED = entry(error="upstream_timeout", error_type="provider_timeout", status=504, cost_usd=None, total_seconds=30.0)
LEFT = entry(client_left="sent", error_type="caller_cancelled", status=499)
REFUSED = entry(key=None, model=None, target=None, provider=None, error_type="policy_access_denied", status=401)


@pytest.mark.parametrize(
    ("wanted", "call", "has"),
    [
        (Wanted(), REFUSED, True),
        (Wanted(key="ALI"), entry(), True),
        (Wanted(key="ali*"), entry(), True),
        (Wanted(key="li*"), entry(), False),
        (Wanted(key="bob"), entry(), False),
        (Wanted(key="alice"), REFUSED, False),
        (Wanted(model="gpt"), entry(), True),
        (Wanted(model="openai/*"), entry(model="gpt-4o"), True),
        (Wanted(model="gpt-?o"), entry(model="gpt-4o", target=None), True),
        (Wanted(model="gpt-?"), entry(model="gpt-4o", target=None), False),
        (Wanted(provider="router"), entry(), True),
        (Wanted(provider="[lx]*"), entry(), False),
        (Wanted(key="alice", provider="local"), entry(), False),
        (Wanted(errors=True), entry(), False),
        (Wanted(errors=True), FAILED, True),
        (Wanted(errors=True), LEFT, False),
        (Wanted(errors=True), REFUSED, True),
        (Wanted(slow=30.0), FAILED, True),
        (Wanted(slow=30.1), FAILED, False),
        (Wanted(min_cost=Decimal("0.03")), entry(), True),
        (Wanted(min_cost=Decimal("0.030000000001")), entry(), False),
        (Wanted(min_cost=Decimal("0.01")), FAILED, False),
    ],
)
def test_the_filters_of_tail(wanted: Wanted, call: Entry, has: bool) -> None:
    assert wanted.has(call) is has
