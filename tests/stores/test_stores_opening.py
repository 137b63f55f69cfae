"""The ledger's file at start: new, old, newer, damaged, somebody else's."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from proxy.stores.database import engine_for, reading
from proxy.stores.failures import LedgerDamaged, LedgerTooNew, LedgerUnavailable
from proxy.stores.ledger.known import REVISIONS
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import MOST_CHECKED_BYTES, TABLES, open_ledger
from proxy.stores.ledger.upgrade import MIGRATIONS, upgrade
from proxy.stores.secrets.hash_key import hash_key, keyed
from tools.make_tables import text

OLDER = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num))"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def run(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


def tables_of(path: Path) -> dict[object, object]:
    """What tables, columns and indexes there are, however they came about."""
    found = run(
        path, "SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name != 'alembic_version'"
    )
    strict = {name: row for _, name, *row in run(path, "PRAGMA table_list")}
    looks = {
        name: [run(path, f"PRAGMA {look}({name!r})") for look in ("table_info", "index_list", "index_xinfo")]
        for name, _ in found
    }
    return {name: (kind, strict.get(name), looks[name]) for name, kind in found}


def revision_in(path: Path) -> list[tuple[object, ...]]:
    return run(path, "SELECT version_num FROM alembic_version")


def test_a_new_ledger_is_made_stamped_and_for_its_owner_only(path: Path) -> None:
    open_ledger(path)
    open_ledger(path)
    assert revision_in(path) == [(REVISIONS[-1],)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_new_ledger_has_the_tables_of_the_schema() -> None:
    assert TABLES.read_text() == text(), "the schema has changed: python -m tools.make_tables"


def test_a_new_ledger_needs_no_sqlalchemy(path: Path) -> None:
    code = f"import sys, pathlib, proxy.stores.ledger.opening as o; o.open_ledger(pathlib.Path({str(path)!r}))"
    code += "; o.open_ledger(pathlib.Path(sys.argv[1])); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_the_migrations_lead_to_the_tables_of_the_schema(path: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    run(older, OLDER)
    open_ledger(older)
    open_ledger(path)
    assert tables_of(older) == tables_of(path)
    assert revision_in(older) == [(REVISIONS[-1],)]


def test_the_revisions_are_the_ones_there_are_migrations_for() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_plain_hashes_of_an_earlier_version_become_keyed_ones(path: Path, migrations: Path) -> None:
    migrate_to("0001", path, migrations)
    plain = hashlib.sha256(b"sk-tk-secret").digest()
    row = f"'bob', x'{plain.hex()}', '[]', '[]', '[]', 1"
    run(path, f"INSERT INTO keys (name, key_sha256, models, limits, budgets, created_ms) VALUES ({row})")
    open_ledger(path)
    assert run(path, "SELECT name, key_hmac FROM keys") == [("bob", keyed(hash_key(path.parent), plain))]
    assert revision_in(path) == [(REVISIONS[-1],)]


def test_living_keys_of_an_earlier_version_go_on_with_what_is_kept_under_their_names(
    path: Path, migrations: Path
) -> None:
    migrate_to("0028", path, migrations)
    for number, revoked in enumerate(("1", "NULL")):
        row = f"'bob', x'{number:02x}', '[]', '[]', '[]', 1, {revoked}"
        run(path, f"INSERT INTO keys (name, key_hmac, models, limits, budgets, created_ms, revoked_ms) VALUES ({row})")
    open_ledger(path)
    assert run(path, "SELECT revoked_ms, owner FROM keys ORDER BY seq") == [(1, ""), (None, "bob")]


def test_rows_of_an_earlier_version_stand_for_themselves(path: Path, migrations: Path) -> None:
    migrate_to("0002", path, migrations)
    columns = [str(name) for _, name, *_ in run(path, "PRAGMA table_info(attempts)")]
    numbers = {name for _, name, kind, *_ in run(path, "PRAGMA table_info(attempts)") if kind == "INTEGER"}
    values = ", ".join("1" if name in numbers else "'x'" for name in columns)
    run(path, f"INSERT INTO attempts ({', '.join(columns)}) VALUES ({values})")
    open_ledger(path)
    assert run(path, "SELECT times, first_token_ms, sent_ms FROM attempts") == [(1, None, None)]


ADDED = f'''"""Synthetic."""
import sqlalchemy as sa
from alembic import op
revision = "9000"
down_revision = "{REVISIONS[-1]}"
def upgrade():
    with op.batch_alter_table("budget_spent") as table:
        table.add_column(sa.Column("note", sa.Text()))
    op.execute("UPDATE budget_spent SET note = 'kept'")
'''


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    directory = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, directory, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def migrate_to(revision: str, path: Path, directory: Path) -> None:
    """Make the ledger of an earlier version: of the migrations, those behind its revision are put away."""
    for script in (directory / "versions").glob("*_????.py"):
        if script.stem[-4:] > revision:
            script.unlink()
    run(path, OLDER)
    migrate(path, directory)


def migrate(path: Path, directory: Path) -> None:
    with engine_for(path).begin() as connection:
        upgrade(connection, directory)


def test_an_older_ledger_keeps_its_rows_through_a_migration(path: Path, migrations: Path) -> None:
    open_ledger(path)
    run(path, "INSERT INTO budget_spent (budget, period, spent_pusd) VALUES ('b', 1, 42)")
    (migrations / "versions" / "added_9000.py").write_text(ADDED)
    migrate(path, migrations)
    assert run(path, "SELECT * FROM budget_spent") == [("b", 1, 42, 0, "kept")]
    assert revision_in(path) == [("9000",)]


def test_a_migration_that_fails_half_way_changes_nothing(path: Path, migrations: Path) -> None:
    open_ledger(path)
    before = tables_of(path)
    failing = ADDED + '    op.execute("SELECT * FROM nowhere")\n'
    (migrations / "versions" / "added_9000.py").write_text(failing)
    with pytest.raises(OperationalError, match="nowhere"):
        migrate(path, migrations)
    assert tables_of(path) == before
    assert revision_in(path) == [(REVISIONS[-1],)]


def test_a_newer_ledger_is_refused(path: Path) -> None:
    open_ledger(path)
    run(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerTooNew, match="schema 9999"):
        open_ledger(path)


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    run(path, "CREATE TABLE cats (name)")
    with pytest.raises(LedgerDamaged, match="something else"):
        open_ledger(path)
    assert list(tables_of(path)) == ["cats"]


@pytest.mark.parametrize("offset", [0, 100, 4096 * 3 + 5])
def test_a_damaged_ledger_is_refused_and_not_replaced(path: Path, offset: int) -> None:
    open_ledger(path)
    content = bytearray(path.read_bytes())
    content[offset : offset + 600] = b"\xa5" * 600
    path.write_bytes(content)
    with pytest.raises(LedgerDamaged, match="tollkeeper backup"):
        open_ledger(path)
    assert path.read_bytes() == content


def test_of_a_large_ledger_a_start_checks_what_it_reads_and_the_writer_the_rest(path: Path) -> None:
    open_ledger(path)
    name = "x" * 4000
    run(path, *[f"INSERT INTO sums_by_quarter VALUES ({n}, '{name}', 0, 0, 0, 0, 0, 0, 0, 0, 0)" for n in range(900)])
    (root,) = run(path, "SELECT rootpage FROM sqlite_master WHERE name = 'sums_by_quarter'")[0]
    with path.open("r+b") as file:
        file.seek((int(str(root)) - 1) * 4096 + 8)
        file.write(b"\xa5" * 600)
    content = path.read_bytes()
    assert len(content) > MOST_CHECKED_BYTES
    open_ledger(path)
    with pytest.raises(LedgerDamaged, match="tollkeeper backup"):
        Link(path, 1.0).position()
    assert path.read_bytes() == content


def test_a_large_ledger_whose_keys_are_damaged_is_refused_at_start(path: Path) -> None:
    open_ledger(path)
    name = "x" * 4000
    run(path, *[f"INSERT INTO sums_by_quarter VALUES ({n}, '{name}', 0, 0, 0, 0, 0, 0, 0, 0, 0)" for n in range(900)])
    (root,) = run(path, "SELECT rootpage FROM sqlite_master WHERE name = 'keys'")[0]
    with path.open("r+b") as file:
        file.seek((int(str(root)) - 1) * 4096)
        file.write(b"\xa5" * 600)
    assert path.stat().st_size > MOST_CHECKED_BYTES
    with pytest.raises(LedgerDamaged):
        open_ledger(path)


def test_a_locked_ledger_is_said_to_be_locked_not_damaged(path: Path) -> None:
    open_ledger(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        engine = engine_for(path, busy_seconds=0.01)
        with pytest.raises(OperationalError, match="locked"), engine.begin():
            pass


def test_a_killed_creation_leaves_an_empty_file_that_is_filled_next_time(path: Path) -> None:
    path.touch()
    open_ledger(path)
    assert revision_in(path) == [(REVISIONS[-1],)]


def test_a_file_that_cannot_be_opened_is_told_with_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    needs = "needs a folder this user can write to: .*gone"
    with pytest.raises(LedgerUnavailable, match=needs), reading(tmp_path / "gone" / "ledger.db"):
        pass
