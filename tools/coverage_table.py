"""How much of each package of `proxy/` the tests reach, lines and branches together; run by `make coverage`.

Reads what `coverage json` wrote, prints a table, and ends with 1 where a package is below `LEAST`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

LEAST = 95.0


def package_of(file: str) -> str:
    """`proxy/web/client/api.py` is of `web`, a module right below `proxy/` of `proxy`."""
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else parts[0]


def main() -> int:
    """Print the table of the JSON report named by the first argument; 0 if every package is reached enough."""
    reached, present = defaultdict[str, int](int), defaultdict[str, int](int)
    for file, measured in json.loads(Path(sys.argv[1]).read_text())["files"].items():
        summary, package = measured["summary"], package_of(file)
        reached[package] += summary["covered_lines"] + summary["covered_branches"]
        present[package] += summary["num_statements"] + summary["num_branches"]
    shares = {package: 100 * reached[package] / present[package] for package in sorted(present)}
    for package, share in shares.items():
        print(f"{package:12}{share:7.1f} %{'' if share >= LEAST else f'  below {LEAST:g} %'}")
    return int(min(shares.values()) < LEAST)


if __name__ == "__main__":
    sys.exit(main())
