"""The decision: capable, not left alone, affordable; then by score, and where a session is. One pure function for calls,
`explain` and the recommendation alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import inf
from typing import Literal

import msgspec
from msgspec import Struct

from proxy.policy.routing.board import LIKELY_OUTPUT, Board, Row
from proxy.policy.routing.values import Ask, Candidate, Health, Stuck
from proxy.policy.values import Plan, Target

NEAR = 0.9  # of the best score
_WORTH_A_TRY = 0.5
MOST_FALLBACKS = 5

Rule = Literal["only", "best", "near_best", "explore", "session", "weighted", "largest", "none"]


class Chance(Struct, frozen=True):
    """Three draws from 0 to 1: whether to explore, which of the near-best, whether one that recovers gets this call."""

    explore: float = 1.0
    pick: float = 0.0
    recover: float = 1.0


class Choice(Struct, frozen=True):
    """`order`: the chosen one, then its fallbacks. `near` were about as good; `dropped` with the code of why: bits that it
    does not take (above 0), -1 too small a window, -2 left alone, -3 more than the budget leaves, -4 no price under a budget.
    `kept_usd`: what switching would have cost more (a session stays)."""

    board: Board
    order: tuple[Row, ...]
    rule: Rule
    eligible: int
    near: int
    dropped: tuple[tuple[Row, int], ...]
    runner_up: Row | None = None
    kept_usd: float = 0.0


def decide(board: Board, ask: Ask, health: Health, stuck: Stuck | None, chance: Chance) -> Choice:
    """Choose. An empty `order`: nobody is eligible, and the budget has the word, or what the name falls back on."""
    eligible, dropped = _eligible(board, ask, health)
    if not eligible:
        return _of_none(board, ask, dropped)
    if board.weights.load:
        eligible = _by_load(board, eligible, health)
    first = min(row.candidate.priority for row in eligible if row.candidate.weight or row is eligible[-1])
    front = [row for row in eligible if row.candidate.priority <= first and row.candidate.weight] or eligible
    near = [row for row in front if row.score >= front[0].score * NEAR]
    drawn = _drawn(front, chance.pick) if board.strategy.kind == "draw" else front
    chosen, rule = _chosen(board, drawn, near, chance)
    kept_usd = 0.0
    if stuck is not None and (held := _held(stuck, front, front[0], ask)) is not None:
        chosen, rule, kept_usd = held[0], "session", held[1]
    if health.shares and (better := _spared(chosen, front, health, chance)) is not None:
        chosen, rule = better, "best"
    order = _first_few((chosen,), drawn, eligible)
    runner = next((row for row in front if row is not chosen), None)
    return Choice(board, order, rule, len(eligible), len(near), tuple(dropped), runner, kept_usd)


def _eligible(board: Board, ask: Ask, health: Health) -> tuple[list[Row], list[tuple[Row, int]]]:
    needs, window = ask.needs, ask.input_tokens
    closed, left = health.closed, ask.left_usd
    read, written = _most_tokens(ask)
    eligible: list[Row] = []
    dropped: list[tuple[Row, int]] = []
    for row in board.rows:
        candidate = row.candidate
        if needs & ~candidate.takes:
            dropped.append((row, needs & ~candidate.takes))
        elif window > candidate.context > 0:
            dropped.append((row, -1))
        elif closed and candidate.target in closed:
            dropped.append((row, -2))
        # what the budget leaves room for, whatever the model's sizes, is looked at no closer
        elif left is None or read * (candidate.input_usd or inf) + written * (candidate.output_usd or inf) <= left:
            eligible.append(row)
        elif refusal := _refusal(candidate, ask):
            dropped.append((row, refusal))
        else:
            eligible.append(row)
    return eligible, dropped


def _refusal(candidate: Candidate, ask: Ask) -> int:
    """Why the budget that binds the call would refuse it there: -3 or -4; 0 where it would not."""
    if ask.needs_price and not candidate.is_priced:
        return -4
    return -3 if (least_usd(candidate, ask) or 0.0) > (ask.left_usd or 0.0) else 0


def refused_for_money(choice: Choice) -> tuple[Row, ...]:
    """Those that nothing but the budget speaks against, the cheapest first: it refuses the call in its own words, or lets
    it fall back."""
    refused = [row for row, code in choice.dropped if code in (-3, -4)]
    refused.sort(key=lambda row: inf if row.usd_per_mtok is None else row.usd_per_mtok)
    return tuple(refused[: MOST_FALLBACKS + 1])


def _of_none(board: Board, ask: Ask, dropped: list[tuple[Row, int]]) -> Choice:
    """Nobody is eligible. Those that nothing speaks against but their window are asked where nobody else is, the largest
    first: how many tokens a request has is a guess here, and its provider's to say."""
    small = [row for row, code in dropped if code == -1]
    if not small or ask.beyond or any(code in (-3, -4) for _, code in dropped):
        return Choice(board, (), "none", 0, 0, tuple(dropped))
    small.sort(key=lambda row: -row.candidate.context)
    return Choice(board, tuple(small[: MOST_FALLBACKS + 1]), "largest", 0, 0, tuple(dropped))


def asks_too_much(choice: Choice) -> bool:
    """Whether every candidate was left out for what the request asks for: the same request finds nobody later, either."""
    return bool(choice.dropped) and not choice.board.barred and all(code > 0 for _, code in choice.dropped)


def _by_load(board: Board, eligible: Sequence[Row], health: Health) -> list[Row]:
    weight, busy = board.weights.load, health.busy

    def total(row: Row) -> float:
        return -(row.score + weight * row.candidate.weight / (1 + busy.get(row.candidate.target, 0)))

    return sorted(eligible, key=total)


