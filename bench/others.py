"""Other LLM gateways from their packages, in the same run: a small call and a streamed event through each."""

from __future__ import annotations

import sys
from functools import partial

from bench.contenders import CONTENDERS, US, litellm, portkey, tensorzero
from bench.measure import Bench, Results, Start, events, small_calls, started, warm_up
from bench.payloads import small_request, stream_request
from bench.processes import BenchError, resident_bytes
from bench.report import shown

_GATEWAYS = (tensorzero.GATEWAY, portkey.GATEWAY, litellm.GATEWAY)
_WRK_SECONDS = 10  # the slowest answers some dozen calls in a second
_COLUMNS = (
    ("CPU per small call, µs", "call cpu", "µs"),
    ("CPU per streamed event, µs", "event cpu", "µs"),
    ("idle memory, RSS, MB", "idle rss", "MB"),
    ("start to the first answer, s", "cold start", "s"),
)


def run(bench: Bench) -> Results:
    """Every gateway that installs and runs here, by turns with nginx, Caddy and the daemon; the others are named."""
    bench = bench._replace(effort=bench.effort._replace(wrk_seconds=_WRK_SECONDS))
    starts: dict[str, Start] = {name: CONTENDERS[name] for name in ("nginx", "Caddy")}
    skipped: dict[str, str] = {}
    for gateway in _GATEWAYS:
        print(f"installing {gateway.name}", file=sys.stderr)
        try:
            starts[gateway.name] = partial(gateway.start, gateway.install(bench.folder / gateway.name.split()[0]))
        except BenchError as error:
            skipped[gateway.name] = str(error)
    starts[US] = CONTENDERS[US]
    results: Results = {name: {} for name in starts}
    for number in range(bench.effort.rounds):
        for name, start in starts.items():
            print(f"round {number + 1} of {bench.effort.rounds}: {name}", file=sys.stderr)
            for metric, value in _measured(name, start, bench, skipped).items():
                results[name].setdefault(metric, []).append(value)
    print(table(results))
    print("".join(f"\n{name}: {reason}" for name, reason in skipped.items()))
    return results


def table(results: Results) -> str:
    """One line a proxy, in Markdown; a dash where it did not serve."""
    lines = ["| | " + " | ".join(label for label, _, _ in _COLUMNS) + " |", "|---|" + "--:|" * len(_COLUMNS)]
    for name, measured in results.items():
        cells = [shown(measured[metric], unit) if metric in measured else "–" for _, metric, unit in _COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(name: str, start: Start, bench: Bench, skipped: dict[str, str]) -> dict[str, float]:
    """What was measured before it failed, if it did: `skipped` then says how."""
    found: dict[str, float] = {}
    try:
        with started(start, bench.folder, bench.upstreams.plain) as contender:
            found["cold start"] = contender.cold_seconds
            warm_up(contender.whole, small_request(contender.whole))
            found["idle rss"] = resident_bytes(contender.process.pids)
            found |= small_calls(contender, bench)
            warm_up(contender.stream, stream_request(contender.stream, 2, 0))
            found |= events(contender, bench)
    except BenchError as error:
        skipped[name] = str(error)
    return found
