"""The configuration in force: the file, and over it what is stored in its state directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.config.problems import ConfigProblems
from proxy.stores.secrets.vault import Vault, open_vault

if TYPE_CHECKING:
    from proxy.config.load import Loaded


class Effective(Struct, frozen=True):
    """`loaded` is both together; `vault` what is stored."""

    loaded: Loaded
    vault: Vault


def load_effective(
    file: Path | None, env: Mapping[str, str], *, mock: bool = False, needs_secrets: bool = True
) -> Effective:
    """As `load`, with the stored settings; a store that cannot be read has none, which whoever opens it will say.

    Raises ConfigProblems.
    """
    from proxy.config.load import load  # slow to import, and large; a daemon that only serves does without
    from proxy.config.locate import locate

    try:
        loaded = load(file, env, mock=mock, needs_secrets=needs_secrets)
        state_dir, keys = loaded.settings.state_dir, loaded.settings.master_key_file
    except ConfigProblems:  # it may want what is stored
        place = locate(file, env)
        vault = open_vault(Path(place.state_dir), Path(place.master_key_file), env)
        if not vault.entries:
            raise
    else:
        vault = open_vault(Path(state_dir), Path(keys), env)
        if not vault.entries:
            return Effective(loaded, vault)
    return Effective(load(file, env, mock=mock, needs_secrets=needs_secrets, stored=vault.entries), vault)
