"""The order of events on a connection: frames, pauses between them, and where it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from msgspec import Struct

from proxy.mock.answer import Turn
from proxy.mock.envelopes import Failure
from proxy.mock.frames import COMMENT, Frame
from proxy.mock.pictures import refused_prompt
from proxy.mock.skins.chat import chat_body, chat_error, chat_frames
from proxy.mock.skins.completions import completion_body, completion_frames
from proxy.mock.skins.messages import message_body, message_error, message_frames
from proxy.mock.skins.responses import compaction_body, response_body, response_failure, response_frames

Effect = Literal["send", "complete", "forgive", "cut", "reset", "hang"]

BODIES: dict[str, Callable[[Turn], dict[str, Any]]] = {
    "chat/completions": chat_body,
    "completions": completion_body,
    "messages": message_body,
    "responses": response_body,
    "responses/compact": compaction_body,
}
FRAMES: dict[str, Callable[[Turn], Iterator[Frame]]] = {
    "chat/completions": chat_frames,
    "completions": completion_frames,
    "messages": message_frames,
    "responses": response_frames,
}
_LEFT_OUT: dict[str, tuple[str, ...]] = {
    "no-done": ("done", "finish-done"),
    "no-finish": ("finish", "usage", "done", "finish-done"),
}
_BREAKS = ("cut", "hang", "mid-stream-error")
_FINISHES = ("finish", "finish-done")
_UNAFFORDABLE = 65_536


class Step(Struct, frozen=True):
    """Wait `pause` seconds, book `tokens`, then send `data` or do what `effect` says."""

    data: bytes = b""
    pause: float = 0.0
    tokens: int = 0
    effect: Effect = "send"


def refusal(turn: Turn) -> Failure | None:
    """The error this call is answered with instead of an answer, if any."""
    behaviour, asked = turn.behaviour, turn.asked
    draws = asked.endpoint == "images" or "image" in (asked.fields.get("modalities") or ())
    if draws and (failure := refused_prompt(asked.prompt)) is not None:
        return failure
    if behaviour.name in ("error", "auth"):
        return Failure(behaviour.status, behaviour.message or "", behaviour.code)
    if behaviour.name == "afford":
        wanted = _UNAFFORDABLE if turn.asked.maximum is None else turn.asked.maximum
        affordable = behaviour.tokens or 0
        if wanted > affordable:
            return Failure(
                402,
                "This request requires more credits, or fewer max_tokens. "
                f"You requested up to {wanted} tokens, but can only afford {affordable}.",
            )
    return None


def stream_failure(turn: Turn) -> Failure:
    """The error a stream is broken with."""
    behaviour = turn.behaviour
    return Failure(behaviour.status, behaviour.message or "", behaviour.code)


def steps(turn: Turn, frames: Iterable[Frame]) -> Iterator[Step]:
    """Play the frames as the behaviour wants; `after` counts events, not comments."""
    behaviour = turn.behaviour
    left_out = _LEFT_OUT.get(behaviour.name, ())
    breaks_at = behaviour.after if behaviour.name in _BREAKS else None
    events = emitted = 0
    for frame in frames:
        if frame.part in left_out:
            continue
        if events == breaks_at:
            yield from _broken(turn, events, emitted)
            return
        pause = _pause(turn, frame, first=emitted == 0)
        if behaviour.name == "truncated" and frame.part in _FINISHES:
            yield Step(frame.data[: len(frame.data) // 2], pause, frame.tokens)
            return
        effect: Effect = "complete" if frame.part in _FINISHES else "send"
        yield Step(frame.data, pause, frame.tokens, effect)
        emitted += frame.tokens
        events += frame.part != "comment"
        if events == 1 and frame.part != "comment":
            yield from [Step(COMMENT.data, behaviour.interval)] * behaviour.between


def timed(turn: Turn, frames: Iterable[Frame]) -> Iterator[tuple[float, bytes]]:
    """When each frame is due, in seconds from the first on; whole, however the first telling broke."""
    due, emitted = 0.0, 0
    for frame in frames:
        due += _pause(turn, frame, first=emitted == 0)
        emitted += frame.tokens
        yield due, frame.data


def body_pause(turn: Turn) -> float:
    """How long a reply that is not streamed takes: as long as its stream would."""
    behaviour = turn.behaviour
    return behaviour.ttft + behaviour.interval * max(0, turn.answer.output_tokens - 1)


def _pause(turn: Turn, frame: Frame, *, first: bool) -> float:
    behaviour = turn.behaviour
    if frame.part == "comment":
        return behaviour.interval if behaviour.name == "comments" else 0.0
    if not frame.tokens:
        return 0.0
    return behaviour.ttft if first else behaviour.interval


def _broken(turn: Turn, events: int, emitted: int) -> Iterator[Step]:
    behaviour = turn.behaviour
    if behaviour.name == "hang":
        yield Step(effect="hang")
    elif behaviour.name == "cut":
        yield Step(effect="reset" if behaviour.rst else "cut")
    else:
        effect: Effect = "send" if behaviour.style == "recorded" else "forgive"
        for frame in _error_frames(turn, events, emitted):
            yield Step(frame.data, effect=effect)


def _error_frames(turn: Turn, events: int, emitted: int) -> list[Frame]:
    failure = stream_failure(turn)
    if turn.asked.endpoint == "messages":
        return message_error(turn, failure)
    if turn.asked.endpoint == "responses":
        return response_failure(failure, events)
    return chat_error(turn, failure, emitted)
