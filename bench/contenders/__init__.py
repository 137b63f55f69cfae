"""The proxies: how each is set up and started, one file each.

nginx, Caddy and plain aiohttp are bare: one worker or one scheduler thread, no access log,
connections to the upstream kept open. The daemon has everything on that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.contender import Contender
from bench.contenders import bare_aiohttp, caddy, nginx, tollkeeper
from bench.upstreams import Upstream

Start = Callable[[Path, Upstream], Contender]

US = "Tollkeeper"
CONTENDERS: dict[str, Start] = {
    "nginx": nginx.start,
    "Caddy": caddy.start,
    "plain aiohttp": bare_aiohttp.start,
    US: tollkeeper.start,
}
