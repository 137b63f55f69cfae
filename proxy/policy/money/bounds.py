"""The hold: the most a call can cost at a price, known before the provider sees a byte.

Every part is an upper bound, so that a settlement never passes its hold: one token for a byte of
text, the dearest rate any of it may be charged at, the fees of every tool that may run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.money.amounts import to_pusd_up
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.pictures import by_picture
from proxy.policy.money.prices import Price
from proxy.policy.money.rates import AUDIO_TOKENS_PER_SECOND, Case, Sizes
from proxy.policy.money.weight import Weight, weigh
from proxy.wire.call import Call

# Tokens of speech for a byte read aloud: digits and abbreviations grow most.
SPEECH_TOKENS_PER_BYTE = 10
# A rerank is charged by a hundred documents, long ones cut into pieces of 500 tokens.
_RERANK_UNIT = 100
_RERANK_PIECE_BYTES = 500

_ENDLESS = 10**18  # tokens
_ZERO = Decimal(0)
_USUAL = BudgetRules()


class Bound(Struct, frozen=True):
    """The most a call can cost, at the most it can put out for each answer.

    `pusd_per_output_token` is for one token of each answer that is asked for (`n`). `is_assumed`: nobody knows the
    model's largest output, and the request sets no maximum. `most_injected` is the largest maximum the model takes
    beside such a prompt.
    """

    input_tokens: int
    output_tokens: int
    pusd: int
    pusd_without_output: int
    pusd_per_output_token: int
    is_assumed: bool = False
    most_injected: int = 0

    def at(self, output_tokens: int) -> int:
        """The most it can cost where each answer is cut off at this length."""
        return self.pusd_without_output + output_tokens * self.pusd_per_output_token

    def plus(self, pusd: int) -> Bound:
        """The same where something beside it may cost so much."""
        without = self.pusd_without_output + pusd
        return replace(self, pusd=self.pusd + pusd, pusd_without_output=without) if pusd else self


class Slope(Struct, frozen=True):
    """The bound of a plain chat at one price: a line over the tokens of its prompt, in whole pusd.

    `window` is the model's context window, and `most_output` what it puts out at most: either may be endless, where nobody
    knows it. `unasked_output` is that of a call without a maximum of its own, which `is_assumed` where nobody knows.
    """

    price: Price
    pusd_per_input_token: int
    pusd_per_call: int
    pusd_per_output_token: int
    window: int
    most_output: int
    unasked_output: int
    is_assumed: bool

    def bound(self, text_tokens: int, maximum: int | None) -> Bound:
        """What `upper_bound` says of a prompt of so many tokens and this maximum of output."""
        window, most = self.window, self.most_output
        output = self.unasked_output if maximum is None else maximum if maximum < most else most
        tokens, injected, left = text_tokens, output, window - -(-text_tokens * 2 // 7)
        if tokens > window:
            tokens = window
        if left < output:
            injected = left if left > 1 else 1
        fixed, rate = tokens * self.pusd_per_input_token + self.pusd_per_call, self.pusd_per_output_token
        is_assumed = maximum is None and self.is_assumed
        return Bound(tokens, output, fixed + output * rate, fixed, rate, is_assumed, injected)


def slope_of(price: Price, sizes: Sizes, rules: BudgetRules) -> Slope | None:
    """The line of plain chats; None where their bound is none, or not in whole pusd: a price by size, hour or unit."""
    held = price.for_holds()
    units = (held.character_usd, held.audio_second_usd, held.output_second_usd, held.page_usd)
    is_odd = held.overrides or held.makes_images or any(usd is not None for usd in units) or sizes.context_length == 0
    if is_odd or sizes.searches or sizes.research != "none" or sizes.variant in (":nitro", ":online"):
        return None
    read = max(usd for usd in (held.input_usd, held.cached_input_usd, held.cache_write_usd) if usd is not None)
    called = held.request_usd or _ZERO
    amounts = [to_pusd_up(usd) for usd in (read, called)]
    if any(Decimal(pusd).scaleb(-12) != usd for pusd, usd in zip(amounts, (read, called), strict=True)):
        return None
    written = max(usd for usd in (held.output_usd, held.reasoning_usd) if usd is not None)
    largest, window = sizes.max_output, sizes.context_length or _ENDLESS
    most, unasked = (_ENDLESS, rules.unknown_maximum) if largest is None else (largest, largest)
    outputs = window, min(most, window), min(unasked, window)
    return Slope(price, amounts[0], amounts[1], to_pusd_up(written), *outputs, largest is None)


def upper_bound(
    asked: Call | Weight, price: Price, sizes: Sizes, rules: BudgetRules = _USUAL, *, is_listed: bool = True
) -> Bound | None:
    """The most the request can cost at this price; None where nothing bounds it. `is_listed` as in `Case`."""
    weight = weigh(asked) if isinstance(asked, Call) else asked
    measure = _MEASURES.get(weight.endpoint)
    return None if measure is None else measure(Case(weight, price.for_holds(), sizes, rules, is_listed))


def dearest(bounds: Iterable[Bound | None]) -> Bound | None:
    """A bound for whichever of several models serves; None where one of them has none."""
    found = list(bounds)
    if not found or None in found:
        return None
    all_of = [bound for bound in found if bound is not None]
    return Bound(
        input_tokens=max(bound.input_tokens for bound in all_of),
        output_tokens=max(bound.output_tokens for bound in all_of),
        pusd=max(bound.pusd for bound in all_of),
        pusd_without_output=max(bound.pusd_without_output for bound in all_of),
        pusd_per_output_token=max(bound.pusd_per_output_token for bound in all_of),
        is_assumed=any(bound.is_assumed for bound in all_of),
        most_injected=min(bound.most_injected for bound in all_of),
    )


def _generation(case: Case) -> Bound | None:
    """Text, thoughts, pictures and sound from a prompt."""
    requested, price, tokens = case.weight.requested, case.price, case.input_tokens()
    units = (price.character_usd, price.audio_second_usd, price.output_second_usd, price.page_usd)
    is_by_unit = any(usd is not None for usd in units)
    is_unbounded = case.is_listed and bool(requested.tools.unbounded)
    if requested.copies is None or is_unbounded or is_by_unit:
        return None
    names = ["output_usd", "reasoning_usd"]
    if requested.makes_images or price.makes_images:
        names.append("image_output_usd")
    if requested.makes_audio:
        names.append("audio_output_usd")
    if any(getattr(price, name) is None for name in names[2:]):
        return None  # far dearer than text, and nobody says how much
    rate = case.rate(names, tokens) * case.surcharge()
    runs = 1 if requested.compacts_above is None or tokens < requested.compacts_above else 2
    fixed = to_pusd_up(runs * case.input_usd(tokens) + case.fees_usd() + requested.predicted_tokens * rate)
    per_token = to_pusd_up(rate) * requested.copies * runs
    output = case.output_tokens()
    return Bound(
        input_tokens=tokens,
        output_tokens=output,
        pusd=fixed + output * per_token,
        pusd_without_output=fixed,
        pusd_per_output_token=per_token,
        is_assumed=case.is_assumed(),
        most_injected=case.most_injected(),
    )


def _reading(case: Case) -> Bound | None:
    """Embeddings and ranks: nothing is put out that is charged."""
    tokens = case.input_tokens()
    usd = case.input_usd(tokens) + case.fees_usd()
    if case.weight.endpoint == "rerank":
        pieces = case.weight.requested.documents + case.weight.body_bytes // _RERANK_PIECE_BYTES
        usd += pieces // _RERANK_UNIT * (case.price.request_usd or _ZERO)
    return _fixed(tokens, usd)


def _drawing(case: Case) -> Bound | None:
    """Pictures, by the tokens of their area or at a fee each."""
    requested, price, tokens = case.weight.requested, case.price, case.input_tokens()
    if requested.copies is None:
        return None
    spread = by_picture(price, requested.picture)
    each = [] if spread is None else [spread.high]
    if price.image_output_usd is not None:
        each.append(requested.picture_tokens * case.rate(("image_output_usd", "output_usd"), tokens) * case.surcharge())
    elif not each and price.image_usd is not None:
        each.append(price.image_usd)
    if not each:
        return None
    return _fixed(tokens, case.input_usd(tokens) + case.fees_usd() + requested.copies * max(each))


def _speech(case: Case) -> Bound | None:
    """Text read aloud, by the character or by the tokens of the sound."""
    tokens, price = case.input_tokens(), case.price
    if price.audio_second_usd is not None:
        return None
    if price.character_usd is not None:
        characters = case.weight.requested.characters or case.weight.body_bytes
        return _fixed(tokens, characters * price.character_usd + case.fees_usd())
    sound = case.weight.body_bytes * SPEECH_TOKENS_PER_BYTE * case.rate(("output_usd", "audio_output_usd"), tokens)
    return _fixed(tokens, case.input_usd(tokens) + case.fees_usd() + sound)


def _transcription(case: Case) -> Bound | None:
    """Speech written down: by the second, by tokens in and no more out, or by both."""
    tokens, price, seconds = case.input_tokens(), case.price, case.weight.input_media.audio_seconds
    if price.character_usd is not None or case.weight.input_media.is_elsewhere:
        return None  # a recording at some address is as long as it likes
    sound = seconds * (price.audio_second_usd or _ZERO)
    text = seconds * AUDIO_TOKENS_PER_SECOND * case.rate(("output_usd",), tokens)
    return _fixed(tokens, case.input_usd(tokens) + case.fees_usd() + sound + text)


def _fixed(input_tokens: int, usd: Decimal) -> Bound:
    """A bound that no maximum lowers."""
    pusd = to_pusd_up(usd)
    return Bound(input_tokens, 0, pusd, pusd, 0)


_MEASURES: dict[str, Callable[[Case], Bound | None]] = {
    "chat/completions": _generation,
    "completions": _generation,
    "responses": _generation,
    "responses/compact": _generation,
    "messages": _generation,
    "embeddings": _reading,
    "rerank": _reading,
    "images": _drawing,
    "images/generations": _drawing,
    "images/edits": _drawing,
    "images/variations": _drawing,
    "audio/speech": _speech,
    "audio/transcriptions": _transcription,
    "audio/translations": _transcription,
}

# The endpoints of which a price bounds the cost.
BOUNDED = frozenset(_MEASURES)
