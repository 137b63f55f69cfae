"""What a model name asks the mock to do: `mock/slow?ttft=2&interval=0.05`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct, field

from proxy.errors import InvalidValue

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Nth = Annotated[int, Meta(ge=1, le=1_000_000)]


class Behaviour(Struct, frozen=True):
    """A parsed model name. `after` counts data events; None means before the headers (hang) or the usual place.

    `times` limits a fault to the first calls of that exact model name, `every` to each so-many-th; others echo. Without
    `strict` the mock takes what the real provider would refuse.
    """

    name: str = "echo"
    tokens: Count | None = None
    ttft: Seconds = 0.0
    interval: Seconds = 0.0
    cost: Decimal | None = None
    cost_style: Literal["plain", "sci"] = "plain"
    usage_shape: Literal[1, 2, 3] = 3
    bills_after_disconnect: bool = False
    discount: Annotated[float, Meta(ge=0, le=1)] = 0.0
    misses: Count | None = None
    times: Count | None = None
    every: Nth | None = None
    strict: bool = True
    status: Annotated[int, Meta(ge=200, le=599)] = 500
    retry_after: str | None = None
    retry_after_ms: str | None = None
    code: str | None = None
    message: str | None = None
    body: Literal["json", "html", "empty"] = "json"
    after: Count | None = None
    rst: bool = False
    style: Literal["doc", "recorded", "string"] = "doc"
    n: Count = 17
    between: Count = 0
    thoughts: Count = 5
    size: Annotated[int, Meta(ge=0, le=67_108_864)] = field(default=2_097_152, name="bytes")
    null: bool = False
    lie: bool = False
    location: str = "/mock/redirected"


EXPECTED = {
    "tokens": "a whole number from 0 to 1000000",
    "ttft": "a number of seconds from 0 to 3600",
    "interval": "a number of seconds from 0 to 3600",
    "cost": "an amount in USD such as 0.03",
    "cost_style": "plain or sci",
    "usage_shape": "1, 2 or 3",
    "bills_after_disconnect": "1 or 0",
    "discount": "a part from 0 to 1",
    "misses": "a whole number from 0 to 1000000",
    "times": "a whole number from 0 to 1000000",
    "every": "a whole number from 1 to 1000000",
    "strict": "1 or 0",
    "status": "an HTTP status from 200 to 599",
    "retry_after": "the text of a Retry-After header",
    "retry_after_ms": "the text of a retry-after-ms header",
    "code": "the error's code",
    "message": "the error's message",
    "body": "json, html or empty",
    "after": "a whole number of events, or the word headers",
    "before": "the word headers",
    "rst": "1 or 0",
    "style": "doc, recorded or string",
    "n": "a whole number from 0 to 1000000",
    "between": "a whole number from 0 to 1000000",
    "thoughts": "a whole number from 0 to 1000000",
    "bytes": "a whole number from 0 to 67108864",
    "null": "1 or 0",
    "lie": "1 or 0",
    "location": "a URL or path",
}
_EVERYWHERE = (
    *("tokens", "ttft", "interval", "cost", "cost_style", "usage_shape"),
    *("bills_after_disconnect", "discount", "misses", "times", "every", "strict"),
)
_ERROR = ("status", "retry_after", "retry_after_ms", "code", "message")

OWN_OPTIONS: dict[str, tuple[str, ...]] = {
    "echo": (),
    "slow": (),
    "error": (*_ERROR, "body"),
    "cut": ("after", "rst"),
    "hang": ("before", "after"),
    "first-event-error": _ERROR,
    "mid-stream-error": ("after", "style", *_ERROR),
    "no-done": (),
    "no-finish": (),
    "comments": ("n", "between"),
    "tool": (),
    "json": (),
    "reasoning": ("thoughts",),
    "image": (),
    "sketch": (),
    "big": ("bytes",),
    "empty-choices": ("null",),
    "afford": (),
    "auth": (),
    "redirect": ("status", "location"),
    "truncated": (),
    "garbage": (),
    "gzip": ("lie",),
}

_DEFAULTS: dict[str, dict[str, str]] = {
    "slow": {"ttft": "2", "interval": "0.05"},
    "cut": {"after": "3"},
    "first-event-error": {"status": "429"},
    "mid-stream-error": {"after": "3", "status": "502"},
    "redirect": {"status": "302"},
    "auth": {"status": "401"},
    "afford": {"status": "402"},
}


def parse_behaviour(model: str) -> Behaviour:
    """Read a model name, with or without `mock/`; a name without a behaviour of its own echoes.

    Raises `InvalidValue` with the option at fault and what it expects.
    """
    path, _, query = model.removeprefix("mock/").partition("?")
    name = path if path in OWN_OPTIONS else "echo"
    known = (*_EVERYWHERE, *OWN_OPTIONS[name])
    options = dict(_DEFAULTS.get(name, {}))
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InvalidValue(f"The options of the mock model {model!r} must read name=value&name=value.") from None
    for option, value in pairs:
        if option not in known:
            raise InvalidValue(f"The mock model {name!r} has no option {option!r}; it has {', '.join(known)}.")
        options[option] = value
    return _typed(name, options)


def without_fault(behaviour: Behaviour) -> Behaviour:
    """The same options on an ordinary echo: what a call gets whose turn to go wrong it is not."""
    return msgspec.structs.replace(behaviour, name="echo")


def goes_wrong(behaviour: Behaviour, call: int) -> bool:
    """Whether so-many-th call of a name, counted from 1, meets its fault."""
    is_early = behaviour.times is None or call <= behaviour.times
    return is_early and (behaviour.every is None or call % behaviour.every == 0)


def _typed(name: str, options: dict[str, str]) -> Behaviour:
    values: dict[str, object] = {"name": name}
    for option, text in options.items():
        if option == "before":
            _require(text == "headers", option, text)
            continue
        value = "0" if option == "after" and text == "headers" else text
        _require(value.isprintable(), option, text)
        values[option] = value
        try:
            msgspec.convert({option: value}, Behaviour, strict=False)
        except msgspec.ValidationError:
            _require(False, option, text)
    behaviour = msgspec.convert(values, Behaviour, strict=False)
    cost = behaviour.cost
    _require(cost is None or (cost.is_finite() and 0 <= cost <= 1_000_000), "cost", str(cost))
    return behaviour


def _require(holds: bool, option: str, text: str) -> None:
    if not holds:
        raise InvalidValue(f"The mock option {option}={text!r} is not usable: it must be {EXPECTED[option]}.")
