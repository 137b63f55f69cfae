"""`python -m bench`: measure, print the table, with other proxies in the same run.

Three rounds take about ten minutes, `--quick` about two. What else it measures: `--growth`, `--others`, `--profile`, `--questions`,
`--translation`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import growth, others, profiling, questions, translating
from bench.contenders import CONTENDERS, US
from bench.ledger import fill
from bench.measure import FULL, QUICK, Bench, Results, measure, started
from bench.processes import ROOT, BenchError, core_count, pin_self
from bench.report import disturbance, in_short, table
from bench.upstreams import start_upstreams

# above this share the numbers say as much about the neighbours as about the proxies
MOST_DISTURBED = 0.05
GROWTH_ROWS = 1_000_000
QUESTIONS_ROWS = 10_000_000

Part = Callable[[Bench, argparse.Namespace], object]


def main() -> int:
    """Run; 1 with one line on stderr where that is not possible."""
    options = _options()
    part: Part = _compare
    for name, other in _PARTS.items():
        if getattr(options, name):
            part = other
    try:
        _require_tools()
        pin_self()
        about = _about()
        print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
        results = _run(part, options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    return 0


def _run(part: Part, options: argparse.Namespace) -> object:
    """One part, in a folder of its own, before upstreams of its own; everything is compiled before."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-bench-") as name:
        folder = Path(name)
        _compile_to(folder / "compiled")
        upstreams = start_upstreams(folder)
        try:
            with started(CONTENDERS[US], folder, upstreams.plain):
                pass
            return part(Bench(folder, upstreams, QUICK if options.quick else FULL), options)
        finally:
            upstreams.end()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--growth", action="store_true", help="what a call costs as keys, models, rows and streams grow")
    what.add_argument("--others", action="store_true", help="beside other LLM gateways, from their packages")
    what.add_argument("--profile", action="store_true", help="where a small call and an event spend it")
    what.add_argument("--questions", action="store_true", help="how long answers over a large ledger take")
    what.add_argument(
        "--translation", action="store_true", help="an event said in another protocol, beside one as it came"
    )
    parser.add_argument("--quick", action="store_true", help="one short round instead of three")
    parser.add_argument(
        "--ledger-rows", metavar="N", type=int, help="a ledger of so many rows before the daemon starts"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every number to FILE as well")
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, help="where --growth writes its curves as SVG")
    return parser.parse_args()


def _compare(bench: Bench, options: argparse.Namespace) -> Results:
    """All rounds, the proxies by turns."""
    if options.ledger_rows:
        fill(bench, options.ledger_rows)
    results: Results = {name: {} for name in CONTENDERS}
    for number in range(bench.effort.rounds):
        for contender, start in CONTENDERS.items():
            print(f"round {number + 1} of {bench.effort.rounds}: {contender}", file=sys.stderr)
            for metric, values in measure(start, bench).items():
                results[contender].setdefault(metric, []).extend(values)
    print(table(results))
    print(f"\n{in_short(results)}")
    used = disturbance(results)
    verdict = "Run it again on a quieter machine." if used > MOST_DISTURBED else "The machine was quiet."
    print(f"\nOthers used at most {used:.0%} of the proxies' core meanwhile. {verdict}")
    return results


def _grow(bench: Bench, options: argparse.Namespace) -> object:
    return growth.run(bench, options.ledger_rows or GROWTH_ROWS, options.pictures)


def _others(bench: Bench, _options: argparse.Namespace) -> object:
    return others.run(bench)


def _profile(bench: Bench, _options: argparse.Namespace) -> object:
    return profiling.run(bench)


def _translate(bench: Bench, _options: argparse.Namespace) -> object:
    return translating.run(bench)


def _ask(bench: Bench, options: argparse.Namespace) -> object:
    return questions.run(bench, options.ledger_rows or QUESTIONS_ROWS)


_PARTS: dict[str, Part] = {
    "growth": _grow,
    "others": _others,
    "profile": _profile,
    "questions": _ask,
    "translation": _translate,
}


def _compile_to(folder: Path) -> None:
    """Programs of Python are compiled once, as where they are installed, whatever is usual on this machine."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def _require_tools() -> None:
    missing = [tool for tool in ("nginx", "caddy", "wrk", "taskset", "openssl") if shutil.which(tool) is None]
    if missing:
        raise BenchError(
            f"{' and '.join(missing)} not found. On Debian or Ubuntu: apt-get install nginx caddy wrk openssl util-linux"
        )


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
