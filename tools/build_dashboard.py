"""Building a wheel brings the dashboard along: it is built first, where npm is there and nobody has built it yet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DashboardHook(BuildHookInterface[Any]):
    """A checkout that is installed to be edited has `make dashboard`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before anything is packed."""
        root = Path(self.root)
        source, built = root / "dashboard", root / "proxy" / "data" / "dashboard" / "index.html"
        if version == "editable" or built.exists() or not source.exists():
            return
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning("Without npm this wheel has no dashboard; everything else is in it.")
            return
        try:
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=source, check=True)
            subprocess.run([npm, "run", "build"], cwd=source, check=True)
        except subprocess.CalledProcessError as error:
            self.app.display_warning(f"The dashboard could not be built ({error}); everything else is in this wheel.")
