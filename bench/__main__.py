"""`python -m bench`: measure, print the table.  `--quick` takes about a minute, the full run about three."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.contenders import NAMES, ROOT, start_upstreams
from bench.measure import FULL, QUICK, Bench, Effort, measure
from bench.processes import BenchError, core_count, pin_self
from bench.report import Results, disturbance, table

# above this share the numbers say as much about the neighbours as about the proxies
MOST_DISTURBED = 0.05


def main() -> int:
    """Run; 1 with one line on stderr where that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round instead of three")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every number to FILE as well")
    options = parser.parse_args()
    try:
        _require_tools()
        pin_self()
        about = _about()
        results = _run(QUICK if options.quick else FULL)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(table(results))
    others = disturbance(results)
    verdict = "Run it again on a quieter machine." if others > MOST_DISTURBED else "The machine was quiet."
    print(f"\nOthers used at most {others:.0%} of the proxies' core meanwhile. {verdict}")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    return 0


def _require_tools() -> None:
    missing = [tool for tool in ("nginx", "caddy", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        raise BenchError(
            f"{' and '.join(missing)} not found. On Debian or Ubuntu: apt-get install nginx caddy wrk util-linux"
        )


def _run(effort: Effort) -> Results:
    """All rounds, the proxies by turns."""
    results: Results = {name: {} for name in NAMES}
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as name:
        folder = Path(name)
        upstreams, processes = start_upstreams(folder)
        try:
            for number in range(effort.rounds):
                for contender in NAMES:
                    print(f"round {number + 1} of {effort.rounds}: {contender}", file=sys.stderr)
                    for metric, values in measure(contender, Bench(folder, upstreams, effort)).items():
                        results[contender].setdefault(metric, []).extend(values)
        finally:
            for process in processes:
                process.end()
    return results


def _about() -> dict[str, str]:
    """What was measured, on what."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": str(core_count()),
        "tollkeeper": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], r".+"),
        "Python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "uvloop": version("uvloop"),
        "nginx": _said(["nginx", "-v"], r"[\d.]+"),
        "Caddy": _said(["caddy", "version"], r"[\d.]+"),
        "wrk": _said(["wrk", "-v"], r"[\d.]+"),
    }


def _said(command: list[str], pattern: str) -> str:
    """The first thing in a command's output that fits."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return "unknown"
    found = re.search(pattern, ran.stdout + ran.stderr)
    return found[0] if found else "unknown"


if __name__ == "__main__":
    sys.exit(main())
