"""What keys make of the view of `top`: order, filter, selection, the question before a call is ended."""

from __future__ import annotations

import pytest
from screen_values import entry, live_call

from proxy.cli.screen.terminal import keys
from proxy.cli.screen.view import SORTS, Action, Sort, View, press

OLD = live_call(1, age_seconds=90, key="bob", model="b/one", cost_usd="0.5", tokens_per_second=None)
MIDDLE = live_call(2, age_seconds=60, key="alice", model="a/two", cost_usd="12.0", tokens_per_second=3.0)
YOUNG = live_call(3, age_seconds=30, key=None, model=None, cost_usd="2.0", tokens_per_second=9.5, provider="local")
CALLS = [OLD, MIDDLE, YOUNG]


def pressed(view: View, *names: str) -> tuple[View, Action | None]:
    """Several keys, one after another; the last one's action."""
    action: Action | None = None
    for name in names:
        view, action = press(view, name, view.shown(CALLS))
    return view, action


def numbers(view: View) -> list[int]:
    return [int(call.request_id[-1]) for call in view.shown(CALLS)]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("age", [1, 2, 3]), ("cost", [2, 3, 1]), ("tokens/s", [3, 2, 1]), ("key", [3, 2, 1]), ("model", [3, 2, 1])],
)
def test_calls_are_sorted_and_turned_round(sort: Sort, order: list[int]) -> None:
    assert numbers(View(sort)) == order
    assert numbers(View(sort, is_reversed=True)) == order[::-1]


def test_calls_that_compare_alike_keep_their_places() -> None:
    twins = [live_call(number, cost_usd="1.0") for number in (1, 2, 3)]
    for view in (View("cost"), View("cost", is_reversed=True)):
        assert view.shown(twins) == twins


def test_s_goes_through_all_columns_and_r_turns() -> None:
    view, seen = View(), []
    for _ in SORTS:
        view, _ = pressed(view, "s")
        seen.append(view.sort)
    assert seen == ["cost", "tokens/s", "key", "model", "age"]
    assert pressed(view, "r")[0].is_reversed
    assert not pressed(view, "r", "s")[0].is_reversed
    assert pressed(view, "r", "r")[0] == view


@pytest.mark.parametrize(
    ("text", "kept"), [("", [1, 2, 3]), ("BOB", [1]), ("a/", [2]), ("local", [3]), ("o", [1, 2, 3]), ("zzz", [])]
)
def test_the_filter_looks_at_key_model_and_provider(text: str, kept: list[int]) -> None:
    view, _ = pressed(View(), "f", *text, "enter")
    assert (view.mode, view.filter, numbers(view)) == ("list", text, kept)


def test_the_filter_looks_at_calls_that_ended_too() -> None:
    assert View(filter="gpt").passes(entry())
    assert not View(filter="gpt").passes(entry(model="claude", key=None))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["f", *"boc", "backspace", "b", "enter"], "bob"),
        (["/", "q", "x", "enter"], "qx"),
        (["f", *"bob", "enter", "f", "escape"], "bob"),
        (["f", *"bob", "enter", "f", "backspace", "enter"], "bo"),
        (["f", *"bob", "enter", "escape"], ""),
        (["f", *"bob", "escape"], ""),
        (["f", "up", " ", "b", " ", "enter"], "b"),
    ],
)
def test_the_filter_is_typed_like_any_text(names: list[str], text: str) -> None:
    view, action = pressed(View(), *names)
    assert (view.mode, view.filter, action) == ("list", text, None)


@pytest.mark.parametrize(
    ("names", "row"),
    [
        ([], 0),
        (["down"], 1),
        (["j", "j"], 2),
        (["j", "j", "j"], 2),
        (["j", "k", "up"], 0),
        (["page down"], 2),
        (["page down", "page up"], 0),
    ],
)
def test_the_selection_moves_within_the_calls(names: list[str], row: int) -> None:
    view, _ = pressed(View(), *names)
    assert view.cursor(CALLS) == row


def test_the_selection_stays_with_its_call_and_survives_its_end() -> None:
    view, _ = pressed(View(), "down")
    assert view.cursor([YOUNG, OLD, MIDDLE]) == 2
    assert view.cursor([YOUNG, OLD]) == 0
    assert press(View(), "down", [])[0] == View()


def test_a_call_is_ended_after_a_question_only() -> None:
    asked, action = pressed(View(), "j", "x")
    assert (asked.mode, asked.ending, action) == ("confirm", MIDDLE.request_id, None)
    # meanwhile others have come and gone; the question stays what it was
    answered, action = press(asked, "y", [YOUNG, OLD])
    assert (answered.mode, answered.ending, action) == ("list", MIDDLE.request_id, "end")


@pytest.mark.parametrize("key", ["n", "escape", "enter", "q", "x", "down"])
def test_every_other_answer_leaves_the_call_alone(key: str) -> None:
    view, action = pressed(View(), "x", key)
    assert (view.mode, action) == ("list", None)


def test_where_there_is_no_call_none_is_ended() -> None:
    view, action = press(View(), "x", [])
    assert (view.mode, view.notice, action) == ("list", "no call to end", None)
    assert press(view, "j", [])[0].notice == ""


def test_help_is_left_by_any_key_and_q_quits() -> None:
    assert pressed(View(), "?")[0].mode == "help"
    assert pressed(View(), "?", "q") == (View(), None)
    assert pressed(View(), "q")[1] == "quit"
    for before in ([], ["f"], ["x"], ["?"]):
        assert pressed(View(), *before, "ctrl-z")[1] == "suspend"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("sq", ["s", "q"]),
        ("\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"]),
        ("j\x1b[6~k\x1b[5~", ["j", "page down", "k", "page up"]),
        ("\r\n\x7f\x08", ["enter", "enter", "backspace", "backspace"]),
        ("\x1b", ["escape"]),
        ("\x1bq", ["escape", "q"]),
        ("\x1a", ["ctrl-z"]),
        ("\x1b[1;5Cx\x1b[200~", ["x"]),
        ("\x1b[", []),
        ("é漢\x00\x07", ["é", "漢"]),
    ],
)
def test_keys_are_known_by_what_the_terminal_sends(text: str, names: list[str]) -> None:
    assert keys(text) == names
