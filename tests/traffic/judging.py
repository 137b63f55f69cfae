"""What must hold of every exchange that was played: bytes both ways, tokens, cost, and what ledger and log say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.http import Reply
from traffic.player import without_usage_event
from traffic.recorded import Exchange
from traffic.replay import OWN_PRICE, UPSTREAM_KEY, Played, needs_price, usd
from traffic.truth import Truth, cost_of, truth_of

PASSED_HEADERS = ("content-type", "request-id", "retry-after", "x-generation-id", "x-should-retry")
SENT_HEADERS = ("content-type", "accept", "anthropic-version", "anthropic-beta")
METERED = ("chat", "completions", "responses", "messages", "embeddings", "rerank", "images", "audio")
PICO = Decimal("1e-12")
LOOKED_UP_USD = Decimal("0.0125")  # what the player's /generation tells of calls whose reply says nothing


@dataclass(frozen=True)
class Fault:
    """One thing that does not hold. `check`: status, headers, reply, request, usage, cost, outcome, log."""

    exchange: Exchange
    check: str
    detail: str


@dataclass
class Judged:
    """An exchange with its faults; `by`: who said what it costs, None where nobody outside of us knows."""

    exchange: Exchange
    faults: list[Fault]
    told_usage: bool
    by: str | None

    def holds(self, *checks: str) -> bool:
        """Whether none of these checks found a fault."""
        return not any(fault.check in checks for fault in self.faults)


def judge(played: Played) -> Judged:
    """Everything that must hold of one exchange."""
    exchange = played.exchange
    if ours := _answered_by_us(played):
        return Judged(exchange, [] if _code(played.reply) == ours else list(_client_side(played)), False, None)
    truth = truth_of(exchange)
    faults = [*_client_side(played), *_upstream_side(played)]
    told = metered(exchange) and truth.parts is not None
    by = None
    if metered(exchange) and exchange.status < 400:
        faults += _books(played, truth)
        expected = expected_cost(exchange, truth)
        by = expected and expected[1]
        if expected is not None and (fault := _cost_fault(played, *expected)):
            faults.append(Fault(exchange, "cost", fault))
    return Judged(exchange, faults, told, by)


def metered(exchange: Exchange) -> bool:
    """Whether a call costs money by its nature."""
    parts = (exchange.endpoint or "").strip("/").split("/")
    is_counted = parts[-1] in ("count_tokens",) or "batches" in parts
    return exchange.method == "POST" and parts[0] in METERED and not is_counted


def expected_cost(exchange: Exchange, truth: Truth) -> tuple[Decimal, str] | None:
    """What must be booked, in USD, and by whose word."""
    if exchange.entry == "openrouter" and truth.parts is None:
        return LOOKED_UP_USD, "looked up"
    if truth.reported_usd is not None or not needs_price(exchange):
        return cost_of(truth, exchange)
    if truth.parts is None or truth.tokens.cached > truth.tokens.read:
        return None  # grok at Azure: more read from the cache than was read at all; what that costs nobody says
    prices, tokens = {name: Decimal(str(usd)).scaleb(-6) for name, usd in OWN_PRICE.items()}, truth.tokens
    cost = prices["input"] * (tokens.read - tokens.cached) + prices["cached_input"] * tokens.cached
    return cost + prices["output"] * tokens.written, "operator's price"  # which names no fees


def _answered_by_us(played: Played) -> tuple[int, str] | None:
    """Where the client must read something of ours: a key that is not known upstream is our own failure, a redirect is
    never followed, and what nobody can bound is refused by name under a budget."""
    exchange = played.exchange
    if exchange.status in (401, 403):
        return 502, "upstream_auth_error"
    if 300 <= exchange.status < 400:
        return 502, "upstream_bad_response"
    return (402, "model_not_priced") if played.with_key and is_unbounded(exchange) else None


def is_unbounded(exchange: Exchange) -> bool:
    """Batches and videos: what they will cost is in no request."""
    parts = (exchange.endpoint or exchange.path).strip("/").split("/")
    return exchange.method == "POST" and ("batches" in parts or "videos" in parts) and parts[-1] != "cancel"


def _code(reply: Reply) -> tuple[int, str]:
    error = reply.json.get("error") if reply.status >= 400 else None
    return reply.status, error.get("code", "") if isinstance(error, dict) else ""


def _client_side(played: Played) -> Iterator[Fault]:
    exchange, reply = played.exchange, played.reply
    if reply.status != exchange.status:
        yield Fault(exchange, "status", f"{reply.status} for {exchange.status}: {reply.body[:300]!r}")
        return
    for name, value in exchange.reply_headers:
        if name in PASSED_HEADERS and reply.header(name) != value:
            yield Fault(exchange, "headers", f"{name}: {reply.header(name)!r} for {value!r}")
    expected = without_usage_event(exchange.reply) if _flag_set_by_us(played) else exchange.reply
    if reply.body != expected or not reply.complete:
        yield Fault(exchange, "reply", _difference(reply.body, expected))


def _difference(found: bytes, expected: bytes) -> str:
    at = next(
        (n for n, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
    )
    return f"{len(found)} bytes for {len(expected)}, at {at}: {found[at : at + 80]!r} for {expected[at : at + 80]!r}"


def _flag_set_by_us(played: Played) -> bool:
    if played.heard is None or not played.exchange.document:
        return False
    sent = json.loads(played.heard.body).get("stream_options")
    return bool(sent) and sent != played.exchange.document.get("stream_options")


def _upstream_side(played: Played) -> Iterator[Fault]:
    exchange, heard = played.exchange, played.heard
    if heard is None:
        yield Fault(exchange, "request", f"never sent; {played.reply.status} {played.reply.body[:300]!r}")
        return
    for name, value in exchange.request_headers:
        if name in SENT_HEADERS and heard.header(name) != value:
            yield Fault(exchange, "request", f"{name}: {heard.header(name)!r} for {value!r}")
    if UPSTREAM_KEY not in (heard.header("authorization") or heard.header("x-api-key") or ""):
        yield Fault(exchange, "request", "the provider's key was not sent")
    expected = exchange.request
    if exchange.asked is not None and exchange.asked != exchange.model:
        expected = exchange.request_for(exchange.asked)
    if heard.body != expected and (fault := _changed(heard.body, expected, played)):
        yield Fault(exchange, "request", fault)


def _changed(found: bytes, expected: bytes, played: Played) -> str | None:
    """What was changed beside the usage flag and what `x-tollkeeper-adjusted` names; None if nothing was."""
    try:
        sent, asked = json.loads(found), json.loads(expected)
    except ValueError:
        return _difference(found, expected)
    adjusted = played.reply.header("x-tollkeeper-adjusted") or ""
    changed = {name for name in sent.keys() | asked.keys() if sent.get(name) != asked.get(name)}
    if "stream_options" in changed and sent["stream_options"] == {
        **(asked.get("stream_options") or {}),
        "include_usage": True,
    }:
        changed.discard("stream_options")
    if not changed:
        return None
    told = "named" if all(name in adjusted for name in changed) else "not named"
    return f"{sorted(changed)} sent otherwise though money is there, {told}: {[sent.get(name) for name in sorted(changed)]}"


def _books(played: Played, truth: Truth) -> Iterator[Fault]:
    exchange, rows, line = played.exchange, played.rows, played.line
    if len(rows) != 1:
        yield Fault(exchange, "outcome", f"{len(rows)} attempts in the ledger: {[row['outcome'] for row in rows]}")
        return
    row = rows[0]
    if truth.parts is not None and (wrong := dict(_wrong_tokens(row, truth))):
        yield Fault(exchange, "usage", ", ".join(f"{name} {got} for {due}" for name, (got, due) in wrong.items()))
    failure = truth.failure
    outcome = row["outcome"] if failure is None else row["outcome"].partition("_error_")[0]
    told = failure is None or ("_error_" in row["outcome"] and row["error"] == failure)
    if row["status"] != exchange.status or outcome != str(exchange.status) or not told:
        yield Fault(exchange, "outcome", f"{row['status']}, {row['outcome']}, {row['error']} for {failure}")
    said = {name: line.get(name) for name in ("status", "input_tokens", "output_tokens")}
    due = {"status": exchange.status, "input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]}
    cost = Decimal(line.get("cost_usd") or 0)
    if truth.parts is not None and (said != due or cost != usd(row["cost_pusd"])):
        yield Fault(exchange, "log", f"{said}, {cost} for {due}, {usd(row['cost_pusd'])}")


def _wrong_tokens(row: dict[str, Any], truth: Truth) -> Iterator[tuple[str, tuple[int, int]]]:
    tokens = truth.tokens
    for name, due in (
        ("input_tokens", tokens.read),
        ("output_tokens", tokens.written),
        ("cached_input_tokens", tokens.cached),
        ("cache_write_tokens", tokens.cache_write),
        ("reasoning_tokens", tokens.reasoning),
    ):
        if row[name] != due:
            yield name, (row[name], due)


def _cost_fault(played: Played, expected: Decimal, by: str) -> str | None:
    """Rounded up or down to a millionth of a millionth, and not more than that."""
    booked = sum((usd(row["cost_pusd"]) for row in played.rows), Decimal(0))
    if abs(booked - expected) <= PICO:
        return None
    source = [row["source"] for row in played.rows]
    return f"${booked.normalize():f} ({', '.join(source)}) for ${expected.normalize():f} ({by})"


def table(judged: list[Judged]) -> str:
    """Counts by provider and shape: cases, bytes identical, usage right, cost right, judged by what."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.exchange.entry or one.exchange.host, one.exchange.shape), []).append(one)
    head = f"{'provider':46} {'shape':22} {'cases':>5} {'bytes':>6} {'usage':>9} {'cost':>9}  judged by"
    lines = [head, *(_line(*key, group) for key, group in sorted(groups.items()))]
    return "\n".join([*lines, _line("all", "", judged)])


def _line(provider: str, shape: str, group: list[Judged]) -> str:
    told, costed = [one for one in group if one.told_usage], [one for one in group if one.by]
    whole = sum(one.holds("status", "headers", "reply", "request") for one in group)
    usage = f"{sum(one.holds('usage') for one in told)}/{len(told)}"
    cost = f"{sum(one.holds('cost') for one in costed)}/{len(costed)}"
    by = ", ".join(f"{who} {count}" for who, count in sorted(Counter(one.by for one in costed).items(), key=str))
    return f"{provider:46} {shape:22} {len(group):5} {whole:6} {usage:>9} {cost:>9}  {by}"
