"""The dashboard's files: made by `make dashboard`, shipped in the wheel, sent as they were compressed then."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from proxy.data import DASHBOARD
from proxy.web.errors import SERVER_NAME

_ASSET = re.compile(r"/assets/([\w-]+(?:\.[\w-]+)*\.(js|css|svg))", re.ASCII)
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{data_url}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_EVERY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_NONE_YET = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollkeeper</title>
<h1>The dashboard is not built</h1>
<p>Tollkeeper runs, and everything else on this port answers: see <a href="openapi.json">openapi.json</a>.</p>
<p>This copy came without the page. In a checkout, <code>make dashboard</code> builds it (it needs npm and Node.js 20.19 or newer);
the wheel and the container image bring it along. Then load this page again.</p>
"""


def is_page(path: str) -> bool:
    """Whether this is where the dashboard stands: everybody may load it, what it shows is asked for by itself."""
    return path == "/" or path.startswith("/assets/")


def page(request: BaseRequest, data_url: str, folder: Path = DASHBOARD) -> Response | None:
    """The page or one of its files; None where there is none of this name. It reads files, and may run in a thread.
    `data_url` is where the page may send calls to, beside this port."""
    found = _ASSET.fullmatch(request.path)
    if request.path != "/" and found is None:
        return None
    name, kind = ("index.html", "html") if found is None else (f"assets/{found[1]}", found[2])
    file, accepted = folder / name, _accepted(request.headers.get("Accept-Encoding", ""))
    encoding = next((one for one in _ENCODINGS if one in accepted and _beside(file, one).is_file()), None)
    try:
        body = (file if encoding is None else _beside(file, encoding)).read_bytes()
    except OSError:
        return _not_built() if kind == "html" else None
    headers = {**dict([SERVER_NAME]), **_EVERY, "Content-Type": f"{_TYPES[kind]}; charset=utf-8"}
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    if kind != "html":
        return Response(body=body, headers={**headers, "Cache-Control": "public, max-age=31536000, immutable"})
    headers |= {"Cache-Control": "no-cache", "Content-Security-Policy": _policy(data_url)}
    headers["ETag"] = f'"{hashlib.sha256(body + data_url.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status=304, headers=headers)
    return Response(body=body, headers=headers)


def _accepted(header: str) -> set[str]:
    """The encodings that may be sent; those with q=0 may not."""
    parts = (part.replace(" ", "").partition(";") for part in header.lower().split(","))
    return {name for name, _, q in parts if not re.fullmatch(r"q=0(\.0*)?", q)}


def _beside(file: Path, encoding: str) -> Path:
    return file.with_name(file.name + _ENCODINGS[encoding])


def _policy(data_url: str) -> str:
    return _POLICY.format(data_url=f" {data_url}" if data_url.startswith(("http://", "https://")) else "")


def _not_built() -> Response:
    policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    headers = {**dict([SERVER_NAME]), **_EVERY, "Cache-Control": "no-store", "Content-Security-Policy": policy}
    return Response(status=503, text=_NONE_YET, content_type="text/html", headers=headers)
