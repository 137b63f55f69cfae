"""What is told, in words, and in the form that a chat or a mail wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

Form = Literal["standard", "slack", "discord", "ntfy"]
_MOST_CHARACTERS = 1900  # Discord takes 2,000
_UNITS = {"USD": "${:.6g}", "part": "{:.4g} %", "ms": "{:.0f} ms", "tokens": "{:,.0f} tokens", "calls": "{:,.0f}", "hours": "{:.4g} h",
          "number": "{:,.6g}"}  # fmt: skip
_HUNDRED = 100


class Words(Struct, frozen=True):
    """A line, and a few more."""

    title: str
    text: str


def amount(value: float | None, unit: str) -> str:
    """A value as people read it."""
    if value is None:
        return "nothing to measure"
    return _UNITS[unit].format(value * _HUNDRED if unit == "part" else value)


def in_words(message: Mapping[str, Any]) -> Words:
    """What a message says (`type`, `data`), whatever it is about."""
    data, kind = message["data"], message["type"]
    if kind.startswith("alert."):
        return Words(*_of_rule(kind.partition(".")[2], data))
    if kind == "budget.threshold_passed":
        title = f"Budget {data['budget']}: {data['threshold']} spent"
        resets = f", until {data['resets_at']}" if data["resets_at"] else ""
        return Words(title, f"${float(data['spent_usd']):.6g} of ${float(data['cap_usd']):.6g} are spent{resets}.")
    return Words(kind.replace(".", " ").replace("_", " "), _listed(data))


def _of_rule(what: str, data: Mapping[str, Any]) -> tuple[str, str]:
    subject = f" ({data['each']} {data['subject']})" if data["subject"] else ""
    title = {"firing": "fires", "resolved": "is over", "test": "is tried out"}[what]
    value, limit = amount(data["value"], data["unit"]), amount(data["limit"], data["unit"])
    only = "".join(f", {name} {pattern}" for name, pattern in data["only"].items())
    bound = "above" if data["is_above"] else "below"
    over = f" over the last {data['over']}" if data["over"] else ""
    text = f"{data['metric']}{over}{only}: {value}; it is not to be {bound} {limit}."
    text += f"\n{data['why']}" if data.get("why") else ""
    return f"Alert {data['rule']}{subject} {title}", text


def _listed(data: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in data.items() if value not in (None, "", []))


def as_form(form: Form, url: str, body: str) -> tuple[str, bytes]:
    """Where a message of ours (JSON) is sent, and as what, at an address of this form."""
    if form == "standard":
        return url, body.encode()
    words = in_words(msgspec.json.decode(body))
    if form == "slack":
        return url, msgspec.json.encode({"text": _escaped(f"*{words.title}*\n{words.text}")})
    if form == "discord":
        text = f"**{words.title}**\n{words.text}"[:_MOST_CHARACTERS]
        return url, msgspec.json.encode({"content": text, "allowed_mentions": {"parse": []}})
    return _ntfy(url, words)


def _escaped(text: str) -> str:
    """Slack's three characters (docs.slack.dev, formatting message text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _ntfy(url: str, words: Words) -> tuple[str, bytes]:
    """As JSON, which ntfy takes at its root, the topic in it (docs.ntfy.sh/publish): headers hold no letters but ASCII."""
    parts = urlsplit(url)
    topic = parts.path.strip("/")
    root = urlunsplit((parts.scheme, parts.netloc, "/", parts.query, ""))
    return root, msgspec.json.encode({"topic": topic, "title": words.title, "message": words.text})
