"""The versions of use cases, as they are found by whoever only reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from proxy.config.load import load
from proxy.stores.database import connect
from proxy.stores.ledger.known import REVISIONS
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.use_cases import kept_versions, numbered_from, numbered_in

KNOW_VERSIONS = REVISIONS[REVISIONS.index("0011") :]


def test_what_an_older_version_has_numbered_keeps_its_number(tmp_path: Path) -> None:
    ledger, file = tmp_path / "ledger.db", tmp_path / "config.yaml"
    open_ledger(ledger)
    for system in ("Be brief.", "Be kind."):
        file.write_text(
            f"providers: {{mock: {{kind: mock}}}}\nmodels: {{play: {{target: mock/echo, system: {system}}}}}\n"
        )
        settings = load(file, {}).settings
        with closing(connect(ledger)) as driver:
            numbered_in(driver, settings, 1)
            driver.commit()
    for revision in REVISIONS:
        with closing(connect(ledger)) as driver:
            driver.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            driver.commit()
        kept, use = kept_versions(ledger), numbered_from(ledger, settings).aliases["play"].use
        assert kept is not None
        assert use is not None
        numbers = ([version.number for version in kept], use.number)
        assert numbers == (([1, 2], 2) if revision in KNOW_VERSIONS else ([], 1)), revision
