"""Budgets for some calls: which of them bind an attempt, and what is in memory of those that are somebody's own."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from holding import take

from proxy.policy.money.account import Exceeded, Room
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import GLOBAL, Budget, Each, Only, Subject, key_scope
from proxy.policy.money.narrowed import MOST_OWN, own

NOON = 1_795_780_800.0
ALICE = (key_scope("alice"), GLOBAL)


def budget(name: str, cap: int = 100, scope: str = GLOBAL, **members: Any) -> Budget:
    return Budget(f"{scope}:{name}", scope, "total", cap, UTC, **members)


def subject(**members: Any) -> Subject:
    usual = Subject("alice", "openrouter", ("fast", "openai/gpt-4o", "openrouter/openai/gpt-4o"), ("nightly",), "s1")
    return usual._replace(**members)


@pytest.mark.parametrize(
    ("only", "others"),
    [
        (Only(model="openai/*"), {"models": ("slow", "gpt-4o", "local/gpt-4o")}),
        (Only(model="fast"), {"models": ("faster",)}),
        (Only(provider="openrouter"), {"provider": "openai"}),
        (Only(key="ali*"), {"key": "bob"}),
        (Only(tag="night?y"), {"tags": ("daily", "x")}),
        (Only(tag="nightly"), {"tags": ()}),
        (Only(model="openai/*", key="alice"), {"key": "bob"}),
        (Only(provider="openrouter", tag="nightly"), {"tags": ("daily",)}),
        (Only(model="*gpt*", provider="open*", key="*", tag="*"), {"models": ("claude",)}),
    ],
)
def test_a_budget_binds_what_fits_all_it_names(only: Only, others: dict[str, Any]) -> None:
    books = Books([budget("some", only=only), budget("all")])
    assert books.under(ALICE, subject()) == (*ALICE, "global:some")
    assert books.under(ALICE, subject(**others)) == ALICE


@pytest.mark.parametrize(
    ("each", "whose"),
    [("session", ("alice/s1",)), ("key", ("alice",)), ("tag", ("nightly",))],
)
def test_each_has_its_own(each: Each, whose: tuple[str, ...]) -> None:
    books = Books([budget("own", each=each, only=Only(provider="openrouter"))])
    assert books.under(ALICE, subject()) == (*ALICE, *(f"global:own@{of}" for of in whose))
    assert books.under(ALICE, subject(provider="openai")) == ALICE


def test_who_has_none_falls_under_none_and_who_has_several_under_each() -> None:
    assert own("session", subject(session="")) == own("tag", subject(tags=())) == own("key", subject(key="")) == ()
    assert own("tag", subject(tags=("a", "b"))) == ("a", "b")
    assert own("session", subject(key="bob")) == ("bob/s1",)


def test_a_budget_of_another_key_binds_nobody_else() -> None:
    books = Books([budget("own", scope=key_scope("bob"), each="tag")])
    assert books.under(ALICE, subject()) == ALICE
    assert books.under((key_scope("bob"), GLOBAL), subject(key="bob"))[-1] == "key:bob:own@nightly"


def test_own_budgets_are_opened_with_what_they_spent_and_never_twice() -> None:
    books = Books([budget("own", each="session"), budget("plain", cap=1000)])
    under = books.under(ALICE, subject())
    assert books.narrowed.missing(under) == ["global:own@alice/s1"]
    books.open(["global:own@alice/s1"], {("global:own@alice/s1", 0): 30, ("global:own@alice/s2", 0): 99})
    assert books.narrowed.missing(under) == []
    assert take(books, "h", under, "alice", 20, NOON) == (("global:plain", 0), ("global:own@alice/s1", 0))
    books.open(["global:own@alice/s1"], {})  # a second call of the session looked it up at the same time
    assert books.room(under, "alice", NOON) == Room(50, 70)
    verdict = books.judge(under, "alice", 80, NOON)
    assert isinstance(verdict, Exceeded)
    assert (verdict.budget.id, verdict.budget.of, verdict.left_pusd) == ("global:own@alice/s1", "alice/s1", 70)
    books.settle("h", 10)
    assert [(s.budget.id, s.spent_pusd) for s in books.own_state(NOON)] == [("global:own@alice/s1", 40)]
    assert [s.budget.id for s in books.state(NOON)] == ["global:plain"]  # nobody draws a gauge for every session


def test_another_cap_holds_at_once_and_one_that_is_gone_binds_no_more() -> None:
    books = Books([budget("own", each="session")])
    under = books.under(ALICE, subject())
    books.open(under[2:], {})
    take(books, "h", under, "alice", 60, NOON)
    books.replace([budget("own", cap=500, each="session")])
    assert books.room(under, "alice", NOON) == Room(440, 500)
    books.replace([])
    assert (books.under(ALICE, subject()), books.room(under, "alice", NOON)) == (ALICE, None)
    assert books.settle("h", 25) == 0
    books.replace([budget("own", each="session")])
    assert books.room(under, "alice", NOON) == Room(75, 75)


def test_those_in_shadow_are_in_nobodys_way() -> None:
    books = Books([budget("own", cap=1, each="tag", shadow=True)])
    under = books.under(ALICE, subject())
    books.open(under[2:], {})
    assert (books.has_shadows, books.is_bound(under)) == (True, False)
    assert [name for name, _ in books.shadow_rooms(under, "alice", NOON)] == ["global:own@nightly"]


def test_memory_has_an_end_and_forgets_nobody_in_use() -> None:
    books = Books([budget("own", each="session")])

    def come(session: str) -> tuple[str, ...]:
        under = books.under(ALICE, subject(session=session))
        with books.narrowed.using(under):
            books.open(books.narrowed.missing(under), {})
        return under

    holding, waiting = come("holding"), come("waiting")
    take(books, "h", holding, "alice", 1, NOON)
    with books.narrowed.using(waiting):
        for number in range(MOST_OWN + 5):
            come(f"s{number}")
        assert books.narrowed.missing([*holding, *waiting, "global:own@alice/s10004"]) == []
    assert len(books.own_state(NOON)) <= MOST_OWN
    assert books.narrowed.missing(["global:own@alice/s1"]) == ["global:own@alice/s1"]
    books.settle("h", 1)
    assert books.standing("global:own@alice/holding", NOON) is not None
