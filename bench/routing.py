"""`python -m bench.routing FILE…`: what routing costs at 95 % of the strong model's accuracy, by a table of who was right.

Columns of a CSV file: `prompt`, one of each model with true, false, or a score from 0 to 1, and with `MODEL|total_cost` what each
answer cost in USD (RouterBench); without, the price of each model comes by `--price MODEL=USD`, per million tokens (RouteLLM).
Without files: how long a decision takes.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, median

from msgspec import Struct

from proxy.policy.routing.board import LIKELY_OUTPUT, Kind, board_of
from proxy.policy.routing.deciding import Chance, decide
from proxy.policy.routing.values import BITS, NAMED, UNKNOWN, WELL, Ask, Candidate
from proxy.policy.strategies import Strategy, Weights
from proxy.policy.values import Target

PART = 0.95
CHARACTERS_A_TOKEN = 4
STEPS = 50
_COST = "|total_cost"
_NO_MODEL = re.compile(r"\||_response$|^(prompt|sample_id|eval_name|oracle_model_to_route_to)$")
_SCORES = {"true": 1.0, "false": 0.0}


class Question(Struct, frozen=True):
    """One row: how right each model was, 0 to 1, and what its answer cost in USD; `tokens` of its prompt."""

    tokens: int
    right: tuple[float, ...]
    usd: tuple[float, ...]


class Table(Struct, frozen=True):
    """`models` by what they cost, the cheapest first."""

    models: tuple[str, ...]
    questions: tuple[Question, ...]


class Point(Struct, frozen=True):
    """What answering all questions in one way comes to: USD a question, and the part that is right."""

    usd: float
    accuracy: float


def read(files: Iterable[Path], prices: dict[str, float]) -> Table:
    """All rows of all files. Raises ValueError where a price is missing, or no two models are there."""
    rows: list[dict[str, str]] = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as opened:
            rows += csv.DictReader(opened)
    if not rows:
        raise ValueError("there are no rows")
    models = [name for name in rows[0] if name and not _NO_MODEL.search(name) and _score(rows[0][name])]
    if len(models) < 2:
        raise ValueError("no two columns hold true, false, or a score from 0 to 1")
    for name in models:
        if name + _COST not in rows[0] and name not in prices:
            raise ValueError(f"what does {name} cost? Give --price '{name}=USD' per million tokens")
    questions = [_question(row, models, prices) for row in rows]
    order = sorted(range(len(models)), key=lambda at: fmean(one.usd[at] for one in questions))
    sorted_ = [
        Question(one.tokens, tuple(one.right[at] for at in order), tuple(one.usd[at] for at in order))
        for one in questions
    ]
    return Table(tuple(models[at] for at in order), tuple(sorted_))


def _question(row: dict[str, str], models: Sequence[str], prices: dict[str, float]) -> Question:
    tokens = len(row.get("prompt") or "") // CHARACTERS_A_TOKEN
    right = tuple((_score(row[name]) or [0.0])[0] for name in models)
    told = (row.get(name + _COST) for name in models)
    usd = (
        float(said) if said else prices[name] * (tokens + LIKELY_OUTPUT) / 1e6
        for name, said in zip(models, told, strict=True)
    )
    return Question(tokens, right, tuple(usd))


def _score(text: str | None) -> list[float]:
    """The score, or nothing."""
    said = (text or "").strip().lower()
    if said in _SCORES:
        return [_SCORES[said]]
    try:
        value = float(said)
    except ValueError:
        return []
    return [value] if 0 <= value <= 1 else []


def always(table: Table, at: int) -> Point:
    """One model for all."""
    return Point(fmean(q.usd[at] for q in table.questions), fmean(q.right[at] for q in table.questions))


def mixed(weak: Point, strong: Point, accuracy: float) -> float:
    """USD a question of a random mix of two that is so right."""
    part = 1.0 if strong.accuracy <= weak.accuracy else (accuracy - weak.accuracy) / (strong.accuracy - weak.accuracy)
    return weak.usd + min(1.0, max(0.0, part)) * (strong.usd - weak.usd)


def perfect(table: Table, accuracy: float) -> float:
    """USD a question of one who knows beforehand who is right: the cheapest for all, and from there the steps that gain most
    for their price, until it is so right."""
    steps: list[tuple[float, float, float]] = []
    usd, right = sum(q.usd[0] for q in table.questions), sum(q.right[0] for q in table.questions)
    for one in table.questions:
        better = [
            (cost - one.usd[0], gain)
            for cost, score in zip(one.usd, one.right, strict=True)
            if (gain := score - one.right[0]) > 0
        ]
        if better:
            cost, gain = min(better, key=lambda step: step[0] / step[1])
            steps.append((cost / gain, cost, gain))
    count = len(table.questions)
    for _, cost, gain in sorted(steps):
        if right / count >= accuracy:
            break
        usd, right = usd + cost, right + gain
    return usd / count


def routed(table: Table, seed: int = 14) -> list[Point]:
    """What our own decisions come to, from cost alone to quality alone. What is known of the models beforehand is from every
    other question, and the rest is asked; then the other way round. Nobody has seen the questions that are asked."""
    halves = table.questions[::2], table.questions[1::2]
    ways = [(_candidates(Table(table.models, known)), asked) for known, asked in (halves, halves[::-1])]
    points = []
    for step in range(STEPS + 1):
        dice = Random(seed)
        found = [_routed(candidates, asked, step / STEPS, dice) for candidates, asked in ways]
        usd, right = (sum(sums) / len(table.questions) for sums in zip(*found, strict=True))
        points.append(Point(usd, right))
    return points


def _candidates(known: Table) -> list[Candidate]:
    """As the lists would have them: one price for a token, one figure for how good it is."""
    tokens = sum(one.tokens + LIKELY_OUTPUT for one in known.questions)
    found = []
    for at, name in enumerate(known.models):
        usd, quality = sum(one.usd[at] for one in known.questions) / tokens, always(known, at).accuracy
        found.append(Candidate(Target(f"p{at}", "m"), name, 0, 0, 0, usd, usd, None, quality, "the table"))
    return found


def _routed(
    candidates: Sequence[Candidate], asked: Sequence[Question], quality: float, dice: Random
) -> tuple[float, float]:
    """USD, and how many were right."""
    strategy = Strategy("own", Weights(cost=1 - quality, quality=quality), explore=0.0, sticky_seconds=0)
    board = board_of(candidates, lambda _: UNKNOWN, strategy, Kind())
    place = {one.label: at for at, one in enumerate(candidates)}
    usd = right = 0.0
    for one in asked:
        ask = Ask(0, one.tokens, LIKELY_OUTPUT)
        choice = decide(board, ask, WELL, None, Chance(1.0, dice.random(), 1.0))
        at = place[choice.order[0].candidate.label]
        usd, right = usd + one.usd[at], right + one.right[at]
    return usd, right


def cheapest(points: Iterable[Point], accuracy: float) -> float | None:
    """USD a question of the cheapest that is so right, mixes of two counted; None where nobody is."""
    all_ = sorted(points, key=lambda point: point.usd)
    found = [point.usd for point in all_ if point.accuracy >= accuracy]
    for low in all_:
        found += [mixed(low, high, accuracy) for high in all_ if low.accuracy < accuracy <= high.accuracy]
    return min(found, default=None)


def report(table: Table) -> str:
    """What each way costs at 95 % of the strong model's accuracy."""
    points = [always(table, at) for at in range(len(table.models))]
    strong = max(range(len(points)), key=lambda at: points[at].accuracy)
    wanted = PART * points[strong].accuracy
    weak = points[0]
    ours = cheapest(routed(table), wanted)
    oracle = fmean(max(one.right) for one in table.questions)
    dear = points[strong].usd
    lines = [f"{len(table.questions):,} questions, {len(points)} models; somebody is right in {oracle:.1%}", ""]
    lines += ["| always | USD per 1,000 | right |", "|---|--:|--:|"]
    rows = zip(table.models, points, strict=True)
    lines += [f"| {name} | {point.usd * 1000:.4f} | {point.accuracy:.1%} |" for name, point in rows]
    lines += ["", f"At {wanted:.1%}, {PART:.0%} of what {table.models[strong]} has:", ""]
    lines += ["| how | USD per 1,000 | of always the strong one |", "|---|--:|--:|"]
    for name, usd in (
        ("a random mix of the cheapest and the strong one", mixed(weak, points[strong], wanted)),
        ("tollkeeper, prices and one figure a model known", ours),
        ("one who knows beforehand who is right", perfect(table, wanted)),
    ):
        lines.append(f"| {name} | {'never' if usd is None else f'{usd * 1000:.4f} | {usd / dear:.1%}'} |")
    return "\n".join(lines)


