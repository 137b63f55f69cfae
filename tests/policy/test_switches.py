"""What switches leave of names: the most telling pattern counts, a key's own word first; news of lists, told apart."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.policy.names.news import Listed, compare, counted
from proxy.policy.names.switches import Switches, names_of
from proxy.policy.values import Switch, Target


@pytest.mark.parametrize(
    ("switches", "slug", "key", "is_on"),
    [
        ([], "openai/gpt-4o", None, True),
        ([Switch("openai/*", False)], "openai/gpt-4o", None, False),
        ([Switch("openai/*", False)], "anthropic/x", None, True),
        ([Switch("openai/*", False), Switch("openai/gpt-4o", True)], "openai/gpt-4o", None, True),
        ([Switch("openai/gpt-4o", False), Switch("*", True)], "openai/gpt-4o", None, False),
        ([Switch("openai/gpt-4o", False)], "openai/gpt-4o:nitro", None, False),
        ([Switch("openrouter/openai/*", False)], "openai/gpt-4o", None, False),
        ([Switch("openai/*", None, {"bob": False})], "openai/gpt-4o", None, True),
        ([Switch("openai/*", None, {"bob": False})], "openai/gpt-4o", "bob", False),
        ([Switch("openai/*", False, {"bob": True})], "openai/gpt-4o", "bob", True),
        ([Switch("openai/*", False, {"bob": True})], "openai/gpt-4o", "eve", False),
        ([Switch("openai/*", None, {"bob": False}), Switch("*", False)], "openai/gpt-4o", "eve", False),
    ],
)
def test_the_most_telling_pattern_counts(switches: list[Switch], slug: str, key: str | None, is_on: bool) -> None:
    assert Switches(switches).is_on(names_of(Target("openrouter", slug), slug), key) is is_on
    assert Switches(reversed(switches)).is_on(names_of(Target("openrouter", slug), slug), key) is is_on


CHEAP, DEAR = Listed(Decimal("1e-6"), Decimal("2e-6")), Listed(Decimal("2e-6"), Decimal("2e-6"))


@pytest.mark.parametrize(
    ("before", "now", "kinds"),
    [
        ({}, {}, []),
        ({"a": CHEAP}, {"a": CHEAP}, []),
        ({"a": CHEAP}, {"b": CHEAP}, ["new", "gone"]),
        ({"a": CHEAP}, {"a": DEAR}, ["dearer"]),
        ({"a": DEAR}, {"a": CHEAP}, ["cheaper"]),
        ({"a": Listed()}, {"a": CHEAP}, []),  # a price that nobody knew is no change
        ({"a": CHEAP}, {"a": Listed(None, None, "2027-01-01")}, ["deprecated"]),
        ({"a": Listed(expires="2027-01-01")}, {"a": Listed(expires="2027-01-01")}, []),
        ({"a": Listed(expires="2027-01-01")}, {"a": Listed()}, []),
        # twice the input against half the output: by three input tokens for one output token
        ({"a": Listed(Decimal(2), Decimal(8))}, {"a": Listed(Decimal(4), Decimal(4))}, ["dearer"]),
    ],
)
def test_what_is_new_in_a_list(before: dict[str, Listed], now: dict[str, Listed], kinds: list[str]) -> None:
    assert [change.kind for change in compare("p", before, now)] == kinds
    assert counted(kinds) == (", ".join(f"1 {kind}" for kind in kinds) or "nothing new")
