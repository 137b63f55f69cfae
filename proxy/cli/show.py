"""`tollkeeper show`: one past call, attempt by attempt."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import amount_of, say_line, terminal_width
from proxy.cli.waterfall import waterfall_lines
from proxy.policy.money.amounts import dollars


@click.command("show")
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def show(request_id: str, as_json: bool, config_path: str | None) -> None:
    """Show one call: where it went, where its time went, what it cost and how that is known, or why it was refused.

    REQUEST_ID is the reply's x-tollkeeper-request-id, which is also in the log.
    """
    call = ask(home_or_exit(config_path), "show", {"request_id": request_id})
    if as_json:
        click.echo(json.dumps(call, indent=1))
        return
    kind = "streamed" if call["stream"] else "not streamed"
    tenant = f" of {call['tenant']}" if call["tenant"] else ""
    say_line(f"{call['request_id']}  {call['at']}  key {call['key']}{tenant}")
    say_line(f"{call['endpoint']}, {kind}: {call['asked'] or '(no model)'} -> {call['model']}")
    if call["session"] or call["tags"] or call["decision"]:
        say_line(", ".join(_belonging(call)))
    if call["use_case"]:
        say_line(f"use case: {call['use_case']}")
    if call["arm"]:
        experiment, _, target = call["arm"].partition("/")
        say_line(f"experiment {experiment}: arm {target}")
    for opinion in call["feedback"]:
        say_line(f"feedback: {opinion['score']:+g}{_in_brackets(opinion['label'])}")
    if call["refused"]:
        _say_refused(call["refused"])
    if call["served"]:
        _say_served(call["served"])
    if call["waterfall"]:
        say_line("where its time went:")
        for line in waterfall_lines(call["waterfall"], terminal_width()):
            say_line(line)
    for attempt in call["attempts"]:
        _print_attempt(attempt)
    if call["attempts"]:
        say_line(f"cost: {amount_of(call, 'cost')}")


def _say_refused(refused: dict[str, Any]) -> None:
    say_line(f"refused: {refused['status'] or ''} {refused['error']}: {refused['message']}")
    if refused["times"] > 1:
        say_line(f"and {refused['times'] - 1:,} more calls of this key within a second, for the same reason")


def _say_served(served: dict[str, Any]) -> None:
    """With whose reply, and what that had cost."""
    how = "from the cache" if served["by"] == "hit" else "with a call under way"
    say_line(f"served {how}, {served['status']}: {served['message']}")
    say_line(f"saved: {dollars(served['saved_usd'])} (`tollkeeper show {served['request_id']}`)")


def _belonging(call: dict[str, Any]) -> list[str]:
    session = [f"session {call['session']}"] if call["session"] else []
    decision = [f"decision {call['decision']}"] if call["decision"] else []
    return session + ([f"tags {', '.join(call['tags'])}"] if call["tags"] else []) + decision


def _print_attempt(attempt: dict[str, Any]) -> None:
    served = f", served by {attempt['served']}" if attempt["served"] else ""
    title = f"attempt {attempt['attempt']}: {attempt['provider']} {attempt['upstream_model']}{served}"
    rows = [
        ("outcome", f"{attempt['outcome']}{_in_brackets(attempt['error'])}"),
        ("status", str(attempt["status"] or "-")),
        ("first byte", _ms(attempt["first_byte_ms"])),
        ("first token", _ms(attempt["first_token_ms"])),
        ("total", f"{attempt['total_ms']:,} ms"),
        ("tokens", _tokens(attempt)),
        ("held", amount_of(attempt, "hold")),
        ("cost", f"{amount_of(attempt, 'cost')} ({attempt['source']})"),
        ("upstream id", attempt["upstream_id"] or "-"),
        ("adjusted", attempt["adjusted"] or "-"),
        *(("in shadow", f"would be refused with {rejection}") for rejection in attempt["shadow_rejections"]),
    ]
    say_line(title)
    for name, text in rows:
        say_line(f"  {name:12} {text}")


def _ms(duration: int | None) -> str:
    return "-" if duration is None else f"{duration:,} ms"


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""


def _tokens(attempt: dict[str, Any]) -> str:
    parts = [f"{attempt['input_tokens']:,} in", f"{attempt['output_tokens']:,} out"]
    others = (
        ("cached_input_tokens", "cached"),
        ("cache_write_tokens", "written to cache"),
        ("reasoning_tokens", "reasoning"),
    )
    parts += [f"{attempt[name]:,} {word}" for name, word in others if attempt[name]]
    return ", ".join(parts)
