"""Every number that enters a store has a range; a row that holds another one all the same breaks no listing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness.ledger import apply
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from stores_samples import settled

from proxy.config.new_key import read_new_key
from proxy.config.terms import Terms, terms_of
from proxy.policy.values import Listen, Settings
from proxy.stores.database import engine_for
from proxy.stores.journal.frames import HEADER, unframed
from proxy.stores.journal.records import MOST_INT, Settled
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import Position
from proxy.stores.keys import create_key, list_keys
from proxy.stores.keyset import key_set, make_key
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.schema import keys
from proxy.stores.questions.queries import Files
from proxy.stores.questions.usage import By, UsageQuestion
from proxy.web.operator.admin_api import instant

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, 2**63 - 1, 2**63, 10**17]))
ODD = st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=5), st.just("1e400"))
TERMS = st.dictionaries(
    st.sampled_from(["usd", "per", "requests", "tokens", "concurrent", "share", "tz"]),
    st.one_of(ODD, st.sampled_from(["day", "month", "total"])),
    max_size=4,
)
BODIES = st.fixed_dictionaries(
    {"name": st.just("bob")},
    optional={"expires_ms": ODD, "budgets": st.lists(TERMS, max_size=2), "limits": st.lists(TERMS, max_size=2)},
)


def nobody(folder: Path) -> Settings:
    return Settings(Listen(), Listen(), str(folder), {})


@settings(max_examples=300)
@given(BODIES)
def test_whatever_is_asked_for_is_refused_or_can_be_stored_and_listed(
    tmp_path_factory: pytest.TempPathFactory, body: dict[str, Any]
) -> None:
    try:
        asked = read_new_key(body)
    except ValueError:
        return
    folder = tmp_path_factory.mktemp("state")
    open_ledger(folder / "ledger.db")
    with engine_for(folder / "ledger.db").begin() as connection:
        create_key(connection, make_key(asked, 1, b"k" * 32)[0])
        (stored,) = list_keys(connection)
    assert [caller.name for caller in key_set(nobody(folder), [stored]).callers] == ["bob"]
    if stored.expires_ms is not None:
        assert instant(stored.expires_ms).endswith("Z")


@pytest.mark.parametrize("expires_ms", [-1, 10**17, 2**63, 1e17, float("inf"), float("nan"), "soon", True])
def test_a_moment_no_calendar_has_is_refused(expires_ms: object) -> None:
    with pytest.raises(ValueError, match="expires_ms"):
        read_new_key({"name": "bob", "expires_ms": expires_ms})


@pytest.mark.parametrize(("at_ms", "shown"), [(-1, "1970-01-01"), (0, "1970-01-01"), (2**62, "9999-01-01")])
def test_an_odd_moment_is_shown_as_the_nearest_there_is(at_ms: int, shown: str) -> None:
    assert instant(at_ms).startswith(shown)


@pytest.mark.parametrize("by", ["day", "model", "key", "provider"])
def test_rows_of_any_number_break_no_report(tmp_path: Path, by: By) -> None:
    open_ledger(tmp_path / "ledger.db")
    odd = [
        settled("a", cost_pusd=MOST_INT, input_tokens=MOST_INT),
        settled("b", cost_pusd=MOST_INT, input_tokens=MOST_INT, at_ms=1),
        settled("c", at_ms=2**62, model="other"),
        settled("d", at_ms=-(2**62), output_tokens=-(2**63) + 1, model="other"),
    ]
    with engine_for(tmp_path / "ledger.db").begin() as connection:
        apply(connection, [(Position(1, 10 * n), record) for n, record in enumerate(odd, 1)])
    report = Files(tmp_path).usage(UsageQuestion(by, UTC))
    assert report.total["calls"] == 4
    assert report.total["input_tokens"] == 2 * MOST_INT + 20
    assert report.total["cost_usd"] == "18446744.133709551614"


def test_a_stored_key_whose_terms_make_no_sense_is_refused_and_stops_nobody(tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    row = {"models": "[]", "limits": "[]", "created_ms": 10**17}
    with engine_for(tmp_path / "ledger.db").begin() as connection:
        for name, budgets in (("odd", '[{"usd": -5, "per": "day"}]'), ("cut", "[{"), ("good", "[]")):
            connection.execute(insert(keys), {**row, "name": name, "key_hmac": name.encode(), "budgets": budgets})
    found = key_set(nobody(tmp_path), Files(tmp_path).stored_keys())
    assert (found.unreadable, found.is_open) == (("odd", "cut"), False)
    assert [caller.name for caller in found.callers] == ["good"]
    told = terms_of((key.limits, key.budgets) for key in Files(tmp_path).stored_keys())
    assert told == Terms(budgets={"[]": []}, limits={"[]": []})  # nor what a start has a copy of itself read
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute("DELETE FROM keys WHERE name = 'good'")
        ledger.commit()
    assert not key_set(nobody(tmp_path), Files(tmp_path).stored_keys()).is_open


@given(st.integers(0, 2**66))
def test_an_amount_of_any_size_is_written_so_that_it_can_be_read(amount: int) -> None:
    record = settled("a")
    large = msgspec.structs.replace(record, row=msgspec.structs.replace(record.row, cost_pusd=amount))
    found = unframed(framed(large)[HEADER.size :])
    assert isinstance(found, Settled)
    assert found.row.cost_pusd == min(amount, MOST_INT)
