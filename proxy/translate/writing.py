"""What is written of a reply while it comes: the steps every protocol takes, and what is remembered of them."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.values import Citation, Ending, Fault, Identity, Part, Reasoning, Refusal, Reply, Text, ToolUse

encode = msgspec.json.Encoder().encode


class StreamWriter:
    """Takes a reply step by step; `take` gives the events there are.

    `thoughts` are those that ended, `calls` the ids of tools called: what may have to be put back for the client.
    `ended`: the event that ends the stream is among what was taken or will be.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.model = ""
        self.begun = False
        self.ended = False
        self.thoughts: list[Reasoning] = []
        self.calls: list[str] = []
        self._out: list[bytes] = []
        self._likely: list[Any] = []
        self._thought: Reasoning | None = None
        self._thinking: list[str] = []

    def take(self) -> bytes:
        """The events written since the last time."""
        if not self._out:
            return b""
        written = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return written

    def begin(self, model: str) -> None:
        """The reply begins."""
        self.begun = True
        self.model = model

    def text(self, text: str) -> None:
        """The assistant says this."""
        raise NotImplementedError

    def likely(self, tokens: list[Any]) -> None:
        """How likely the tokens of what is said next were."""
        self._likely += tokens

    def cite(self, citation: Citation) -> None:
        """What it says comes from there."""
        raise NotImplementedError

    def more(self, text: bytes) -> bool:
        """The assistant goes on with this, as it stands in JSON without an escape; False where no words are under way."""
        return False

    def refuse(self, text: str) -> None:
        """It declines, in these words."""
        raise NotImplementedError

    def reason(self, text: str, origin: str) -> None:
        """It thinks this."""
        if self._thought is None:
            self._thought = Reasoning(origin=origin)
        self._thinking.append(text)

    def vouch(self, thought: Reasoning) -> None:
        """What belongs to the thoughts under way, or to none that are told: signature, sealed data, id."""
        if self._thought is None:
            self._thought = Reasoning()
        mine = self._thought
        mine.signature, mine.data = mine.signature + thought.signature, mine.data + thought.data
        mine.id, mine.origin, mine.is_full = thought.id or mine.id, thought.origin, mine.is_full or thought.is_full

    def thought_over_now(self) -> None:
        """The thoughts are over: what comes next is something else."""
        raise NotImplementedError

    def call(self, key: int, use: ToolUse) -> None:
        """It calls a tool, whose arguments follow under this key."""
        self.calls.append(use.id)

    def argue(self, key: int, fragment: str) -> None:
        """Some of the arguments."""
        raise NotImplementedError

    def close(self, key: int) -> None:
        """All the arguments were there."""

    def ping(self) -> None:
        """A sign of life."""
        self._out.append(b": ping\n\n")

    def end(self, ending: Ending) -> None:
        """The reply is whole."""
        raise NotImplementedError

    def fail(self, fault: Fault) -> None:
        """The reply comes to nothing."""
        raise NotImplementedError

    def thought_over(self) -> Reasoning | None:
        """The thoughts that were under way and are over now."""
        thought = self._thought
        if thought is None:
            return None
        thought.text = "".join(self._thinking)
        self._thought = None
        self._thinking.clear()
        self.thoughts.append(thought)
        return thought


def play(reply: Reply, writer: StreamWriter) -> None:
    """Write a whole reply as a stream."""
    writer.begin(reply.model)
    said = 0
    for key, part in enumerate(reply.parts):
        play_part(part, key, writer, said)
        said += len(part.text) if isinstance(part, Text) else 0
    writer.end(reply.ending)


def play_part(part: Part, key: int, writer: StreamWriter, said: int) -> None:
    """Write one part of a reply; `key` is that of a tool's call, `said` how many characters were said before."""
    if isinstance(part, Text):
        writer.likely(part.logprobs)
        if part.text:
            writer.text(part.text)
        for citation in part.citations:
            writer.cite(citation.placed(said, said + len(part.text)))
    elif isinstance(part, Reasoning):
        if part.text:
            writer.reason(part.text, part.origin)
        writer.vouch(part)
        writer.thought_over_now()
    elif isinstance(part, Refusal):
        writer.refuse(part.text)
    elif isinstance(part, ToolUse):
        writer.call(key, msgspec.structs.replace(part, arguments=""))
        writer.argue(key, part.arguments)
        writer.close(key)
