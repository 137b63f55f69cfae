"""What a call used, in one spelling, from the many on the wire (wire.md 5.3).

A provider may send anything here; counts are never negative, and what could not be believed is
named in `doubts` instead of being guessed.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

import msgspec
from msgspec import Struct


class Pass(Struct, frozen=True, gc=False):
    """One of several runs that a reply was made of, billed by itself; `model` None: the call's own."""

    model: str | None
    usage: Usage


class Usage(Struct, frozen=True, gc=False):
    """Token counts of one call. `input_tokens` includes cached, written, image and audio ones.

    `cache_write_1h_tokens` were written to be kept for an hour or longer.
    `passes`: the runs it was made of, where each is billed by itself; the counts are their sum. `audio_seconds` None:
    not told. `search_units` are those of a rerank, `pages` those of documents read, `preview_searches` are among `web_searches`.

    `cost_usd` is what the upstream says it charged (None: it did not say), `byok_usd` what the
    provider bills beside that when the account brings its own key. `miscounted`: a count was told and
    could not be believed; `uncounted`: what was read or what was written was not told, where it should have been.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    image_input_tokens: int = 0
    image_tokens: int = 0
    text_output_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    audio_seconds: int | None = None
    web_searches: int = 0
    preview_searches: int = 0
    file_searches: int = 0
    code_sessions: int = 0
    search_units: int = 0
    pages: int = 0
    byok_usd: Decimal | None = None
    doubts: tuple[str, ...] = ()
    miscounted: bool = False
    uncounted: bool = False
    passes: tuple[Pass, ...] = ()

    @property
    def written_only_tokens(self) -> int:
        """Those not read from it as well: OpenRouter's Gemini is told, and charged, the same tokens as both."""
        cached, written = self.cached_tokens, self.cache_write_tokens
        return written if cached + written <= self.input_tokens else max(0, written - cached)


NO_USAGE = Usage()

_EXACT = Context(prec=60)
_MOST = Decimal(1_000_000)
_MOST_COUNT = 10**12
# xAI's unit: recorded bills are tokens times list price at exactly this.
_TICK_USD = Decimal(1).scaleb(-10)
_MOST_PASSES = 1000
_INPUTS = ("prompt_tokens", "input_tokens")
_OUTPUTS = ("completion_tokens", "output_tokens")
_DETAILS = ("tokens_details", "token_details")  # the singular: audio transcriptions, Mistral
_WRITTEN = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")  # OpenAI, Alibaba, LiteLLM
_WRITTEN_FOR_LONG = (
    ("cache_write_tokens_details", "ttl_12h_tokens"),  # OpenAI
    ("cache_creation_token_details", "ephemeral_12h_input_tokens"),  # LiteLLM
    ("cache_creation_token_details", "ephemeral_1h_input_tokens"),
)
_ADDITIVE = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens")


class _Reading:
    """Takes numbers out of a decoded `usage` object and remembers what it did not believe."""

    def __init__(self, usage: dict[str, Any]) -> None:
        self.usage = usage
        self.doubts: list[str] = []
        self.miscounted = False

    def count(self, *path: str) -> int:
        """A count; 0 where it is not told or cannot be."""
        value = self.at(path)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or Decimal(value).is_nan():
            return self._doubted("not_a_number")
        if value < 0 or value > _MOST_COUNT:
            return self._doubted("negative" if value < 0 else "absurd")
        return int(value)

    def either(self, names: tuple[str, ...]) -> int:
        """The first of these counts that is above 0."""
        return next((found for name in names if (found := self.count(name))), 0)

    def money(self, *path: str, unit: Decimal | None = None) -> Decimal | None:
        """An amount in USD, told in `unit`s."""
        value = self.at(path)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.doubts.append("not_a_number")
            return None
        amount = Decimal(value) if unit is None or not Decimal(value).is_finite() else _EXACT.multiply(value, unit)
        if not amount.is_finite() or not 0 <= amount <= _MOST:
            self.doubts.append("negative" if amount.is_signed() else "absurd")
            return None
        return amount

    def details(self, side: str) -> str:
        """The member that says what the tokens of a side were ("prompt", "completion", "input", "output")."""
        names = [f"{word}_{end}" for word in _WORDS[side] for end in _DETAILS]
        return next((name for name in names if isinstance(self.usage.get(name), dict)), names[0])

    def at(self, path: tuple[str, ...]) -> Any:
        """What stands there, or None."""
        value: Any = self.usage
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def _doubted(self, reason: str) -> int:
        self.doubts.append(reason)
        self.miscounted = True
        return 0


