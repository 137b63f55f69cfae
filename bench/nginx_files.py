"""What every nginx of a run has in common, proxy or upstream."""

from __future__ import annotations

import os
from pathlib import Path


def command(folder: Path, config: Path) -> list[str]:
    """In the foreground, all its files in the folder."""
    return ["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"]


def config_text(folder: Path, servers: str) -> str:
    """One worker, no access log, connections kept for as long as they are used."""
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx-{os.urandom(4).hex()}.pid; error_log stderr error;\n"
        "events { worker_connections 16384; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; client_max_body_size 64m; {paths}\n{servers} }}\n"
    )
