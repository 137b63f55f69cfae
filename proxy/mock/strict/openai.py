"""OpenAI: what api.openai.com takes (wire.md 2.2, 2.4, 2.5; the parameters of the official SDK), and its errors (2.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.mock.envelopes import Failure
from proxy.mock.strict.facts import Facts
from proxy.mock.strict.openai_parts import CHAT_PARTS, refused_parts
from proxy.mock.strict.shape import Fault, Path, Shape, Want, kind_of

ARTICLES = {
    "integer": "an integer",
    "number": "a decimal",
    "string": "a string",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

TEXT = Want(("string",))
FLAG = Want(("boolean",))
THING = Want(("object",))
LIST = Want(("array",))
MAXIMUM = Want(("integer",), least=1)
TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
SAMPLING = {
    "temperature": Want(("number",), least=0, most=2),
    "top_p": Want(("number",), least=0, most=1),
}
PENALTIES = {
    "frequency_penalty": Want(("number",), least=-2, most=2),
    "presence_penalty": Want(("number",), least=-2, most=2),
}
CACHING = {
    "prompt_cache_key": TEXT,
    "prompt_cache_options": THING,
    "prompt_cache_retention": Want(("string",), words=("in_memory", "in-memory", "24h")),
    "safety_identifier": TEXT,
    "service_tier": Want(("string",), words=TIERS),
    "user": TEXT,
    "moderation": THING,
    "metadata": THING,
    "store": FLAG,
}

_FUNCTION = Shape({"name": Want(("string",), required=True, filled=True), "parameters": THING, "description": TEXT})
_CHAT_TOOLS = {
    "function": Shape({"function": Want(("object",), required=True, inside=_FUNCTION)}),
    "custom": Shape({"custom": Want(("object",), required=True, inside=Shape({"name": Want(("string",), True)}))}),
}
_PARTS = Want(("string", "array"), each=CHAT_PARTS)
_SPOKEN = Shape({"content": Want(("string", "array"), required=True, each=CHAT_PARTS)})
_CHAT_MESSAGES = {
    **dict.fromkeys(("system", "developer", "user"), _SPOKEN),
    "assistant": Shape({"content": _PARTS, "tool_calls": LIST}),
    "tool": Shape({**_SPOKEN.members, "tool_call_id": Want(("string",), True)}),
    "function": Shape({"name": Want(("string",), required=True)}),
}
CHAT_MESSAGES = Want(("array",), required=True, filled=True, each=_CHAT_MESSAGES, tag="role")
CHAT_TOOLS = Want(("array",), each=_CHAT_TOOLS)
CHAT = Shape(
    {
        "messages": CHAT_MESSAGES,
        "model": TEXT,
        "tools": CHAT_TOOLS,
        "tool_choice": Want(("string", "object")),
        "functions": LIST,
        "function_call": Want(("string", "object")),
        "max_tokens": MAXIMUM,
        "max_completion_tokens": MAXIMUM,
        "n": Want(("integer",), least=1, most=128),
        "stop": Want(("string", "array"), most=4),
        "stream": FLAG,
        "stream_options": THING,
        "logprobs": FLAG,
        "top_logprobs": Want(("integer",), least=0, most=20),
        "logit_bias": THING,
        "seed": Want(("integer",)),
        "modalities": LIST,
        "audio": THING,
        "prediction": THING,
        "parallel_tool_calls": FLAG,
        "reasoning_effort": Want(("string",), words=("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        "verbosity": Want(("string",), words=("low", "medium", "high")),
        "response_format": THING,
        "web_search_options": THING,
        **SAMPLING,
        **PENALTIES,
        **CACHING,
    },
    closed=True,
)
COMPLETIONS = Shape(
    {
        "model": TEXT,
        "prompt": Want(("string", "array")),
        "max_tokens": Want(("integer",), least=0),
        "best_of": Want(("integer",), least=1, most=20),
        "n": Want(("integer",), least=1, most=128),
        "echo": FLAG,
        "logit_bias": THING,
        "logprobs": Want(("integer",), least=0, most=5),
        "seed": Want(("integer",)),
        "stop": Want(("string", "array"), most=4),
        "stream": FLAG,
        "stream_options": THING,
        "suffix": TEXT,
        "user": TEXT,
        **SAMPLING,
        **PENALTIES,
    },
    closed=True,
)

_NAMED_TOOL = Shape({"name": Want(("string",), required=True, filled=True)})
_HOSTED_TOOLS = (
    *("file_search", "computer", "computer_use_preview", "computer-preview", "web_search", "web_search_2025_08_26"),
    *("web_search_preview", "web_search_preview_2025_03_11", "mcp", "code_interpreter", "programmatic_tool_calling"),
    *("image_generation", "local_shell", "shell", "tool_search", "apply_patch"),
)
_RESPONSES_TOOLS = {
    "function": Shape({**_NAMED_TOOL.members, "parameters": THING, "description": TEXT, "strict": FLAG}),
    "custom": _NAMED_TOOL,
    "namespace": _NAMED_TOOL,
    **dict.fromkeys(_HOSTED_TOOLS, Shape()),
}
RESPONSES = Shape(
    {
        "model": TEXT,
        "input": Want(("string", "array"), each={"": Shape()}),
        "instructions": Want(("string", "array")),
        "max_output_tokens": Want(("integer",), least=16),
        "max_tool_calls": Want(("integer",), least=1),
        "tools": Want(("array",), each=_RESPONSES_TOOLS),
        "tool_choice": Want(("string", "object")),
        "access_programs": THING,
        "background": FLAG,
        "background_options": THING,
        "client_metadata": THING,
        "context_management": LIST,
        "conversation": Want(("string", "object")),
        "image": THING,
        "include": LIST,
        "parallel_tool_calls": FLAG,
        "previous_response_id": TEXT,
        "prompt": THING,
        "reasoning": THING,
        "stream": FLAG,
        "stream_options": THING,
        "text": THING,
        "top_logprobs": Want(("integer",), least=0, most=20),
        "truncation": Want(("string",), words=("auto", "disabled")),
        **SAMPLING,
        **CACHING,
    },
    closed=True,
)


def sentence(fault: Fault) -> Failure:
    """A difference in OpenAI's words."""
    path = spelled(fault.path)
    value, want = fault.value, fault.want
    if fault.wrong == "unknown":
        return _refusal(f"Unknown parameter: '{path}' is none of this endpoint's.", "unknown_parameter", path)
    if fault.wrong == "missing":
        return _refusal(f"Missing required parameter: '{path}' must be sent.", "missing_required_parameter", path)
    if fault.wrong in ("word", "tag"):
        known = ", ".join(f"'{word}'" for word in fault.known)
        return _refusal(f"Invalid value: '{_short(value)}'. The values supported are: {known}.", "invalid_value", path)
    if fault.wrong == "empty":
        kind = "array" if value == [] else "string"
        return _refusal(f"Invalid '{path}': empty {kind}. At least one is expected.", f"empty_{kind}", path)
    if fault.wrong == "long" and want is not None:
        text = f"Invalid '{path}': array too long. Expected at most {want.most:g} elements, got {value}."
        return _refusal(text, "array_above_max_length", path)
    if fault.wrong == "type" and want is not None:
        return _refusal(
            f"Invalid type for '{path}': expected {_wanted(want)}, got {_got(value)}.", "invalid_type", path
        )
    return _out_of_bounds(fault, path)