_WORDS = {"input": ("prompt", "input"), "output": ("completion", "output")}


def read_usage(usage: dict[str, Any], *, counts_both: bool = False) -> Usage:
    """Read a decoded `usage` object; numbers with a point must have been decoded as Decimal.

    `counts_both`: it is of a reply that tells both what was read and what was written.
    """
    billed = usage.get("billed_units")
    reading = _Reading({**usage, **billed} if isinstance(billed, dict) else usage)  # Cohere's
    additive = any(name in usage for name in _ADDITIVE) and "prompt_tokens" not in usage
    read = _read_additive(reading) if additive else _read_inclusive(reading)
    whole = msgspec.structs.replace(
        read,
        audio_seconds=_seconds(reading),
        web_searches=max(reading.count(*path) for path in _WEB_SEARCHES),
        file_searches=reading.count("server_side_tool_usage_details", "file_search_calls"),
        search_units=reading.count("search_units"),
        pages=reading.count("pages_processed"),
        cost_usd=_cost(reading),
        byok_usd=_byok(reading),
        uncounted=counts_both and not _tells_both(reading),
    )
    whole = _with_passes(whole, usage.get("iterations"))
    doubts = (*reading.doubts, *whole.doubts)
    return msgspec.structs.replace(whole, doubts=doubts, miscounted=whole.miscounted or reading.miscounted)


_WEB_SEARCHES = (
    ("server_tool_use_details", "web_search_requests"),  # OpenRouter
    ("server_tool_use", "web_search_requests"),  # Anthropic
    ("server_side_tool_usage_details", "web_search_calls"),  # xAI
)


def _read_inclusive(reading: _Reading) -> Usage:
    """OpenAI's way: cached tokens and all other kinds are part of the totals."""
    details, out_details = reading.details("input"), reading.details("output")
    cached = reading.count(details, "cached_tokens") or reading.either(("prompt_cache_hit_tokens", "cached_tokens"))
    written = max(reading.count(details, name) for name in _WRITTEN)
    hour = sum(reading.count(details, *path) for path in _WRITTEN_FOR_LONG)
    reasoning = reading.count(out_details, "reasoning_tokens") or reading.count("reasoning_tokens")  # Perplexity, Modal
    read, out = reading.either(_INPUTS), reading.either(_OUTPUTS)
    read, out = _by_total(reading, (read, out), cached + written, reasoning)
    return Usage(
        input_tokens=read,
        output_tokens=out,
        cached_tokens=cached,
        cached_audio_tokens=reading.count(details, "cached_tokens_details", "audio_tokens"),
        cached_image_tokens=reading.count(details, "cached_tokens_details", "image_tokens"),
        cache_write_tokens=written,
        cache_write_1h_tokens=min(hour, written),
        reasoning_tokens=reasoning,
        image_input_tokens=reading.count(details, "image_tokens"),
        image_tokens=reading.count(out_details, "image_tokens"),
        text_output_tokens=reading.count(out_details, "text_tokens"),
        audio_input_tokens=reading.count(details, "audio_tokens"),
        audio_output_tokens=reading.count(out_details, "audio_tokens"),
    )


