"""The writer: everything appended arrives in the ledger once, whatever happens to the ledger meanwhile."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.ledger import position, spent
from sqlalchemy import Connection
from stores_samples import DAY, hold, opened, settled

from proxy.stores.failures import BackupRefused, KeyExists, LedgerUnavailable
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segments import segment_numbers, segment_path
from proxy.stores.keys import StoredKey, create_key, list_keys, revoke_key, touch_keys
from proxy.stores.ledger.backup import backup
from proxy.stores.ledger.ledger import rows_of
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.writer import Writer, WriterRules
from proxy.stores.questions.queries import Files

QUICK = WriterRules(linger=0.001, first_wait=0.001, longest_wait=0.01, busy=0.01)
SECONDS = 60.0


class Store:
    """A state directory with a running writer."""

    def __init__(self, state: Path, rules: WriterRules = QUICK, max_bytes: int = 2**28) -> None:
        self.path = state / "ledger.db"
        self.told: list[str] = []
        open_ledger(self.path)
        _, at = Files(state).booked([])
        self.journal = Journal(state / "journal", JournalRules(max_bytes=max_bytes), replay(state / "journal", at))
        self.writer = Writer(self.journal, self.path, rules, self.told.append)
        self.writer.start()

    def close(self) -> bool:
        done = self.writer.stop(SECONDS)
        self.journal.close()
        return done

    def attempts(self) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute("SELECT count(*) FROM attempts").fetchone()[0])

    def wait_for_error(self) -> None:
        until = time.monotonic() + SECONDS
        while not self.writer.last_error and time.monotonic() < until:
            self.writer.flush(0.01)
        assert self.writer.last_error


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_what_is_appended_arrives_with_a_flush(store: Store, tmp_path: Path) -> None:
    store.journal.append(hold("a"))
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    assert Files(tmp_path).booked([DAY[0]]) == ({DAY: 30_000_000_000}, store.journal.end)
    assert (store.writer.errors, store.writer.last_error, store.told) == (0, "", [])
    assert store.writer.position == store.journal.end


def test_a_writer_that_keeps_up_is_never_far_behind_however_long_calls_go_on(store: Store) -> None:
    rounds = []
    for number in range(50):
        rounds.append(time.monotonic())
        behind = store.journal.end
        store.journal.append(settled(f"r{number}"))
        while store.writer.position <= behind:
            assert time.monotonic() < rounds[-1] + SECONDS
            store.journal.append(hold(f"h{number}"))
    # what came before the last rounds is in the ledger, however long it took
    assert store.writer.lag_seconds <= time.monotonic() - rounds[-3]


def test_stopping_applies_what_there_is(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules())
    for number in range(5000):
        store.journal.append(settled(f"r{number}"))
    assert store.close()
    assert store.attempts() == 5000
    assert store.writer.lag_seconds == 0


def test_a_new_writer_takes_over_where_the_last_one_stopped(tmp_path: Path) -> None:
    for number in range(3):
        store = Store(tmp_path)
        store.journal.append(settled(f"r{number}"))
        assert store.close()
    assert store.attempts() == 3


def test_a_journal_without_a_writer_is_caught_up_with_later(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.append(settled("a"))
    journal.close()
    store = Store(tmp_path)
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 1
    store.close()


def test_segments_are_removed_once_they_are_in_the_ledger(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=64 * 1024)
    store.journal.append(hold("open"))
    for number in range(1000):
        if number % 50 == 0:
            assert store.writer.flush(SECONDS)
        store.journal.append(settled(f"r{number}"))
    assert store.close()
    assert store.attempts() == 1000
    assert len(segment_numbers(tmp_path / "journal")) == 1
    assert [one.hold.request_id for one in replay(tmp_path / "journal").holds] == ["open"]


def test_a_ledger_locked_by_another_process_stops_nobody(store: Store) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(50):
            store.journal.append(settled(f"r{number}"))
        assert not store.writer.flush(0.1)
        store.wait_for_error()
        assert "locked" in store.writer.last_error
        assert store.writer.lag_seconds > 0
        assert store.journal.healthy
        with pytest.raises(LedgerUnavailable, match="locked"):
            store.writer.submit(list_keys).result(SECONDS)
        other.execute("ROLLBACK")
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 50
    assert len([sentence for sentence in store.told if "locked" in sentence]) >= 1
    assert store.writer.errors >= 1


def test_a_ledger_that_was_replaced_is_not_written_to_until_it_is_back(store: Store, tmp_path: Path) -> None:
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    store.path.rename(tmp_path / "moved.db")
    store.journal.append(settled("b"))
    store.wait_for_error()
    assert not store.path.exists()
    store.path.write_bytes(b"somebody else's")
    store.wait_for_error()
    assert "not the file the daemon opened" in store.writer.last_error
    assert store.path.read_bytes() == b"somebody else's"
    (tmp_path / "moved.db").replace(store.path)
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 2


def test_a_ledger_out_of_reach_is_told_and_written_to_once_it_is_back(store: Store, tmp_path: Path) -> None:
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    store.path.rename(tmp_path / "moved.db")
    store.path.symlink_to(store.path.name)  # of which the system says nothing, as of a folder that may not be read
    store.journal.append(settled("b"))
    with pytest.raises(LedgerUnavailable, match="ledger.db: Too many levels of symbolic links"):
        store.writer.submit(list_keys).result(SECONDS)
    assert ("ledger.db: Too many levels" in store.writer.last_error, store.writer.is_unusable) == (True, False)
    (tmp_path / "moved.db").replace(store.path)
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 2


def test_a_bug_beside_the_ledger_is_told_and_the_ledger_goes_on(store: Store, tmp_path: Path) -> None:
    def lost() -> None:
        raise RuntimeError("the loop is closed")

    store.writer.journal_lost = lost
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    for path in (tmp_path / "journal").glob("*.log"):
        path.unlink()
    until = time.monotonic() + SECONDS
    while not store.told and time.monotonic() < until:  # a round may have looked already
        store.writer.flush(0.01)
    assert "the loop is closed" in store.told[-1]
    assert store.writer.submit(list_keys).result(SECONDS) == []


def test_a_ledger_that_is_damaged_while_in_use_is_reported(store: Store) -> None:
    for number in range(300):
        store.journal.append(settled(f"r{number}"))
    assert store.writer.flush(SECONDS)
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096 * 20)
    store.journal.append(settled("b"))
    store.wait_for_error()
    assert "is damaged" in store.writer.last_error
    assert store.writer.is_unusable
    assert store.journal.healthy


def test_a_backup_put_in_place_of_the_ledger_is_brought_up_to_date_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    backup(store.path, tmp_path / "copy.db")
    store.journal.append(settled("b"))
    assert store.close()
    (tmp_path / "copy.db").replace(store.path)
    again = Store(tmp_path)
    assert again.writer.flush(SECONDS)
    assert again.attempts() == 2
    again.close()


def test_garbage_in_the_segment_being_written_is_reported_and_later_records_arrive(
    store: Store, tmp_path: Path
) -> None:
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    for _ in range(4):  # roll-ups are filled and old rows pruned: what fails below is the taking in
        store.writer.submit(list_keys).result(SECONDS)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        first = store.journal.append(settled("lost"))
        store.journal.append(settled("behind it"))
        store.wait_for_error()
        with segment_path(tmp_path / "journal", first.segment).open("r+b") as file:
            file.seek(first.offset - 5)
            file.write(b"\xff\xff")
        other.execute("ROLLBACK")
    assert store.writer.flush(SECONDS)
    store.journal.append(settled("b"))
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 3, "but the one that was spoilt"
    assert store.writer.problems == 1
    assert any("bytes that are no record" in sentence for sentence in store.told)


def test_a_record_the_tables_refuse_does_not_hold_up_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=0.001, busy=SECONDS))  # a ledger that others use is no error here
    with closing(sqlite3.connect(store.path)) as other:
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON attempts WHEN new.request_id = 'bad' "
            "BEGIN SELECT raise(ABORT, 'no'); END"
        )
    for name in ("a", "bad", "b"):
        store.journal.append(settled(name))
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 2
    assert store.writer.errors == 1
    assert any("refused 1 records" in sentence for sentence in store.told)
    assert store.close()


def test_rows_older_than_the_ledger_keeps_are_removed_and_usage_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.journal.append(settled("old"))
    store.journal.append(settled("new", at_ms=int(time.time() * 1000)))
    assert store.close()
    pruning = Store(tmp_path, WriterRules(linger=0.001, keep_ms=86_400_000))
    assert pruning.close()
    assert pruning.attempts() == 1
    assert Files(tmp_path).find("old") == []


def test_a_flush_waits_for_what_is_told_beside_it(store: Store) -> None:
    told: list[str] = []
    store.writer.beside = lambda: store.writer.do(lambda _: told.append("told"))
    assert store.writer.flush(SECONDS)
    assert told  # though there was nothing to append
    store.writer.beside = list


def test_work_for_the_thread_comes_behind_what_was_appended(store: Store) -> None:
    store.journal.append(settled("a"))
    assert store.writer.submit(lambda connection: rows_of(connection, "a")).result(SECONDS) == [settled("a").row]
    assert store.writer.submit(position).result(SECONDS) == store.journal.end


def test_work_that_fails_fails_for_who_asked_and_changes_nothing(store: Store) -> None:
    def half(connection: Connection) -> None:
        create_key(connection, key("alice"))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        store.writer.submit(half).result(SECONDS)
    assert store.writer.submit(list_keys).result(SECONDS) == []
    assert store.writer.errors == 0


def test_work_that_comes_too_late_is_cancelled_or_done(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=5))
    futures = [store.writer.submit(list_keys) for _ in range(20)]
    assert store.close()
    assert all(future.cancelled() or future.result(0) == [] for future in futures)


def key(name: str, secret: bytes = b"1") -> StoredKey:
    return StoredKey(name, secret * 32, ("openai/*", "storyteller"), '[{"concurrent":8}]', "[]", 1_000)


def test_keys_are_made_listed_used_and_revoked(store: Store) -> None:
    run = store.writer.submit
    run(lambda connection: create_key(connection, key("alice"))).result(SECONDS)
    run(lambda connection: touch_keys(connection, {b"1" * 32: 5_000})).result(SECONDS)
    assert run(lambda connection: revoke_key(connection, "alice", 9_000)).result(SECONDS)
    assert not run(lambda connection: revoke_key(connection, "alice", 9_001)).result(SECONDS)
    run(lambda connection: create_key(connection, key("alice", b"2"))).result(SECONDS)
    first, second = run(list_keys).result(SECONDS)
    assert (first.last_used_ms, first.revoked_ms) == (5_000, 9_000)
    assert second == key("alice", b"2")


@pytest.mark.parametrize("second", [key("alice", b"2"), key("bob", b"1")], ids=["name", "secret"])
def test_a_live_name_and_a_secret_are_taken_once(store: Store, second: StoredKey) -> None:
    store.writer.submit(lambda connection: create_key(connection, key("alice"))).result(SECONDS)
    with pytest.raises(KeyExists):
        store.writer.submit(lambda connection: create_key(connection, second)).result(SECONDS)


def test_a_backup_is_one_whole_file_for_its_owner_only(store: Store, tmp_path: Path) -> None:
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    target = tmp_path / "out" / "copy.db"
    target.parent.mkdir()
    backup(store.path, target)
    assert target.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT id FROM attempts").fetchall() == [("a.1",)]
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(store: Store, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(BackupRefused, match="exists"):
        backup(store.path, taken)
    assert taken.read_text() == "mine"
    with pytest.raises(BackupRefused, match="unable to open"):
        backup(tmp_path / "none.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_spending_is_the_ledgers_plus_what_the_journal_has_behind_it(store: Store, tmp_path: Path) -> None:
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.journal.append(settled("b", cost_pusd=5))
        booked, at = Files(tmp_path).booked([DAY[0]])
        assert booked == {DAY: 30_000_000_000}
        assert replay(tmp_path / "journal", at).spent == {DAY: 5}
        other.execute("ROLLBACK")
    assert store.writer.submit(lambda connection: spent(connection, [DAY[0]])).result(SECONDS) == {DAY: 30_000_000_005}


def test_what_was_written_a_moment_ago_is_not_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=600))
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    end = store.journal.append(settled("b"))
    segment_path(tmp_path / "journal", end.segment).write_bytes(b"")  # would be told as a problem
    assert store.writer.flush(SECONDS)
    assert (store.attempts(), store.writer.problems, store.told) == (2, 0, [])
    store.close()


def test_what_only_its_segment_has_in_a_form_that_fits_is_read_there(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=600))
    store.journal.append(settled("a"))
    assert store.writer.flush(SECONDS)
    for odd in (settled("b", asked="half an emoji \ud83d"), settled("c", asked="x" * 100_000), settled("d")):
        store.journal.append(odd)
    assert store.writer.flush(SECONDS)
    store.journal.append(settled("b"))  # once more: it counts once
    store.journal.append(settled("e"))
    assert store.writer.flush(SECONDS)
    assert (store.attempts(), store.writer.problems) == (5, 0)
    assert Files(tmp_path).booked([DAY[0]])[0] == {DAY: 5 * 30_000_000_000}
    store.close()


def test_what_is_done_beside_goes_on_while_others_are_at_the_ledger(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=0.001, busy=600))
    rounds: list[int] = []
    store.writer.beside = lambda: rounds.append(1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.journal.append(settled("a"))
        made = store.writer.submit(list_keys)
        begun = len(rounds)
        until = time.monotonic() + SECONDS
        while len(rounds) < begun + 5 and time.monotonic() < until:
            store.writer.flush(0.01)
        assert len(rounds) >= begun + 5
        assert (store.writer.errors, made.done()) == (0, False)
        other.execute("ROLLBACK")
    assert made.result(SECONDS) == []
    assert store.writer.flush(SECONDS)
    assert store.attempts() == 1
    store.close()


def test_work_that_is_done_is_not_done_again_where_others_come_to_the_ledger_behind_it(tmp_path: Path) -> None:
    store = Store(tmp_path, WriterRules(linger=600, busy=600))
    rounds: list[int] = []
    store.writer.beside = lambda: rounds.append(1)
    attached = threading.Event()
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as other:
        first = store.writer.do(lambda _: attached.wait(SECONDS))
        # in the same round, before the roll-ups are filled, somebody locks the ledger
        first.add_done_callback(lambda _: other.execute("BEGIN EXCLUSIVE"))
        attached.set()
        assert first.result(SECONDS)
        second = store.writer.submit(list_keys)
        until = time.monotonic() + SECONDS
        while len(rounds) < 3 and time.monotonic() < until:
            store.writer.flush(0.01)
        assert (len(rounds) >= 3, second.done()) == (True, False)
        other.execute("ROLLBACK")
    assert store.writer.flush(SECONDS)
    assert second.result(SECONDS) == []
    assert (store.writer.errors, store.told) == (0, [])
    assert store.close()
