"""A choice in words and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.policy.names.catalogue import TAKES
from proxy.policy.routing.board import LIKELY_OUTPUT, Row, seconds_for
from proxy.policy.routing.deciding import Choice, cost_usd, least_usd, refused_for_money
from proxy.policy.routing.observing import LEAST_CALLS
from proxy.policy.routing.values import PRIVATE, Ask, Decision, Dropped, Health, Speed

MOST_DROPPED = 50
_WITHOUT_EVIDENCE = 0.6
_NOISE = 0.3
_RULES = {
    "only": "nobody else fits",
    "best": "it has the best score",
    "near_best": "drawn among those within 10 % of the best score, so that not all calls go to one",
    "explore": "a look at one that is known less: a few calls in a hundred go there",
    "session": "the session stays where its context is cached",
    "weighted": "drawn by the weights of the candidates",
    "largest": "it has the largest window; the request seems too long for all of them, which is a guess here and its provider's to say",
    "none": "no candidate fits",
}


def decision_of(choice: Choice, ask: Ask, health: Health, identity: str) -> Decision:
    """As design has it. Dropped ones are named, fifty at most."""
    first = choice.order[0] if choice.order else None
    left_out = [(row, code) for row, code in choice.dropped if row not in choice.order]
    dropped = [Dropped(row.candidate.label, _why(row, code, ask, health)) for row, code in left_out]
    dropped += [Dropped(row.candidate.label, row.barred) for row in choice.board.barred]
    order = [row.candidate.label for row in choice.order] or _instead(choice, ask)
    cost = None if first is None else cost_usd(first.candidate, ask)
    return Decision(
        id=identity,
        selected_model=order[0] if order else "",
        fallback_models=order[1:],
        reasons=list(_reasons(choice, first, order)),
        dropped=dropped[:MOST_DROPPED],
        estimated_cost_usd=None if cost is None else f"{cost:.12f}",
        estimated_latency_ms=0 if first is None else round(1000 * _seconds(first, ask)),
        confidence=0.0 if first is None else confidence(choice, first),
        strategy=choice.board.strategy.name,
        rule=choice.rule,
    )


def _instead(choice: Choice, ask: Ask) -> list[str]:
    """What the name falls back on, where no candidate is chosen and the budget has nothing to say."""
    return [] if refused_for_money(choice) else [f"{target.provider}/{target.model}" for target in ask.beyond]


def confidence(choice: Choice, first: Row) -> float:
    """How likely it really is the best: by its distance to the next one, and by how many calls of our own that rests on."""
    calls = first.speed.calls
    is_proved = calls >= LEAST_CALLS
    other = choice.runner_up
    if other is None:
        return 0.95 if is_proved else _WITHOUT_EVIDENCE
    gap = max(0.0, first.score - other.score) / (first.score or 1.0)
    noise = _NOISE / calls**0.5 if is_proved else _NOISE
    sure = 0.5 + 0.5 * gap / (gap + noise)
    return round(min(sure, 0.99 if is_proved else _WITHOUT_EVIDENCE), 2)


def _seconds(row: Row, ask: Ask) -> float:
    return seconds_for(row.speed, min(ask.output_tokens or LIKELY_OUTPUT, LIKELY_OUTPUT))


def _why(row: Row, code: int, ask: Ask, health: Health) -> str:
    candidate = row.candidate
    if code > 0 and code & PRIVATE:
        return "it may keep what it is sent, and nothing may be kept of this key's calls"
    if code > 0:
        return f"does not take {', '.join(name.replace('_', ' ') for i, name in enumerate(TAKES) if code & 1 << i)}"
    if code == -1:
        return f"its window of {candidate.context:,} tokens is smaller than the {ask.input_tokens:,} of the request"
    if code == -2:
        return health.closed.get(candidate.target, "it is left alone")
    if code == -4:
        return "no list has a price of it, and a budget applies"
    return f"up to ${least_usd(candidate, ask) or 0.0:.6f}, and the budget leaves ${ask.left_usd or 0.0:.6f}"


def _reasons(choice: Choice, first: Row | None, order: Sequence[str]) -> Iterator[str]:
    board, out = choice.board, len(choice.dropped) + len(choice.board.barred)
    if first is None:
        yield f"none of {out} candidates fits{': it goes to what the name falls back on' if order else ''}"
        return
    yield f"{_RULES[choice.rule]} ({choice.eligible} of {choice.eligible + out} candidates fit)"
    if first.usd_per_mtok is None:
        yield "its price is not known"
    else:
        yield f"${first.usd_per_mtok:.3g} a million tokens, at this request's mix of input and output"
    yield _speed_text(first.speed)
    source = first.candidate.quality_source or "a guess: no table has it"
    yield f"quality {first.candidate.quality:.2f} of 1 ({source})"
    weights, parts = board.weights, first.parts
    if board.strategy.kind != "draw":
        yield (
            f"score {first.score:.2f} = cost {weights.cost:.2g} x {parts[0]:.2f} + speed {weights.speed:.2g} x {parts[1]:.2f}"
            f" + quality {weights.quality:.2g} x {parts[2]:.2f}{_errors(first.speed)}"
        )
    if choice.runner_up is not None:
        yield f"next: {choice.runner_up.candidate.label} with {choice.runner_up.score:.2f}"
    if choice.kept_usd > 0:
        yield f"reading the context anew elsewhere would cost ${choice.kept_usd:.6f} more"


def _errors(speed: Speed) -> str:
    return f", less for {speed.error_rate:.0%} of calls that failed" if speed.error_rate >= 0.005 else ""


def _speed_text(speed: Speed) -> str:
    said = {
        "measured": f"as {speed.calls} calls here showed",
        "published": "as its provider published of the last half hour",
        "guessed": f"a guess: {speed.calls} calls here say too little",
    }[speed.basis]
    p95 = "" if speed.p95_seconds is None else f", 95 % within {speed.p95_seconds:.2f} s"
    return f"first token after {speed.first_token_seconds:.2f} s{p95}, then {speed.tokens_per_second:.0f} tokens a second ({said})"
