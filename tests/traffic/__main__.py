"""`PYTHONPATH=tests python -m traffic`: plays everything, prints each fault and the table of counts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from traffic.judging import judge, table
from traffic.recorded import exchanges
from traffic.replay import play


def main() -> None:
    """Play in open mode and under a key with a budget."""
    playable = [exchange for exchange in exchanges() if exchange.skipped is None]
    for with_key in (False, True):
        chosen = [exchange for exchange in playable if exchange.endpoint or not with_key]
        with tempfile.TemporaryDirectory() as folder:
            judged = [judge(one) for one in play(chosen, Path(folder), with_key=with_key, seed=1)]
        print(f"\n== {'under a budget' if with_key else 'open mode'}")
        for fault in (fault for one in judged for fault in one.faults):
            where = f"{fault.exchange.entry or fault.exchange.host} {fault.exchange.model} {fault.exchange.id[-90:]}"
            print(f"{fault.check:8} {where}\n         {fault.detail}")
        print(table(judged))


if __name__ == "__main__":
    sys.exit(main())
