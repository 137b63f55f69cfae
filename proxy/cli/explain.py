"""`tollkeeper explain`: what would become of a call, before it is made."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.completing import key_names, model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, budget_name, print_table, say
from proxy.policy.money.amounts import dollars

_ORDER = (("What", False), ("Who says what, the nearest first", False), ("Counts", False))
ENDPOINTS = ("chat/completions", "messages", "responses")


@click.command("explain")
@click.argument("model", shell_complete=model_names)
@click.option("--key", metavar="NAME", shell_complete=key_names, help="The name of the client key that would call.")
@click.option("--provider", metavar="NAME", help="The provider that the call would name.")
@click.option("--max-tokens", type=click.IntRange(1, 10**12), help="The maximum of output tokens it would set.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag that the call would carry; may be repeated.")
@click.option("--session", metavar="ID", default="", help="The session it would belong to.")
@click.option("--var", "variables", metavar="NAME=TEXT", multiple=True, help="A variable of the model's system text.")
@click.option("--endpoint", type=click.Choice(ENDPOINTS), default=ENDPOINTS[0], help="What would be called.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def explain(model: str, variables: tuple[str, ...], as_json: bool, config_path: str | None, **asked: Any) -> None:
    """Explain a call with an empty prompt: where MODEL goes, its price, its hold, every budget, and what will be sent."""
    given = {"variables": dict(map(_variable, variables))}
    found = ask(home_or_exit(config_path), "explain", {"model": model, **asked, **given})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    targets = ", then ".join(f"{target['provider']}: {target['model']}" for target in found["targets"])
    say(f"{model} -> {found['target']} at {targets}{_experiment(found['experiment'])}")
    _say_choice(found)
    tenant = f" of {found['tenant']}" if found["tenant"] else ""
    say(f"key: {found['key'] or 'none named; budgets of everything together only'}{tenant}")
    if tenant:
        print_table(Table(_ORDER, _order(found)))
    say(f"price per million tokens: {_price(found['price'])}")
    say(f"hold: {_hold(found['hold'])}")
    say(f"the provider's own tools: {found['tool_uses']} runs of each are held; what more cost is booked over the hold")
    if found["budgets"]:
        columns = [("Budget", False), ("Cap", True), ("Left before", True), ("Left after", True)]
        rows = [
            [budget_name(row), *(dollars(row[name]) for name in ("cap_usd", "left_usd", "left_after_usd"))]
            for row in found["budgets"]
        ]
        print_table(Table(columns, rows))
    _say_sharing(found["sharing"])
    say(f"verdict: {found['verdict']}")
    _say_shadows(found["shadow_rejections"])


def _experiment(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    arms = ", ".join(f"{arm['share']:g} % {arm['target']}" for arm in found["arms"])
    arm = f"; this one has {found['arm']}" if found["arm"] else ""
    return f"\nexperiment {found['name']} ({found['state'].replace('_', ' ')}): {arms}{arm}"


def _say_choice(found: dict[str, Any]) -> None:
    """Why it goes there, where there was a choice, and what the entry of the model makes of the request."""
    if found["fallback"] == "budget":
        say(
            "it begins there, as a budget has no room for what comes before, and the model's `fallback_on` has `budget`"
        )
    elif found["fallback"]:
        say(f"it begins there, as at least {found['fallback']} of the tightest budget is spent")
    for reason in (found["decision"] or {"reasons": ()})["reasons"]:
        say(f"  {reason}")
    if not found["use_case"]:
        return
    say(f"use case: {found['use_case']}; {', '.join(found['adjusted']) or 'nothing put in'}")
    say(f"sends: {found['sent']['method']} {found['sent']['url']}")
    say(found["sent"]["body"])


def _say_shadows(rejections: list[str]) -> None:
    for rejection in rejections:
        say(f"in shadow: would be refused with {rejection}")


def _say_sharing(sharing: dict[str, Any]) -> None:
    """Whether another call's reply may serve it."""
    told = ["sent once while under way"] if sharing["coalesce"] else []
    if cache := sharing["cache"]:
        told.append(f"the reply is given again for {cache['ttl_seconds']:g} s (cache of {cache['of']})")
    if sharing["bypassed"]:
        told.append(
            "the reply to this one is not kept: it is not exact (temperature 0 or a seed), or its key keeps nothing"
        )
    for sentence in told:
        say(f"calls that are alike: {sentence}")


def _order(found: dict[str, Any]) -> list[list[str]]:
    """What may be said in several places, and who said it."""
    rows = []
    for order in found["order"]:
        said = [(step["who"], step["says"]) for step in order["steps"] if step["says"] is not None]
        steps = [f"{who}: {', '.join(says) if isinstance(says, list) else says}" for who, says in said]
        rows += [[order["what"], "\n".join(steps), "\n".join(order["won"])]] if steps else []
    return rows


def _variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"{text!r} must be NAME=TEXT", param_hint="--var")
    return name, value


def _price(price: dict[str, Any] | None) -> str:
    if price is None:
        return "unknown"
    words = {"input_usd": "in", "output_usd": "out", "cached_input_usd": "in from a cache"}
    return ", ".join(f"${price[name]} {word}" for name, word in words.items() if price[name] is not None)


def _hold(hold: dict[str, Any]) -> str:
    if hold["most_usd"] is None:
        return "none; nothing bounds what it may cost"
    if hold["usd"] is None:
        return f"none; the least that would do is {dollars(hold['least_usd'])}"
    tokens = hold["output_tokens"]
    return (
        f"{dollars(hold['usd'])}{f' for up to {tokens:,} output tokens' if tokens else ''}, and the prompt's own tokens"
    )