def _out_of_bounds(fault: Fault, path: str) -> Failure:
    want = fault.want or Want(("number",))
    kind = "integer" if want.kinds == ("integer",) else "decimal"
    edge, sign = ("minimum", ">=") if fault.wrong == "below" else ("maximum", "<=")
    limit = want.least if fault.wrong == "below" else want.most
    text = f"Invalid '{path}': {kind} {fault.wrong} {edge} value. Expected {sign} {limit:g}, got {fault.value}."
    return _refusal(text, f"{kind}_{fault.wrong}_{edge[:3]}_value", path)


def differences(endpoint: str, fields: Mapping[str, Any], facts: Facts | None, given: int) -> Iterator[Failure]:
    """What no table can say: members that go together, and what the model itself takes. `given` input tokens."""
    if fields.get("stream_options") is not None and fields.get("stream") is not True and endpoint != "responses":
        yield _refusal("'stream_options' goes with 'stream: true' only.", None, "stream_options")
    sources = ("input", "prompt", "previous_response_id", "conversation")
    if endpoint == "responses" and not any(fields.get(name) for name in sources):
        text = "Missing required parameter: one of 'input', 'prompt', 'previous_response_id' or 'conversation'."
        yield _refusal(text, "missing_required_parameter", "input")
    yield from refused_parts(endpoint, fields, facts)
    if facts is not None:
        yield from _of_model(endpoint, fields, facts)
        yield from _too_long(endpoint, fields, facts, given)


