"""What an attempt cost, row by row: reported, computed, counted, held, unknown, nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from proxy.policy.money.prices import Price
from proxy.policy.money.settlement import Ending, Prices, Settlement, Source, is_worth_asking, settle
from proxy.wire.usage import Usage

PRICE = Price(Decimal("0.000001"), Decimal("0.000002"))
DEAR = Price(Decimal("0.000005"), Decimal("0.000007"))
TIERED = Price(PRICE.input_usd, PRICE.output_usd, variants=(("service_tier", "priority", DEAR),))
FREE = Price(Decimal(0), Decimal(0))
BY_CHARACTER = Price(Decimal(0), Decimal(0), character_usd=Decimal("0.000001"))
HOLD = 5_000_000_000
TOLD = Usage(input_tokens=10, output_tokens=20)
COMPUTED = 10 * 10**6 + 20 * 2 * 10**6

VOID = Settlement(0, "none")


def reported(**more: Any) -> Usage:
    return Usage(input_tokens=10, output_tokens=20, **more)


ROWS: list[tuple[str, Ending, Price | None, Settlement]] = [
    ("nothing was sent", Ending(trouble="unreachable"), PRICE, VOID),
    ("the breaker was open", Ending(trouble="unhealthy"), PRICE, VOID),
    ("an error answer", Ending(status=429), PRICE, VOID),
    ("a redirect", Ending(trouble="no_answer", status=302), PRICE, VOID),
    ("an error inside a 200", Ending(status=200, failed=True), PRICE, VOID),
    ("an error that states tokens", Ending(status=500, usage=TOLD), PRICE, Settlement(COMPUTED, "computed")),
    ("an error that states its cost", Ending(status=502, usage=Usage(cost_usd=Decimal("0.5"))), PRICE, Settlement(5 * 10**11, "reported")),
    ("the upstream's own figure", Ending(status=200, usage=reported(cost_usd=Decimal("0.000004"))), PRICE, Settlement(4 * 10**6, "reported")),
    ("zero is zero", Ending(status=200, usage=reported(cost_usd=Decimal(0))), PRICE, Settlement(0, "reported")),
    ("an own key pays the provider too", Ending(status=200, usage=reported(cost_usd=Decimal("0.95"), byok_usd=Decimal(19))), PRICE, Settlement(1995 * 10**10, "reported")),
    ("above the hold is booked in full", Ending(status=200, usage=reported(cost_usd=Decimal(1))), PRICE, Settlement(10**12, "reported")),
    ("tokens times price", Ending(status=200, usage=TOLD), PRICE, Settlement(COMPUTED, "computed")),
    ("zero tokens are zero", Ending(status=200, usage=Usage()), PRICE, Settlement(0, "computed")),
    ("no price", Ending(status=200, usage=TOLD), None, Settlement(0, "unknown")),
    ("no price and no usage", Ending(status=200), None, Settlement(0, "unknown")),
    ("a whole reply without usage", Ending(status=200), PRICE, Settlement(HOLD, "held")),
    ("a stream without usage", Ending(status=200, streamed=True, countable=True, input_tokens=10, counted_output=20), PRICE, Settlement(COMPUTED, "counted")),
    ("cut where closing ends the bill", Ending(status=200, streamed=True, countable=True, complete=False, stops_billing=True, input_tokens=10, counted_output=20), PRICE, Settlement(COMPUTED, "counted")),
    ("cut where it does not", Ending(status=200, streamed=True, countable=True, complete=False, input_tokens=10, counted_output=20), PRICE, Settlement(HOLD, "held")),
    ("cut after its first usage", Ending(status=200, streamed=True, countable=True, complete=False, stops_billing=True, usage=Usage(input_tokens=10, output_tokens=1), counted_output=20), PRICE, Settlement(COMPUTED, "counted")),
    ("sent and not answered", Ending(trouble="no_answer"), PRICE, Settlement(HOLD, "held")),
    ("sent, not answered, closing ends the bill", Ending(trouble="no_answer", streamed=True, countable=True, complete=False, stops_billing=True, input_tokens=10), PRICE, Settlement(10 * 10**6, "counted")),
    ("figures nobody can believe", Ending(status=200, usage=Usage(doubts=("negative",), miscounted=True)), PRICE, Settlement(HOLD, "held", doubts=("negative",))),
    ("one figure nobody can believe", Ending(status=200, usage=reported(doubts=("absurd",))), PRICE, Settlement(COMPUTED, "computed", doubts=("absurd",))),
    ("a count nobody told, whole", Ending(status=200, usage=Usage(input_tokens=10, uncounted=True)), PRICE, Settlement(HOLD, "held")),
    ("a count nobody told, streamed", Ending(status=200, streamed=True, countable=True, counted_output=20, usage=Usage(input_tokens=10, uncounted=True)), PRICE, Settlement(COMPUTED, "counted")),
    ("a prompt nobody told, streamed", Ending(status=200, streamed=True, countable=True, input_tokens=10, counted_output=3, usage=Usage(output_tokens=20, uncounted=True)), PRICE, Settlement(COMPUTED, "counted")),
    ("a first count is not the last", Ending(status=200, streamed=True, countable=True, counted_output=20, usage=Usage(input_tokens=10, output_tokens=1, uncounted=True)), PRICE, Settlement(COMPUTED, "counted")),
    ("a count nobody told of an error", Ending(status=500, usage=Usage(input_tokens=10, uncounted=True)), PRICE, Settlement(10 * 10**6, "computed")),
    ("a count nobody told and a cost", Ending(status=200, usage=Usage(cost_usd=Decimal("0.000004"), uncounted=True)), PRICE, Settlement(4 * 10**6, "reported")),
    ("per second, and nobody told", Ending(status=200, usage=TOLD), Price(Decimal(0), Decimal(0), audio_second_usd=Decimal("0.0001")), Settlement(HOLD, "held")),
    ("tokens at a dearer tier", Ending(status=200, usage=TOLD, terms=(("service_tier", "priority"),)), TIERED, Settlement(190 * 10**6, "computed")),
    ("at a tier of the usual price", Ending(status=200, usage=TOLD, terms=(("service_tier", "default"),)), TIERED, Settlement(COMPUTED, "computed")),
    ("at another kind of tier", Ending(status=200, usage=TOLD, terms=(("speed", "priority"),)), TIERED, Settlement(COMPUTED, "computed")),
    ("at two", Ending(status=200, usage=TOLD, terms=(("service_tier", "priority"), ("speed", "fast"))), TIERED, Settlement(190 * 10**6, "computed")),
    ("a tier and no price", Ending(status=200, usage=TOLD, terms=(("service_tier", "priority"),)), None, Settlement(0, "unknown")),
    ("counted at a dearer tier", Ending(status=200, streamed=True, countable=True, input_tokens=10, counted_output=20, terms=(("service_tier", "priority"),)), TIERED, Settlement(190 * 10**6, "counted")),
    ("a stated cost is that of its tier", Ending(status=200, usage=reported(cost_usd=Decimal(1)), terms=(("service_tier", "priority"),)), TIERED, Settlement(10**12, "reported")),
    ("images", Ending(status=200, usage=Usage(output_tokens=3), makes_images=True), Price(Decimal(0), Decimal(0), image_output_usd=Decimal("0.00004")), Settlement(120 * 10**6, "computed")),
    ("images, that say how much of it they are", Ending(status=200, usage=Usage(output_tokens=3, image_tokens=2), makes_images=True), Price(Decimal(0), Decimal("0.00001"), image_output_usd=Decimal("0.00004")), Settlement(90 * 10**6, "computed")),
    ("text read aloud", Ending(status=200, usage=Usage(output_tokens=3), makes_speech=True), Price(Decimal(0), Decimal("0.00001"), audio_output_usd=Decimal("0.000012")), Settlement(36 * 10**6, "computed")),
    ("text read aloud, that says what it is", Ending(status=200, usage=Usage(output_tokens=3, audio_output_tokens=2), makes_speech=True), Price(Decimal(0), Decimal("0.00001"), audio_output_usd=Decimal("0.000012")), Settlement(34 * 10**6, "computed")),
    ("text read aloud, at one price", Ending(status=200, usage=Usage(output_tokens=3), makes_speech=True), Price(Decimal(0), Decimal("0.00001")), Settlement(30 * 10**6, "computed")),
    ("searches cost as well", Ending(status=200, usage=Usage(web_searches=2)), Price(Decimal(0), Decimal(0), web_search_usd=Decimal("0.01")), Settlement(2 * 10**10, "computed")),
    ("no price, and a figure nobody can believe", Ending(status=200, usage=reported(doubts=("absurd",))), None, Settlement(0, "unknown", doubts=("absurd",))),
    ("read aloud, by the character", Ending(status=200, binary=True, makes_speech=True, characters=7), BY_CHARACTER, Settlement(7 * 10**6, "computed")),
    ("read aloud, and nobody knows how much", Ending(status=200, binary=True, makes_speech=True), BY_CHARACTER, Settlement(HOLD, "held")),
    ("read aloud, by the character and the token", Ending(status=200, binary=True, makes_speech=True, characters=7), Price(PRICE.input_usd, Decimal(0), character_usd=Decimal("0.000001")), Settlement(HOLD, "held")),
    ("read aloud, and cut off", Ending(status=200, binary=True, makes_speech=True, characters=7, complete=False), BY_CHARACTER, Settlement(HOLD, "held")),
    ("free of charge, and no usage", Ending(status=200), FREE, Settlement(0, "computed")),
    ("free of charge, whatever it makes and keeps", Ending(status=200), msgspec.structs.replace(FREE, makes_images=True, doubles_hour_writes=True), Settlement(0, "computed")),
    ("free but for a request's fee, and no usage", Ending(status=200), msgspec.structs.replace(FREE, request_usd=Decimal("0.001")), Settlement(HOLD, "held")),
    ("streamed, per second, and nobody told", Ending(status=200, streamed=True, countable=True), Price(Decimal(0), Decimal(0), audio_second_usd=Decimal("0.0001")), Settlement(HOLD, "held")),
]  # fmt: skip


def test_where_nothing_bounded_a_call_nobody_knows_what_it_cost() -> None:
    assert settle(Ending(status=200), Prices(PRICE), 0) == Settlement(0, "unknown")


@pytest.mark.parametrize(("ending", "price", "settlement"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_attempt_costs_what_is_known_best(ending: Ending, price: Price | None, settlement: Settlement) -> None:
    found = settle(ending, Prices(price), HOLD)
    assert (found.cost_pusd, found.source) == (settlement.cost_pusd, settlement.source)
    assert found.doubts == settlement.doubts


@pytest.mark.parametrize(("served", "due"), [(None, PRICE), ("as asked", PRICE), ("dear", DEAR)])
def test_a_reply_that_names_another_model_is_settled_at_its_price(served: str | None, due: Price) -> None:
    prices = Prices(PRICE, served=lambda model: DEAR if model == "dear" else None)
    assert prices.by(served).own == due
    assert prices.by(served).under((("service_tier", "flex"),)).own == due


@pytest.mark.parametrize(
    ("source", "ending", "is_worth"),
    [
        ("counted", Ending(status=200, complete=False), True),
        ("held", Ending(status=200, binary=True), True),
        ("unknown", Ending(status=200, complete=False), True),
        ("reported", Ending(status=200, complete=False), False),
        ("computed", Ending(status=200, complete=False), False),
        ("held", Ending(status=200), False),
        ("held", Ending(status=None, complete=False), False),
        ("held", Ending(status=502, complete=False), False),
    ],
)
def test_only_what_began_and_did_not_say_its_price_is_asked_for(source: Source, ending: Ending, is_worth: bool) -> None:
    assert is_worth_asking(Settlement(5, source), ending) is is_worth
