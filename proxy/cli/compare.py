"""`tollkeeper compare`: the same prompt to several models, side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec import to_builtins

from proxy.cli.calibrating import calibrate, print_scores, read_labelled
from proxy.cli.client import ask
from proxy.cli.completing import model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table, say
from proxy.policy.money.amounts import dollars
from proxy.policy.quality.judging import RUBRIC

_PATIENCE = 600.0  # seconds without a word
_KEY_WANTED = (
    "a client key of this Tollkeeper pays for this, and none that is valid was given: --api-key, or TOLLKEEPER_KEY"
)
_READABLE = click.Path(exists=True, dir_okay=False)


@click.command("compare")
@click.argument("prompt", required=False)
@click.option("--models", required=True, metavar="A,B,…", shell_complete=model_names, help="The models, up to eight.")
@click.option("--file", "file", type=_READABLE, help="A prompt a line, instead of PROMPT.")
@click.option("--judge", metavar="MODEL", help="The model that says which reply is best.")
@click.option("--calibrate", type=_READABLE, metavar="FILE", help="Try the models as judges, by labelled replies.")
@click.option("--rubric", default=RUBRIC, metavar="TEXT", help="What the judges judge by.")
@click.option("--repeat", type=click.IntRange(1, 10), default=1, help="How often each model is asked.")
@click.option("--blind", is_flag=True, help="Name the models only at the end.")
@click.option("--max-tokens", type=click.IntRange(1, 10**9), help="The most tokens of each reply.")
@click.option("--api-key", envvar="TOLLKEEPER_KEY", metavar="KEY", help="The client key that pays (or TOLLKEEPER_KEY).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a prompt.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def compare(prompt: str | None, file: str | None, as_json: bool, config_path: str | None, **asked: Any) -> None:
    """Ask several models the same and show replies, times, costs and what is wrong with them, side by side.

    Exit status 1 where a call failed or a reply has a flag, so that it can stand in a pipeline.
    """
    if [prompt, file, asked["calibrate"]].count(None) != 2:
        raise click.UsageError("give a PROMPT, or --file with a prompt a line, or --calibrate")
    if asked["calibrate"] is not None:
        return _calibrated(asked, as_json=as_json, config_path=config_path)
    prompts = [prompt] if file is None else [line for line in Path(file).read_text().splitlines() if line.strip()]
    url = str(ask(home_or_exit(config_path), "status")["url"])
    failed = False
    for one in prompts:
        result = _compared(url, _body(str(one), asked), asked["api_key"], shows=not as_json)
        if as_json:
            click.echo(json.dumps(result))
        else:
            _print(str(one), result, is_alone=len(prompts) == 1)
        failed = failed or any(cell["error"] or cell["flags"] for cell in result["cells"])
    sys.exit(1 if failed else 0)


def _calibrated(asked: dict[str, Any], *, as_json: bool, config_path: str | None) -> None:
    """How well each model judges replies of which is known what they are."""
    labelled = read_labelled(Path(asked["calibrate"]).read_text().splitlines())
    url = str(ask(home_or_exit(config_path), "status")["url"])

    def compared(body: dict[str, Any]) -> dict[str, Any]:
        return _compared(url, {**body, "stream": True}, asked["api_key"], shows=False)

    scores = calibrate(labelled, _names(asked["models"]), asked["rubric"], compared)
    if as_json:
        told = {name: {**to_builtins(score), "cost_usd": str(score.cost_usd)} for name, score in scores.items()}
        click.echo(json.dumps({"replies": len(labelled), "judges": told}))
    else:
        print_scores(scores, labelled)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _body(prompt: str, asked: dict[str, Any]) -> dict[str, Any]:
    body = {
        "prompt": prompt,
        "models": _names(asked["models"]),
        "repeat": asked["repeat"],
        "blind": asked["blind"],
        "stream": True,
    }
    more = {"judge": asked["judge"], "max_tokens": asked["max_tokens"]}
    return body | {name: value for name, value in more.items() if value is not None}


def _compared(url: str, body: dict[str, Any], key: str | None, *, shows: bool) -> dict[str, Any]:
    """The result; what comes before is shown as it comes, where somebody looks."""
    from proxy.cli.screen.side_by_side import watching

    with watching(body["models"] if not body.get("blind") else None, is_on=shows and sys.stdout.isatty()) as show:
        for news in _events(url, body, key):
            if "result" in news:
                result: dict[str, Any] = news["result"]
                return result
            show(news)
    raise click.ClickException("the daemon ended before the comparison did")


def _events(url: str, body: dict[str, Any], key: str | None) -> Iterator[dict[str, Any]]:
    address = urlsplit(url)
    if address.hostname is None:
        raise click.ClickException("the data API listens on a Unix socket, where this command cannot call")
    connection = HTTPConnection(address.hostname, address.port, timeout=_PATIENCE)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        connection.request("POST", "/tollkeeper/compare", json.dumps(body), headers)
        reply = connection.getresponse()
        if reply.status != 200:
            said = str(json.loads(reply.read())["error"]["message"])
            raise click.ClickException(_KEY_WANTED if reply.status == 401 else said)
        for line in reply:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise click.ClickException(f"the daemon gave no answer: {error}") from None
    finally:
        connection.close()


def _print(prompt: str, result: dict[str, Any], *, is_alone: bool) -> None:
    if not is_alone:
        say(f"prompt: {prompt}")
    names = result["models"]
    for cell in result["cells"]:
        say(f"{cell['column']}  {names[cell['column']]}{_run(cell['run'])}")
        say(f"   {cell['text'].strip() or cell['error'] or '(nothing)'}")
    columns = [
        ("Model", False),
        *((name, True) for name in ("First token", "Total", "Tokens/s", "Cost")),
        ("Source", False),
        ("Flags", False),
    ]
    print_table(Table(columns, [_row(names, cell) for cell in result["cells"]]))
    if (verdict := result["verdict"]) is not None:
        winner = verdict["winner"]
        best = names.get(winner, "nobody: its two readings differ" if winner else "no readable answer")
        say(f"{verdict['model']} finds best: {best}. {verdict['reason']}".rstrip())


def _run(number: int) -> str:
    return f", run {number}" if number > 1 else ""


def _row(names: dict[str, str], cell: dict[str, Any]) -> list[str]:
    first, speed, cost = cell["first_token_ms"], cell["tokens_per_second"], cell["cost_usd"]
    return [
        f"{cell['column']} {names[cell['column']]}",
        "-" if first is None else f"{first:,} ms",
        f"{cell['total_ms']:,} ms",
        "-" if speed is None else f"{speed:,}",
        "-" if cost is None else dollars(cost),
        cell["cost_source"] or "-",
        cell["error"] or ", ".join(cell["flags"]) or "-",
    ]