def _chosen(board: Board, front: Sequence[Row], near: Sequence[Row], chance: Chance) -> tuple[Row, Rule]:
    strategy = board.strategy
    if len(front) == 1:
        return front[0], "only"
    if strategy.kind == "draw":
        return front[0], "weighted"
    if board.weights.load:
        return front[0], "best"
    if chance.explore < strategy.explore:
        others = [row for row in front if row is not near[0] and row.score >= front[0].score * _WORTH_A_TRY]
        if others:
            return min(others, key=lambda row: (row.speed.calls, -row.score)), "explore"
    if len(near) > 1:
        return _draw(near, chance.pick)[0], "near_best"
    return near[0], "best"


def _drawn(rows: Sequence[Row], pick: float) -> list[Row]:
    """By weight, without replacement: the rest of the draw goes on with what is left of `pick`."""
    left, order = list(rows), list[Row]()
    while left and len(order) <= MOST_FALLBACKS:
        row, pick = _draw(left, pick)
        order.append(row)
        left = [other for other in left if other is not row]
    return order


def _draw(rows: Sequence[Row], pick: float) -> tuple[Row, float]:
    """One by weight, and what is left of `pick` for the next draw."""
    point = pick * sum([row.candidate.weight for row in rows])
    for row in rows:
        weight = row.candidate.weight
        if point < weight:
            return row, min(point / weight, 0.999999)
        point -= weight
    return rows[-1], pick


def _first_few(*groups: Sequence[Row]) -> tuple[Row, ...]:
    """The first of them all, each once."""
    found: dict[int, Row] = {}
    for row in chain(*groups):
        found.setdefault(id(row), row)
        if len(found) > MOST_FALLBACKS:
            break
    return tuple(found.values())


def _held(stuck: Stuck, front: Sequence[Row], best: Row, ask: Ask) -> tuple[Row, float] | None:
    """The row a session stays with, and what leaving it would cost more; None where it is not eligible, fails, or leaving
    pays: reading the context anew at the best one is cheaper than going on here, cached prices counted."""
    own = next((row for row in front if row.candidate.target == stuck.target), None)
    if own is None or own is best or own.score < best.score * _WORTH_A_TRY:
        return None if own is None or own is not best else (own, 0.0)
    stay, switch = cost_usd(own.candidate, ask, stuck.cached_tokens), cost_usd(best.candidate, ask)
    if stay is None or switch is None:
        return own, 0.0
    return (own, switch - stay) if switch >= stay else None


def _spared(chosen: Row, front: Sequence[Row], health: Health, chance: Chance) -> Row | None:
    """Who goes in the place of one that recovers and does not get this call."""
    share = health.shares.get(chosen.candidate.target, 1.0)
    if chance.recover < share:
        return None
    return next((row for row in front if health.shares.get(row.candidate.target, 1.0) >= 1.0), None)


def cost_usd(candidate: Candidate, ask: Ask, cached_tokens: int = 0) -> float | None:
    """What the call likely costs there; None where nobody knows."""
    return exact_usd(candidate, ask.input_tokens, min(ask.output_tokens or LIKELY_OUTPUT, LIKELY_OUTPUT), cached_tokens)


def least_usd(candidate: Candidate, ask: Ask) -> float | None:
    """What is held for the call there at least: a maximum that it sets is never lowered. None where nobody knows."""
    read, written = _most_tokens(ask)
    return exact_usd(candidate, min(read, candidate.context or read), min(written, candidate.max_output or written))


def _most_tokens(ask: Ask) -> tuple[int, int]:
    return max(ask.input_tokens, ask.most_input_tokens), ask.output_tokens or LIKELY_OUTPUT


def exact_usd(candidate: Candidate, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    """What so many tokens cost there; None where nobody knows."""
    if candidate.input_usd is None or candidate.output_usd is None:
        return None
    cached = min(cached_tokens, input_tokens) if candidate.cached_usd is not None else 0
    read = (input_tokens - cached) * candidate.input_usd + cached * (candidate.cached_usd or 0.0)
    return read + output_tokens * candidate.output_usd


def beyond(plan: Plan) -> tuple[Target, ...]:
    """What the name falls back on behind all candidates."""
    if plan.pool is None or plan.pool.is_auto:
        return ()
    seats = {seat.target for seat in plan.pool.seats}
    return tuple(target for target in plan.targets if target not in seats)


def onward(choice: Choice, plan: Plan, *, falls_back: bool = True) -> Plan | None:
    """Where the call goes. Where nobody is chosen: to those that only the budget speaks against, which refuses it; else to
    what the name falls back on. None: nowhere."""
    order = choice.order or refused_for_money(choice)
    found = _planned(plan, order)
    if not (order or (found.start and falls_back)):
        return None
    return found if falls_back else msgspec.structs.replace(found, targets=found.targets[:1])


def _planned(plan: Plan, order: Sequence[Row]) -> Plan:
    """The targets of a choice, then what the name falls back on; called as the first one is. Without a choice it begins with
    what the name falls back on, and with nothing (`start` is 0) where that is nothing."""
    chosen = tuple(row.candidate.target for row in order)
    rest = tuple(target for target in beyond(plan) if target not in chosen)
    if not order:
        return msgspec.structs.replace(plan, targets=(plan.targets[0], *rest), start=1 if rest else 0, pool=None)
    return msgspec.structs.replace(plan, targets=chosen + rest, label=order[0].candidate.label)
