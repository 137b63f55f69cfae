"""Models as rows: what each name can do and costs, which of them are wanted, in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from proxy.config.problems import suggestion
from proxy.errors import ModelNotFound
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import Price
from proxy.policy.names.catalogue import MODES, TAKES
from proxy.policy.names.resolution import Names
from proxy.policy.routing.observing import Observed
from proxy.policy.routing.values import UNKNOWN, Speed
from proxy.policy.values import Settings, Target
from proxy.web.operator.timestamps import named_moment_ms

_OFF = "it is switched off for everybody"
_PER_MILLION = Decimal(1_000_000)
# what people call what the lists call otherwise
_TAKES = {"images": "pictures", "image": "pictures", "vision": "pictures", "schema": "json_schema"}
_MAKES = {"text": "chat", "images": "image", "audio": "speech", "embeddings": "embedding"}

# what a filter is about
_MOSTS = {"max_input_usd": "input_usd", "max_output_usd": "output_usd", "max_first_token": "first_token_seconds"}
_LEASTS = {"min_context": "context_length", "min_output": "max_output", "min_speed": "tokens_per_second"}

Sort = Literal["name", "input", "output", "context", "largest_output", "released", "first_token", "speed"]


class ModelAnswer(Struct, frozen=True):
    """A name clients may send, the targets it leads to, in order, and what may be wrong with it.

    The rest is of the first target; None is not known. Prices are decimal strings in USD per million tokens, "0" where
    nothing is charged, sizes tokens. `released` and `ends` are days. Speeds are those that calls have shown, else those its
    provider has published lately.
    """

    name: str
    target: str | None
    problem: str | None
    provider: str | None = None
    author: str | None = None
    context_length: int | None = None
    max_output: int | None = None
    input_usd: str | None = None
    output_usd: str | None = None
    takes: list[str] = []
    makes: list[str] = []
    released: str | None = None
    ends: str | None = None
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None


class ModelsAnswer(Struct, frozen=True):
    """Names, and of the one that was asked for by its whole name what is known of each of its targets. `off`: so many
    names are switched off for everybody."""

    models: list[ModelAnswer]
    known: list[dict[str, Any]] = []
    off: int = 0


class Known(Struct, frozen=True):
    """What is known of models. `observed`: how they do, where a daemon runs."""

    settings: Settings
    names: Names
    prices: PriceBook
    observed: Observed | None = None

    def speed(self, target: Target) -> Speed:
        """Of its streams, else of its other replies; guessed where neither is known."""
        if self.observed is None:
            return UNKNOWN
        now = time.monotonic()
        found = [self.observed.speed(target, now, stream=stream) for stream in (True, False)]
        return next((speed for speed in found if speed.basis != "guessed"), UNKNOWN)


class ModelsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the names to list, or a whole one; None lists all of them. What is not known of a model does not pass a
    filter. Prices in USD per million tokens, speeds in seconds and tokens a second; `released` is a day from which on; `off`: those switched off for everybody."""

    query: str | None = None
    provider: str | None = None
    author: str | None = None
    takes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    max_input_usd: Decimal | None = None
    max_output_usd: Decimal | None = None
    min_context: int | None = None
    min_output: int | None = None
    max_first_token: float | None = None
    min_speed: float | None = None
    free: bool = False
    released: str | None = None
    off: bool = False
    sort: Sort | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None


def row_of(known: Known, name: str, off: Container[str] = ()) -> ModelAnswer:
    """What a name stands for, and what is known of its first target; those in `off` are switched off."""
    settings, names, prices = known.settings, known.names, known.prices
    is_off = name in off
    try:
        found = names.behind(name) if is_off else names.look_up(name)
    except ModelNotFound as error:
        return ModelAnswer(name, None, error.message)
    if found is None:
        return ModelAnswer(name, None, _OFF)
    plan, target = found.plan, found.plan.targets[0]
    provider = settings.providers[target.provider]
    facts, sizes = prices.facts(provider, target.model), prices.sizes(provider, target.model)
    price, speed = prices.price(provider, plan.label, target.model), known.speed(target)
    is_guess = speed.basis == "guessed"
    return ModelAnswer(
        name,
        ", then ".join(f"{target.provider}: {target.model}" for target in plan.targets),
        _OFF if is_off else None,
        provider=target.provider,
        author=found.slug.partition("/")[0].lstrip("~"),
        context_length=sizes.context_length,
        max_output=sizes.max_output,
        input_usd=_usd(price, "input_usd"),
        output_usd=_usd(price, "output_usd"),
        takes=[] if facts is None else list(facts.takes),
        makes=[] if facts is None else list(facts.modes),
        released=None if facts is None or not facts.created else _day(facts.created),
        ends=None if facts is None else facts.expires,
        first_token_seconds=None if is_guess else round(speed.first_token_seconds, 3),
        tokens_per_second=None if is_guess else round(speed.tokens_per_second, 1),
    )