def decision_seconds(candidates: int = 500, rounds: int = 60) -> dict[str, float]:
    """Processor time of one decision, the median of as many, by strategy; and of the board they share, made anew."""
    dice, needs = Random(14), BITS["tools"]
    many = [
        Candidate(
            Target(f"p{at}", "m"), f"p{at}/m", needs, 0, 0, usd, usd, None, dice.random(), "x", dice.uniform(1, 5)
        )
        for at in range(candidates)
        for usd in (dice.uniform(0.1, 20) / 1e6,)
    ]
    found = {}
    for name in ("balanced", "least_busy", "weighted"):
        board, ask = board_of(many, lambda _: UNKNOWN, NAMED[name], Kind()), Ask(needs, 500, 100)
        found[name] = _timed(lambda: decide(board, ask, WELL, None, Chance(1.0, dice.random(), 1.0)), rounds)  # noqa: B023
    found["a new board"] = _timed(lambda: board_of(many, lambda _: UNKNOWN, NAMED["balanced"], Kind()), rounds)
    return found


def _timed(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - began) / 1e9)
    return median(taken)


def main() -> int:
    """1 with one line on stderr where a file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="CSV; several are read as one")
    parser.add_argument("--price", action="append", default=[], metavar="MODEL=USD", help="per million tokens")
    options = parser.parse_args()
    if not options.files:
        for candidates in (10, 100, 500, 1000):
            for name, seconds in decision_seconds(candidates).items():
                print(f"{name}: {seconds * 1000:.3f} ms among {candidates:,} candidates")
        return 0
    try:
        prices = {name: float(usd) for name, _, usd in (said.rpartition("=") for said in options.price)}
        print(report(read(options.files, prices)))
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
