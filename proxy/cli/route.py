"""`tollkeeper route`: which model a request would go to, and why."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.completing import key_names, model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import say
from proxy.policy.money.amounts import dollars


@click.command("route")
@click.argument("prompt", required=False)
@click.option("--model", metavar="NAME", default="auto", show_default=True, shell_complete=model_names,
              help="A name with candidates, or auto.")  # fmt: skip
@click.option("--candidates", multiple=True, metavar="NAME", shell_complete=model_names,
              help="Choose among these; may be repeated.")  # fmt: skip
@click.option(
    "--strategy", metavar="NAME", help="cost, speed, quality, balanced, least_busy, budget_aware, or one's own."
)
@click.option("--needs", multiple=True, metavar="WHAT", help="images, files, audio, tools, json_schema, reasoning …")
@click.option("--first-token", metavar="DURATION", help="Only what says its first token within it, such as 3s.")
@click.option(
    "--usd-per-mtok",
    metavar="USD",
    type=click.FloatRange(0, 10**6),
    help="Only what costs no more for a million tokens.",
)
@click.option("--uptime", metavar="PERCENT", help="Only where this part of calls succeeds, such as 99%.")
@click.option("--max-tokens", type=click.IntRange(1, 10**12), help="The maximum of output tokens it would set.")
@click.option("--key", metavar="NAME", shell_complete=key_names, help="The name of the client key that would call.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def route(prompt: str | None, as_json: bool, config_path: str | None, **asked: Any) -> None:
    """Say which model a request with PROMPT would go to, why, what was left out, and what it likely costs and takes."""
    given = {name: value for name, value in asked.items() if value not in (None, ())}
    ceilings = {name: given.pop(name) for name in ("first_token", "usd_per_mtok", "uptime") if name in given}
    if ceilings:
        given["ceilings"] = ceilings
    if prompt is not None:
        given["messages"] = [{"role": "user", "content": prompt}]
    found = ask(home_or_exit(config_path), "recommend", given)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _tell(found)


def _tell(found: dict[str, Any]) -> None:
    say(found["selected_model"] or "No candidate fits.")
    if found["fallback_models"]:
        say(f"then: {', '.join(found['fallback_models'])}")
    if found["estimated_latency_ms"]:
        cost = "unknown" if found["estimated_cost_usd"] is None else dollars(found["estimated_cost_usd"])
        say(f"likely {cost}, {found['estimated_latency_ms'] / 1000:.1f} s; confidence {found['confidence']:.0%}")
    say(f"strategy {found['strategy']}, rule {found['rule']}")
    for reason in found["reasons"]:
        say(f"  {reason}")
    for dropped in found["dropped"]:
        say(f"  not {dropped['model']}: {dropped['reason']}")