def wanted(rows: Iterable[ModelAnswer], ask: ModelsAsk, zone: tzinfo) -> list[ModelAnswer]:
    """Those that pass every filter, in the order that was asked for. Raises ValueError for a word nobody knows."""
    keeps = list(_filters(ask, zone))
    found = [row for row in rows if all(keep(row) for keep in keeps)]
    if ask.sort is not None:
        found.sort(key=_ORDERS[ask.sort])
    return found if ask.limit is None else found[: ask.limit]


def is_filtered(ask: ModelsAsk) -> bool:
    """Whether more than a part of the name was asked for."""
    return ask != ModelsAsk(query=ask.query)


def _filters(ask: ModelsAsk, zone: tzinfo) -> Iterable[Callable[[ModelAnswer], bool]]:
    takes = {_known(word, _TAKES, TAKES) for word in ask.takes}
    makes = {_known(word, _MAKES, MODES) for word in ask.makes}
    if takes or makes:
        yield lambda row: takes.issubset(row.takes) and makes.issubset(row.makes)
    if ask.provider is not None:
        yield lambda row: row.provider == ask.provider
    if ask.author is not None:
        yield lambda row: row.author == ask.author
    if ask.free:
        yield lambda row: row.input_usd == "0" and row.output_usd == "0"
    for name, field in _MOSTS.items():
        if (most := getattr(ask, name)) is not None:
            yield _at_most(field, _finite(name, most))
    for name, field in _LEASTS.items():
        if (least := getattr(ask, name)) is not None:
            yield _at_least(field, _finite(name, least))
    if ask.released is not None:
        since = datetime.fromtimestamp(named_moment_ms("released", ask.released, zone) / 1000, UTC).date().isoformat()
        yield lambda row: row.released is not None and row.released >= since


def _finite(name: str, number: Decimal | float) -> Decimal:
    if not Decimal(number).is_finite():
        raise ValueError(f"'{name}' must be a number")
    return Decimal(number)


def _at_most(field: str, most: Decimal) -> Callable[[ModelAnswer], bool]:
    return lambda row: (found := getattr(row, field)) is not None and Decimal(found) <= most


def _at_least(field: str, least: Decimal) -> Callable[[ModelAnswer], bool]:
    return lambda row: (getattr(row, field) or 0) >= least


def _known(word: str, others: dict[str, str], known: tuple[str, ...]) -> str:
    found = others.get(word, word)
    if found not in known:
        near = suggestion(word, [*known, *others])
        raise ValueError(f"no list says of models {word!r}{near or '; there is: ' + ', '.join(known)}")
    return found


def _usd(price: Price | Free | None, field: str) -> str | None:
    if isinstance(price, Free):
        return "0"
    usd = None if price is None else getattr(price, field)
    return None if usd is None else f"{(usd * _PER_MILLION).normalize():f}"


def _day(created: int) -> str | None:
    try:
        return datetime.fromtimestamp(created, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _cheapest(field: str) -> Callable[[ModelAnswer], Any]:
    """The least first, those that nobody knows last."""
    return lambda row: (getattr(row, field) is None, Decimal(getattr(row, field) or 0), row.name)


def _largest(field: str) -> Callable[[ModelAnswer], Any]:
    return lambda row: (-(getattr(row, field) or 0), row.name)


_ORDERS: dict[Sort, Callable[[ModelAnswer], Any]] = {
    "name": lambda row: row.name,
    "input": _cheapest("input_usd"),
    "output": _cheapest("output_usd"),
    "context": _largest("context_length"),
    "largest_output": _largest("max_output"),
    "first_token": _cheapest("first_token_seconds"),
    "speed": _largest("tokens_per_second"),
    "released": lambda row: (row.released is None, [-ord(char) for char in row.released or ""], row.name),
}
