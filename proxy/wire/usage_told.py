"""What a reply has told of its usage so far, wherever it stood. What the counts mean: `usage.py`."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct

from proxy.wire.events import Event, read_value
from proxy.wire.merging import merge, of_timings
from proxy.wire.usage import Usage, read_usage
from proxy.wire.usage_plain import read_plain


class UsageTold(Struct, eq=False):
    """Nearly every reply tells of it once, in plain numbers: it is kept as it stands, and read when somebody asks.

    `is_first_count`: what was told says what was written before anything was (`message_start`, wire.md 3.3).
    """

    _text: bytes | None = None  # all there is, while nobody had to read it with care
    _usage: dict[str, Any] = {}
    _timings: dict[str, Any] = {}
    is_first_count: bool = False

    def usage(self) -> dict[str, Any]:
        """All of it by its names, less what is null."""
        text, self._text = self._text, None
        if text is not None:
            self.add(read_value(Raw(text)))
        return self._usage

    def read(self, *, counts_both: bool) -> Usage | None:
        """What it comes to; None where nothing was told. `counts_both`: a reply of its kind has what was read and what was
        written."""
        plain = None if self._text is None else read_plain(self._text)
        if plain is not None:
            return plain
        told = self.usage() or self._timings
        return read_usage(told, counts_both=counts_both) if told else None

    def leaves_out_zero(self) -> bool:
        """Whether nothing was written where nothing is said of it: OpenAI's older completions leave out what is 0."""
        usage = self.usage()
        return usage.get("prompt_tokens") is not None and usage["prompt_tokens"] == usage.get("total_tokens")

    def see(self, event: Event, *, is_usual: bool) -> bool:
        """Take usage wherever it stands in the event; True where it is `usage` itself."""
        is_there = event.usage is not UNSET and self._learn_from(event.usage)
        if is_usual:
            return is_there
        groq, meta = read_value(event.x_groq), read_value(event.meta)
        if isinstance(groq, dict) and not is_there:
            self.add(groq.get("usage"))
        if isinstance(meta, dict) and "billed_units" in meta and not is_there:
            self.add(meta)
        if event.usage_info is not UNSET:
            self.add(read_value(event.usage_info))
        if event.type == "message-end" and isinstance(event.delta, dict):
            self.add(event.delta.get("usage"))
        timings = read_value(event.timings)
        if isinstance(timings, dict):
            self._timings = of_timings(timings)
        return is_there

    def add(self, usage: Any) -> bool:
        """Take what was told later as well; False where that is no usage."""
        if not isinstance(usage, dict):
            return False
        if not self.usage():
            self._usage = {name: value for name, value in usage.items() if value is not None}
        else:
            merge(self._usage, usage, loose=("output_tokens",) if self.is_first_count else ())
        self.is_first_count = self.is_first_count and usage.get("output_tokens") is None
        return True

    def _learn_from(self, raw: Raw) -> bool:
        text = bytes(raw)
        if self._usage or self._text is not None or self.is_first_count or not text.startswith(b"{"):
            return self.add(read_value(raw))
        self._text = text
        return True