def _of_model(endpoint: str, fields: Mapping[str, Any], facts: Facts) -> Iterator[Failure]:
    if facts.is_reasoning and endpoint == "chat/completions" and fields.get("max_tokens") is not None:
        text = "Unsupported parameter: this model does not take 'max_tokens'. Use 'max_completion_tokens' instead."
        yield _refusal(text, "unsupported_parameter", "max_tokens")
    if facts.has_fixed_temperature and fields.get("temperature") not in (None, 1):
        is_chat = endpoint == "chat/completions"
        what = (
            "value: 'temperature' has one value with this model, the default (1)."
            if is_chat
            else "parameter: 'temperature'."
        )
        yield _refusal(f"Unsupported {what}", "unsupported_value" if is_chat else None, "temperature")
    if facts.never_thinks:
        yield from _of_thoughts(fields)
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        asked = fields.get(name)
        if facts.longest_output is not None and isinstance(asked, int) and asked > facts.longest_output:
            text = (
                f"{name} is too large: {asked}. This model supports at most {facts.longest_output} completion tokens, "
                f"and {asked} were asked for."
            )
            yield _refusal(text, "invalid_value", name)


def _of_thoughts(fields: Mapping[str, Any]) -> Iterator[Failure]:
    """What is asked of thoughts, by a model that has none."""
    reasoning, include = fields.get("reasoning"), fields.get("include")
    if isinstance(include, list) and "reasoning.encrypted_content" in include:
        yield _refusal("This model has no encrypted content to include.", None, "include")
    efforts = {"reasoning_effort": fields.get("reasoning_effort")}
    efforts["reasoning.effort"] = reasoning.get("effort") if isinstance(reasoning, dict) else None
    for name, effort in efforts.items():
        if effort is not None:
            yield _refusal(f"Unsupported parameter: this model does not take '{name}'.", "unsupported_parameter", name)


def _too_long(endpoint: str, fields: Mapping[str, Any], facts: Facts, given: int) -> Iterator[Failure]:
    if facts.context is None:
        return
    if endpoint == "responses" and given > facts.context:
        text = "The input is longer than this model's context window. Make it shorter and try again."
        yield _refusal(text, "context_length_exceeded", "input")
    maximum = next((n for f in ("max_tokens", "max_completion_tokens") if isinstance(n := fields.get(f), int)), 0)
    if endpoint in ("chat/completions", "completions") and given + maximum > facts.context:
        text = (
            f"This model's maximum context length is {facts.context} tokens. The request asks for {given + maximum} "
            f"({given} in the messages, {maximum} in the completion). Make one of them shorter."
        )
        yield _refusal(text, "context_length_exceeded", "messages" if endpoint == "chat/completions" else "prompt")


def unknown_model(endpoint: str, model: str) -> Failure:
    """A name that no list of OpenAI's has."""
    text = f"There is no model `{_short(model)}`, or this key has no access to it."
    if endpoint.startswith("responses"):
        return Failure(400, text, "model_not_found", "model")
    return Failure(404, text, "model_not_found")


def no_key() -> Failure:
    """A request without any credential."""
    return Failure(401, "No API key was sent; it goes into an Authorization header, as Bearer.", "")


def wrong_type(content_type: str) -> Failure:
    """A body that is not said to be JSON."""
    text = f"Unsupported content type: '{_short(content_type)}'. This endpoint takes 'application/json' only."
    return Failure(400, text, "unsupported_content_type")


def spelled(path: Path) -> str:
    """A path as OpenAI writes it: `messages[0].role`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _refusal(text: str, code: str | None, param: str | None) -> Failure:
    return Failure(400, text, code, param)


def _wanted(want: Want) -> str:
    return f"one of {' or '.join(ARTICLES[kind] for kind in want.kinds)}" if want.kinds[1:] else ARTICLES[want.kinds[0]]


def _got(value: object) -> str:
    return "a decimal number" if isinstance(value, float) else ARTICLES[kind_of(value)]


def _short(value: object) -> str:
    return str(value)[:100]
