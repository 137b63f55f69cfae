"""What an event costs that is said in another protocol, beside one that passes as it came, in the same run."""

from __future__ import annotations

import sys
from statistics import median

from bench.contenders import tollkeeper
from bench.measure import Bench, events, running
from bench.payloads import CHAT_ONLY_ALIAS, Door

MOST, AIM = 1.5, 1.2
NATIVE = "chat"
PATHS = {NATIVE: "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
"""Of clients; the provider speaks only the first."""


def run(bench: Bench) -> dict[str, list[float]]:
    """Measure each client by turns before one daemon, print the table. Seconds an event, by the client's protocol."""
    found: dict[str, list[float]] = {protocol: [] for protocol in PATHS}
    with running(tollkeeper.start, bench.folder, bench.upstreams.plain) as contender:
        for number in range(bench.effort.rounds):
            for protocol, path in PATHS.items():
                print(f"round {number + 1} of {bench.effort.rounds}: {protocol}", file=sys.stderr)
                door = Door(contender.stream.port, CHAT_ONLY_ALIAS, path)
                found[protocol].append(events(contender._replace(stream=door), bench)["event cpu"])
    print(table(found))
    return found


def table(found: dict[str, list[float]]) -> str:
    """The medians, and of the ratios within each round."""
    lines = [
        "| client, at a provider that speaks chat | CPU per event, µs | beside native | must | aim |",
        "|---|--:|--:|---|---|",
    ]
    for protocol, values in found.items():
        ratio = median(value / native for value, native in zip(values, found[NATIVE], strict=True))
        said = [f"≤ {bound} ×: {'met' if ratio <= bound else '**not met**'}" for bound in (MOST, AIM)]
        beside = ["native", "", ""] if protocol == NATIVE else [f"{ratio:.2f} ×", *said]
        lines.append(f"| {' | '.join([protocol, f'{median(values) * 1e6:.1f}', *beside])} |")
    return "\n".join(lines)
