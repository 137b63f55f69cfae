"""`tollkeeper health`: is the daemon alive? For container health checks, which have no other client at hand."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import click

URL = "http://127.0.0.1:8656/healthz"
_PATIENCE = 2.0  # seconds; a container's check gives up after 3


@click.command("health")
@click.option("--url", default=URL, show_default=True, help="What is asked; /readyz asks whether calls are taken.")
def health(url: str) -> None:
    """Ask the admin port; exit status 0 if it answers 200, else 1."""
    if not url.startswith(("http://", "https://")):
        raise click.UsageError("--url must begin with http:// or https://")
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_PATIENCE) as reply:
            click.echo(f"{url}: {reply.status}")
    except HTTPError as error:
        with error:
            _unwell(f"{url}: {error.code}")
    except (OSError, ValueError, HTTPException) as error:
        _unwell(f"{url}: {getattr(error, 'reason', None) or error}")


def _unwell(sentence: str) -> None:
    click.echo(sentence, err=True)
    raise SystemExit(1)
