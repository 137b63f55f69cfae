"""How likely each token of a reply was, which chat and Responses tell and Anthropic does not."""

from __future__ import annotations

from typing import Any

from proxy.translate.values import a_list, a_number, a_text

# What a Responses request includes where it wants to be told.
INCLUDED = "message.output_text.logprobs"


def read_logprobs(said: Any) -> list[dict[str, Any]]:
    """The tokens of a text, each with those that were likely in its place, as both protocols spell them.

    Where nobody tells a token's bytes they are those of its text: Responses has no null there.
    """
    found = []
    for one in said if isinstance(said, list) else ():
        if token := _token(one):
            found.append(token | {"top_logprobs": [top for top in map(_token, _tops(one)) if top]})
    return found


def _tops(one: dict[str, Any]) -> list[Any]:
    return a_list(one.get("top_logprobs"), "top_logprobs")


def _token(one: Any) -> dict[str, Any]:
    if not isinstance(one, dict) or (logprob := a_number(one.get("logprob"))) is None:
        return {}
    token, said = a_text(one.get("token")), one.get("bytes")
    return {
        "token": token,
        "bytes": said if isinstance(said, list) else list(token.encode("utf-8", "replace")),
        "logprob": logprob,
    }
