"""The mark beside the ledger that keys are wanted here. Reading it takes no database."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.policy.values import Settings

_NAME = "keyed"


def mark_keyed(settings: Settings) -> None:
    """Remember outside the ledger that keys are wanted here, should it be damaged one day."""
    (Path(settings.state_dir) / _NAME).touch(mode=0o600)


def is_marked(settings: Settings) -> bool:
    """Whether there was ever a key of the store."""
    return os.path.exists(Path(settings.state_dir) / _NAME)
