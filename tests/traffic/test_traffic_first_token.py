"""The first token of every recorded stream: nothing before it says a word, and it says one."""

from __future__ import annotations

import re
from typing import Any, get_args

from traffic.recorded import Exchange, exchanges, needs_recordings

from proxy.wire.endpoints import Shape
from proxy.wire.first_token import has_first_token
from proxy.wire.sse import split_events

pytestmark = needs_recordings

# a member of this name whose text is not empty, wherever it stands
WORDS = re.compile(
    rb'"(?:text|content|delta|thinking|refusal|reasoning|reasoning_content|partial_json|arguments|data|signature)": ?"[^"]'
)
SEALED = re.compile(rb'"response\.output_item\.done".*"encrypted_content": ?"[^"]')
CALLS = re.compile(rb'"type": ?"(?:\w*tool_use|\w+_call|program)"|"function": ?\{')
# what repeats the request, or tells of pages that were found
ECHOES = re.compile(rb'"type": ?"(?:message_start|response\.(?:created|in_progress|queued))"|"url_citation"')
FINISHED = re.compile(rb'"finish_reason": ?"|"type": ?"(?:message_stop|response\.completed)"')


def streams() -> list[tuple[Exchange, Any]]:
    """Every stream of a known shape that came to its end."""
    found = []
    for exchange in exchanges():
        shape = exchange.shape.partition(",")[0]
        if exchange.streamed and shape in get_args(Shape) and FINISHED.search(exchange.reply):
            found.append((exchange, shape))
    return found


def test_the_first_token_is_the_first_word_of_every_recorded_stream() -> None:
    played = streams()
    assert len(played) > 200
    for exchange, shape in played:
        events = split_events(exchange.reply)
        first = next((number for number, event in enumerate(events) if has_first_token(event, shape)), None)
        if first is None:
            assert not [event for event in events if CALLS.search(event)], exchange.id
            assert not [event for event in events if WORDS.search(event) and not ECHOES.search(event)], exchange.id
            continue
        says = [pattern for pattern in (WORDS, CALLS, SEALED) if pattern.search(events[first])]
        assert says, (exchange.id, events[first][:500])
        early = [event for event in events[:first] if WORDS.search(event) and not ECHOES.search(event)]
        assert not early, (exchange.id, early[0][:500])
