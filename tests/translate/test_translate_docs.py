"""The page on translation names every loss there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.translate.losses import FIELDS

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"


def test_every_loss_is_explained_and_no_other() -> None:
    table = PAGE.read_text().partition("## What is lost")[2]
    named = [
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(FIELDS)