def _by_total(reading: _Reading, counts: tuple[int, int], cached: int, reasoning: int) -> tuple[int, int]:
    """What was read and written, where `total_tokens` says that something was left out of the two.

    xAI and Gemini leave thoughts out of `completion_tokens`, a rerank tells nothing but the total.
    """
    total = reading.usage.get("total_tokens")
    if isinstance(total, bool) or not isinstance(total, int) or total > _MOST_COUNT or reading.miscounted:
        return counts
    read, out = counts
    left = total - read - out
    if left <= 0:
        return counts
    was_read = _told(reading, _OUTPUTS) and not _told(reading, _INPUTS)
    if was_read or not (_told(reading, _INPUTS) or _told(reading, _OUTPUTS)):
        return read + left, out
    return (read + left, out) if left == cached != reasoning else (read, out + left)


def _told(reading: _Reading, names: tuple[str, ...]) -> bool:
    return any(reading.usage.get(name) is not None for name in names)


def _tells_both(reading: _Reading) -> bool:
    """Whether both counts are told, or one and a larger total."""
    told = [_told(reading, names) for names in (_INPUTS, _OUTPUTS)]
    if all(told) or not any(told):
        return all(told)
    total, one = reading.usage.get("total_tokens"), reading.either(_INPUTS) + reading.either(_OUTPUTS)
    return isinstance(total, int) and total > one


def _read_additive(reading: _Reading) -> Usage:
    """Anthropic's: `input_tokens` leaves cache traffic out (wire.md 3.2)."""
    read = reading.count("cache_read_input_tokens")
    hour = reading.count("cache_creation", "ephemeral_1h_input_tokens")
    parts = hour + reading.count("cache_creation", "ephemeral_5m_input_tokens")
    written = reading.count("cache_creation_input_tokens") or parts
    return Usage(
        input_tokens=reading.count("input_tokens") + read + written,
        output_tokens=reading.count("output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(hour, written),
        reasoning_tokens=reading.count("output_tokens_details", "thinking_tokens"),
    )


def _with_passes(whole: Usage, told: Any) -> Usage:
    """Anthropic's `iterations`: the totals leave out what compaction and advisors used, the bill does not."""
    if not isinstance(told, list) or not 0 < len(told) <= _MOST_PASSES:
        return whole
    passes = []
    for run in told:
        if not isinstance(run, dict):
            return whole
        reading = _Reading(run)
        usage = _read_additive(reading)
        doubts = tuple(reading.doubts)
        model = run.get("model")
        used = msgspec.structs.replace(usage, doubts=doubts, miscounted=reading.miscounted)
        passes.append(Pass(model if isinstance(model, str) else None, used))
    return with_passes(whole, passes)


def with_passes(whole: Usage, passes: list[Pass]) -> Usage:
    """The usage as the sum of its runs, which do not tell thoughts, unless they say less than the totals do."""
    sums = {name: sum(getattr(run.usage, name) for run in passes) for name in _SUMMED}
    if sums["input_tokens"] < whole.input_tokens or sums["output_tokens"] < whole.output_tokens:
        return whole
    doubts = tuple(doubt for run in passes for doubt in run.usage.doubts)
    miscounted = whole.miscounted or any(run.usage.miscounted for run in passes)
    return msgspec.structs.replace(whole, **sums, doubts=doubts, miscounted=miscounted, passes=tuple(passes))


def _seconds(reading: _Reading) -> int | None:
    """Seconds of sound that were listened to, begun ones whole: whisper's `{"type": "duration"}`, Mistral's."""
    name = "seconds" if reading.usage.get("type") == "duration" else "prompt_audio_seconds"
    seconds = reading.money(name)
    return None if seconds is None else int(seconds.to_integral_value(ROUND_CEILING))


def _cost(reading: _Reading) -> Decimal | None:
    """What was charged: OpenRouter's number, Perplexity's object, xAI's ticks (0 of which Azure says of all it bills)."""
    cost = reading.usage.get("cost")
    if isinstance(cost, dict) and "total_cost" in cost:
        return reading.money("cost", "total_cost") if cost.get("currency", "USD") == "USD" else None
    if cost is not None:
        return reading.money("cost")
    return reading.money("cost_in_usd_ticks", unit=_TICK_USD) or None


def _byok(reading: _Reading) -> Decimal | None:
    if reading.at(("is_byok",)) is not True:
        return None
    return reading.money("cost_details", "upstream_inference_cost")
