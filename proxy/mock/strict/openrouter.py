"""OpenRouter: lenient with what it does not know, which goes on to the provider (wire.md 1.4), and its errors (1.8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.mock.envelopes import Failure
from proxy.mock.strict.facts import Facts
from proxy.mock.strict.openai import PENALTIES, SAMPLING
from proxy.mock.strict.shape import Fault, Shape, Want, kind_of

_MAXIMUM = Want(("number",), least=1)
_FLAG = Want(("boolean",))
_TOOL = Shape({"function": Want(("object",), True, inside=Shape({"name": Want(("string",), True, filled=True)}))})
_TOOLS = Want(("array",), each={"function": _TOOL, "": Shape()})
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_TUNING = {
    "tools": _TOOLS,
    "models": Want(("array",)),
    "provider": Want(("object",)),
    "plugins": Want(("array",)),
    "reasoning": Want(("object",)),
    "stop": Want(("string", "array")),
    "stream": _FLAG,
    "seed": Want(("number",)),
    "top_k": Want(("number",), least=0),
    "min_p": Want(("number",), least=0, most=1),
    "max_tokens": _MAXIMUM,
    "max_completion_tokens": _MAXIMUM,
    "session_id": Want(("string",)),
    **SAMPLING,
    **PENALTIES,
}
CHAT = Shape(
    {
        "messages": Want(("array",), filled=True, each=dict.fromkeys(_ROLES, Shape()), tag="role"),
        "prompt": Want(("string", "array")),
        "response_format": Want(("object",)),
        **_TUNING,
    }
)
RESPONSES = Shape(
    {
        "input": Want(("string", "array"), required=True),
        "instructions": Want(("string",)),
        "max_output_tokens": _MAXIMUM,
        "stream": _FLAG,
        **SAMPLING,
    }
)
MESSAGES = Shape(
    {
        "messages": Want(("array",), required=True, filled=True),
        "max_tokens": _MAXIMUM,
        "stream": _FLAG,
        "temperature": SAMPLING["temperature"],
    }
)
EMBEDDINGS = Shape({"input": Want(("string", "array"), required=True, filled=True)})
RERANK = Shape({"query": Want(("string",), required=True), "documents": Want(("array",), required=True, filled=True)})
IMAGES = Shape({"prompt": Want(("string",), required=True, filled=True), "n": Want(("integer",), least=1, most=10)})
SPEECH = Shape({"input": Want(("string",), required=True, filled=True)})


def sentence(fault: Fault) -> Failure:
    """A difference in OpenRouter's words."""
    path = ".".join(str(step) for step in fault.path)
    want = fault.want or Want(("string",))
    if fault.wrong == "missing":
        text = f"expected {want.kinds[0]}, received nothing"
    elif fault.wrong == "type":
        text = f"expected {' or '.join(want.kinds)}, received {kind_of(fault.value)}"
    elif fault.wrong in ("word", "tag"):
        text = f"expected one of {', '.join(fault.known)}"
    elif fault.wrong == "empty":
        text = "too small, at least one is expected"
    else:
        limit, sign = (want.least, ">=") if fault.wrong == "below" else (want.most, "<=")
        text = f"{'too small' if fault.wrong == 'below' else 'too big'}, expected {sign} {limit:g}"
    return Failure(400, f"Invalid input at '{path}': {text}")


def differences(endpoint: str, fields: Mapping[str, Any], facts: Facts | None, given: int) -> Iterator[Failure]:
    """What no table can say: something to answer must be there, and prompt and answer must fit the window."""
    if endpoint in ("chat/completions", "completions") and not fields.get("messages") and fields.get("prompt") is None:
        yield Failure(400, "There is no input: send 'prompt' or 'messages'.")
    stateful = fields.get("store") is True or fields.get("previous_response_id") is not None
    if endpoint == "responses" and stateful:
        yield Failure(400, "This Responses API is stateless: send no previous_response_id and no store:true.")
    if facts is None or facts.context is None or endpoint not in ("chat/completions", "completions", "messages"):
        return
    maximum = next((n for f in ("max_tokens", "max_completion_tokens") if isinstance(n := fields.get(f), int)), 0)
    if given + maximum > facts.context:
        parts = f"{given} of text input" + (f", {maximum} in the output" if maximum else "")
        yield Failure(
            400,
            f"This endpoint's maximum context length is {facts.context} tokens. About {given + maximum} were requested "
            f"({parts}). Make either shorter, or let the context-compression plugin do it.",
        )


def unknown_model(_: str, model: str) -> Failure:
    """A name OpenRouter does not list."""
    return Failure(400, f"{model[:100]} is no valid model ID")


def no_key() -> Failure:
    """A request without any credential."""
    return Failure(401, "The Authorization header is missing")
