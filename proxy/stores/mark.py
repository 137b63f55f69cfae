"""The mark beside the ledger that keys are wanted here: closed stays closed. Reading it takes no database."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.policy.values import Settings

_NAME = "keyed"


def mark_keyed(settings: Settings) -> None:
    """Remember that keys are wanted here, should the configuration lose them or the ledger be damaged one day."""
    (Path(settings.state_dir) / _NAME).touch(mode=0o600)


def is_marked(settings: Settings) -> bool:
    """Whether there was ever a key, in the configuration or the store."""
    return os.path.exists(Path(settings.state_dir) / _NAME)
