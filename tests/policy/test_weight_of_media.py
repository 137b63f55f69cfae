"""A large request weighs what it weighs with every string in it decoded, wherever long data stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.policy.money.input_media import read_input
from proxy.policy.money.weight import weigh_all
from proxy.wire.call import read_call
from proxy.wire.endpoints import endpoint_for

DATA = "data:image/png;base64," + "iVBORw0K" * 1000
FILLING = "x" * 260_000  # smaller ones are decoded as they are


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "content",
    [
        [image(DATA)],
        [image(DATA), image(DATA + "A"), {"type": "text", "text": "two"}],
        [{"type": "text", "text": DATA}],
        [{"type": "text", "text": 'said: "' + DATA}, image("data:,")],
        [{"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}],
        [image(DATA + "\\u00e4"), image(DATA + "é")],
        [image(DATA + '"'), image(DATA)],
        DATA,
    ],
)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_request_weighs_the_same_with_its_data_and_without(content: Any, ensure_ascii: bool) -> None:
    messages = [{"role": "system", "content": FILLING}, {"role": "user", "content": content}]
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=ensure_ascii).encode()
    call = read_call(
        endpoint_for("POST", "/chat/completions"), "POST", ("/chat/completions", ""), ("application/json", body)
    )
    weight = weigh_all(call)
    assert (weight.text_tokens, weight.input_media) == read_input(call, {"messages": messages}, 0)
