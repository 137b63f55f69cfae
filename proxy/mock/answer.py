"""What the mock says, in words, before any API spells it; and what that costs."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Literal

from msgspec import Raw, Struct

from proxy.mock.asked import Asked, must_call, offered_tools, scripted_tool, wanted_schema, wanted_tool
from proxy.mock.behaviours import Behaviour
from proxy.mock.catalogue import Price
from proxy.mock.example import example
from proxy.mock.pictures import picture
from proxy.mock.strict.facts import is_behaviour

Finish = Literal["stop", "length", "tool_calls"]

_WORD = re.compile(r"\s*\S+|\s+")
_IMAGE_TOKENS = 1290
_ID_PREFIXES = {
    "chat/completions": "chatcmpl-",
    "completions": "cmpl-",
    "responses": "resp_",
    "responses/compact": "resp_",
    "moderations": "modr-",
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class Cost(Struct, frozen=True):
    """USD. `total` is what the bill says; `prompt` and `completion` are what the tokens alone cost."""

    total: Decimal
    prompt: Decimal
    completion: Decimal


class Answer(Struct, frozen=True):
    """The words of an answer. `tool` names the tool to call with the JSON text in `arguments`."""

    words: tuple[str, ...]
    finish: Finish
    cost: Cost
    input_tokens: int
    output_tokens: int
    thoughts: tuple[str, ...] = ()
    tool: str | None = None
    arguments: tuple[str, ...] = ()
    image: str | None = None
    image_tokens: int = 0

    @property
    def text(self) -> str:
        """The words as one text."""
        return "".join(self.words)


class Turn(Struct, frozen=True):
    """A request with its answer, and the id and second (Unix time) they carry."""

    asked: Asked
    behaviour: Behaviour
    answer: Answer
    served: str
    suffix: str
    created: int

    @property
    def reply_id(self) -> str:
        """The call's name on the wire and on the bill; where a body has none, that of the request."""
        if self.asked.profile == "openrouter":
            return f"gen-{self.created}-{self.suffix}"
        prefixes = _ID_PREFIXES if self.asked.profile == "openai" else {}
        return prefixes.get(self.asked.endpoint, "msg_" if self.asked.profile == "anthropic" else "req_") + self.suffix

    @property
    def cost(self) -> Raw:
        """`usage.cost` as JSON."""
        return number(self.answer.cost.total, self.behaviour.cost_style)


def words_of(text: str) -> tuple[str, ...]:
    """Split into word tokens that join to the same text."""
    return tuple(_WORD.findall(text))


def number(amount: Decimal, style: str = "plain") -> Raw:
    """Print an amount exactly as a JSON number, plain or in scientific notation."""
    if style == "plain" or not amount:
        text = format(amount, "f")
        return Raw((text.rstrip("0").rstrip(".") if "." in text else text).encode())
    digits = "".join(map(str, amount.as_tuple().digits)).lstrip("0").rstrip("0")
    exponent = amount.adjusted()
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return Raw(f"{digits[0]}{fraction}e{exponent:+03d}".encode())


def compose(asked: Asked, behaviour: Behaviour, price: Price) -> Answer:
    """Decide what to say. Words, thoughts and tool arguments all count against the request's maximum."""
    thoughts = tuple(f" thought{at}" for at in range(1, behaviour.thoughts + 1))
    talks = asked.endpoint != "completions"
    thoughts = thoughts if behaviour.name == "reasoning" and talks else ()
    tool = _tool_call(asked, behaviour) if talks else None
    said = words_of(_arguments(asked, *tool)) if tool else _words(asked, behaviour)
    left = len(thoughts) + len(said) if asked.maximum is None else asked.maximum
    kept_thoughts = thoughts[:left]
    kept = said[: left - len(kept_thoughts)]
    cut = len(kept) < len(said) or len(kept_thoughts) < len(thoughts)
    draws = behaviour.name in ("image", "sketch") or "image" in (asked.fields.get("modalities") or ())
    draws = draws and asked.endpoint == "chat/completions" and "mock: words" not in asked.prompt
    image = picture(asked.prompt, PIXEL) if draws else None
    output = (len(kept) + len(kept_thoughts)) * asked.choices
    image_tokens = _IMAGE_TOKENS * asked.choices if image else 0
    finish: Finish = "length" if cut else "tool_calls" if tool else "stop"
    return Answer(
        words=() if tool else kept,
        finish=finish,
        cost=cost_of(behaviour, price, asked.input_tokens, output, image_tokens),
        input_tokens=asked.input_tokens,
        output_tokens=output + image_tokens,
        thoughts=kept_thoughts,
        tool=tool[0] if tool else None,
        arguments=kept if tool else (),
        image=image,
        image_tokens=image_tokens,
    )


def cost_of(behaviour: Behaviour, price: Price, given: int, said: int, image: int = 0) -> Cost:
    """Price the tokens; `cost=` in the model name replaces the total."""
    prompt = given * price.prompt
    completion = said * price.completion + image * price.image_output
    total = prompt + completion if behaviour.cost is None else behaviour.cost
    return Cost(total, prompt, completion)


def _tool_call(asked: Asked, behaviour: Behaviour) -> tuple[str, object] | None:
    """The name and arguments of the call to answer with, if any."""
    scripted = None if behaviour.name == "tool" else scripted_tool(asked)
    if scripted is not None or (behaviour.name != "tool" and not must_call(asked)):
        return scripted
    wanted = wanted_tool(asked)
    return None if wanted is None else (wanted[0], example(wanted[1]))


def _arguments(asked: Asked, name: str, arguments: object) -> str:
    """A function's are JSON; a custom tool of Responses takes a text, its `input`."""
    offered = offered_tools(asked).get(name)
    if asked.endpoint == "responses" and offered is not None and offered.is_custom:
        return str(arguments.get("input", "")) if isinstance(arguments, dict) else ""
    return json.dumps(arguments, ensure_ascii=False)


def _keeps_shape(asked: Asked, behaviour: Behaviour) -> bool:
    """Whether the answer is of the JSON Schema that the request brings: `mock/json` does, and so does a real model, unless an
    object was laid in its mouth or only the length of its words was ordered."""
    is_real = not is_behaviour(asked.model) and behaviour.tokens is None
    return behaviour.name == "json" or (is_real and not asked.prompt.lstrip().startswith("{"))


def _words(asked: Asked, behaviour: Behaviour) -> tuple[str, ...]:
    if behaviour.name == "big":
        return ("x" * behaviour.size,)
    schema = wanted_schema(asked) if _keeps_shape(asked, behaviour) else None
    if schema is not None:
        value = {"answer": asked.prompt} if schema is True else example(schema)
        return words_of(json.dumps(value, ensure_ascii=False))
    if behaviour.tokens is not None:
        return tuple(f"token{at}" if at == 1 else f" token{at}" for at in range(1, behaviour.tokens + 1))
    return words_of(asked.prompt)
