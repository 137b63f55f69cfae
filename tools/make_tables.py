"""Writes proxy/stores/ledger/tables.sql: the tables of `stores/ledger/schema.py` as a new ledger is made of them, which a start does
without SQLAlchemy. Run it after a change there: `python -m tools.make_tables`."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from proxy.stores.ledger.opening import TABLES
from proxy.stores.ledger.schema import TRIGGERS, alembic_version, metadata


def text() -> str:
    """The whole file."""
    return "".join(f"{statement};\n" for statement in _statements())


def _statements() -> Iterator[str]:
    for table in (*metadata.sorted_tables, alembic_version):
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        elements: list[CreateTable | CreateIndex] = [CreateTable(table), *map(CreateIndex, indexes)]
        for element in elements:
            compiled = str(element.compile(dialect=dialect())).strip()
            yield "\n".join(line.replace("\t", "  ").rstrip() for line in compiled.splitlines())
    yield from TRIGGERS


if __name__ == "__main__":
    TABLES.write_text(text())
