"""What a call costs as keys, models, rows of the ledger and open streams grow: it should stay what it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import streams
from bench.contenders import tollkeeper
from bench.contenders.tollkeeper import Grown
from bench.ledger import add_keys, fill
from bench.measure import Bench, events, running, small_calls
from bench.pictures import picture
from bench.processes import run_ours
from bench.report import SCALE, shown

FLAT = 0.10
_KEYS = (1, 100, 1_000, 10_000)
_MODELS = (10, 100, 1_000)
_STREAMS = (1, 10, 100, 1_000, 5_000)
_EVENTS_A_SECOND = 1_000  # of all streams together, so that what runs beside them weighs the same

Values = dict[str, float]


class Curve(NamedTuple):
    """One number while something grows: its values, in seconds, by how much there was of it."""

    name: str
    title: str
    grows: str
    unit: str
    points: dict[int, list[float]]

    @property
    def growth(self) -> float:
        """From the first point to the last, as a share."""
        values = [median(values) for values in self.points.values()]
        return values[-1] / values[0] - 1


def run(bench: Bench, rows: int, pictures: Path | None) -> list[dict[str, object]]:
    """Measure every curve, print the table, draw the pictures if there is a folder for them."""
    keys = _measured(bench, "keys", _KEYS, lambda bench, count: _call(bench, Grown(keys=count)))
    models = _measured(bench, "models", _MODELS, lambda bench, count: _call(bench, Grown(models=count)))
    ledger = _measured(bench, "rows", (0, rows // 10, rows), _with_rows)
    flowing = _measured(bench, "open streams", _STREAMS, _event)
    curves = [
        Curve("keys-one", "CPU per small call", "keys, one of them calling", "µs", keys["one"]),
        Curve("keys", "CPU per small call", "keys, all of them calling in turn", "µs", keys["call"]),
        Curve("models-one", "CPU per small call", "models, one of them called", "µs", models["one"]),
        Curve("models", "CPU per small call", "models, all of them called in turn", "µs", models["call"]),
        Curve("rows", "CPU per small call", "rows of the ledger", "µs", ledger["call"]),
        Curve("streams", "CPU per event", "open streams", "µs", flowing["event"]),
        Curve("start", "start to the first answer", "rows of the ledger", "s", ledger["start"]),
        Curve("usage", "`tollkeeper usage --by model`", "rows of the ledger", "s", ledger["usage"]),
    ]
    print(table(curves))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for curve in curves:
            values = {count: median(found) / SCALE[curve.unit] for count, found in curve.points.items()}
            title = f"{curve.title.replace('`', '')}, {curve.unit}, by {curve.grows}"
            (pictures / f"growth-{curve.name}.svg").write_text(picture(title, values))
    return [curve._asdict() for curve in curves]


def table(curves: Sequence[Curve]) -> str:
    """One line a curve, in Markdown."""
    lines = ["| what | as these grow | values | growth | must: flat within 10 % |", "|---|---|---|--:|---|"]
    for curve in curves:
        values = ", ".join(f"{count:,}: {shown(found, curve.unit)}" for count, found in curve.points.items())
        verdict = "met" if curve.growth <= FLAT else "**not met**"
        lines.append(f"| {curve.title}, {curve.unit} | {curve.grows} | {values} | {curve.growth:+.0%} | {verdict} |")
    return "\n".join(lines)


def _measured(
    bench: Bench, grows: str, counts: Sequence[int], measure: Callable[[Bench, int], Values]
) -> dict[str, dict[int, list[float]]]:
    """Every count in every round, each in a folder of its own, so that the rounds find what the first one made."""
    found: dict[str, dict[int, list[float]]] = {}
    for number in range(bench.effort.rounds):
        for count in counts:
            print(f"round {number + 1} of {bench.effort.rounds}: {count:,} {grows}", file=sys.stderr)
            folder = bench.folder / f"{grows.split()[-1]}-{count}"
            folder.mkdir(exist_ok=True)
            for metric, value in measure(bench._replace(folder=folder), count).items():
                found.setdefault(metric, {}).setdefault(count, []).append(value)
    return found


def _call(bench: Bench, grown: Grown) -> Values:
    if grown.keys and not (bench.folder / "state").exists():
        add_keys(bench.folder, bench.upstreams.plain, grown.keys)
    with running(partial(tollkeeper.start, grown=grown), bench.folder, bench.upstreams.plain) as contender:
        doors = grown.doors(contender.whole)
        one = small_calls(contender, bench, doors[:1])["call cpu"]
        return {"one": one, "call": small_calls(contender, bench, doors)["call cpu"]}


def _with_rows(bench: Bench, rows: int) -> Values:
    if rows and not (bench.folder / "state").exists():
        fill(bench, rows)
    with running(tollkeeper.start, bench.folder, bench.upstreams.plain) as contender:
        call = small_calls(contender, bench)["call cpu"]
        began = time.monotonic()
        run_ours("usage", "--by", "model", "--config", str(bench.folder / "config.yaml"))
        return {"call": call, "start": contender.cold_seconds, "usage": time.monotonic() - began}


def _event(bench: Bench, count: int) -> Values:
    """Short streams cannot be left out at their ends for long; the slowest have an event in five seconds."""
    interval_ms = max(1, count * 1_000 // _EVENTS_A_SECOND)
    each = max(6, 6_000 // interval_ms)
    pace = streams.Pace(count, each, interval_ms, margin=max(1, each // 20), spread=1.37)
    with running(tollkeeper.start, bench.folder, bench.upstreams.plain) as contender:
        return {"event": events(contender, bench, pace)["event cpu"]}
