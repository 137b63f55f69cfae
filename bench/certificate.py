"""A certificate for this machine's loopback, and the authority that vouches for it, made by `openssl`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from bench.processes import BenchError


class Certificate(NamedTuple):
    """PEM files: what a server shows, its key, and whom a client has to trust."""

    certificate: Path
    key: Path
    authority: Path


def make_certificate(folder: Path) -> Certificate:
    """Make authority and certificate, valid for a day. Raises `BenchError` where openssl cannot."""
    made = Certificate(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    authority_key, extensions, asked = folder / "authority.key", folder / "server.ext", folder / "server.csr"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    _openssl(
        *new, "-x509", "-days", "1", "-subj", "/CN=bench authority", "-keyout", authority_key, "-out", made.authority
    )
    _openssl(*new, "-subj", "/CN=localhost", "-keyout", made.key, "-out", asked)
    signing: list[str | Path] = [
        "-CA",
        made.authority,
        "-CAkey",
        authority_key,
        "-CAcreateserial",
        "-extfile",
        extensions,
    ]
    _openssl("x509", "-req", "-days", "1", "-in", asked, "-out", made.certificate, *signing)
    return made


def _openssl(*arguments: str | Path) -> None:
    ran = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        raise BenchError(f"openssl made no certificate: {ran.stderr.strip()[-300:]}")
