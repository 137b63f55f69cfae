"""`tollkeeper health`: is the daemon alive? For container health checks, which have no other client at hand."""

from __future__ import annotations

from http.client import HTTPException
from typing import NoReturn
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import click

from proxy.cli.client import glance
from proxy.cli.home import Home, home_or_exit
from proxy.doctor.local_http import address_of, ask, reachable_address

_PATIENCE = 2.0  # seconds; a container's check gives up after 3
_PATH = "/healthz"


@click.command("health")
@click.option("--url", help="What is asked. Default: /healthz of the admin port; /readyz asks whether calls are taken.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def health(url: str | None, config_path: str | None) -> None:
    """Ask the admin port; exit status 0 if it answers 200, else 1."""
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.UsageError("--url must begin with http:// or https://")
    url = url or _admin_address(home_or_exit(config_path)) + _PATH
    try:
        status = _status_of(url)
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        _unwell(f"{url}: {getattr(reason, 'strerror', None) or reason}")
    if status != 200:
        _unwell(f"{url}: {status}")
    click.echo(f"{url}: {status}")


def _admin_address(home: Home) -> str:
    """Where the daemon says it listens, else where the configuration says."""
    told = glance(home, "status", _PATIENCE).get("admin_url")
    return reachable_address(told or address_of(home.settings().admin))


def _status_of(url: str) -> int:
    if url.startswith("unix:"):
        return ask(url.removesuffix(_PATH), _PATH)[0]
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_PATIENCE) as reply:
            return int(reply.status)
    except HTTPError as error:
        with error:
            return error.code


def _unwell(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    raise SystemExit(1)
