"""The endpoints as rows: which paths carry a model, how their replies are shaped, what is metered.

Paths are written without the API prefix. A path in no row passes too, for callers nobody counts.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from proxy.errors import InvalidValue

Shape = Literal["chat", "completions", "responses", "messages", "other"]

PREFIXES = ("/api/v1", "/v1")


class Endpoint(Struct, frozen=True):
    """One row.

    `name` is the label in logs and metrics. `shape` says how a reply reports errors, ends a
    stream and states usage. `carries_model`: the body is read for its `model`. `metered`:
    a call costs money; `listed`: it is a row of the table at all.
    """

    name: str
    shape: Shape = "other"
    carries_model: bool = False
    metered: bool = False
    listed: bool = True
    max_field: str | None = None

    @property
    def counts(self) -> bool:
        """Whether limits and budgets apply: it costs money, or nobody knows what it is."""
        return self.metered or not self.listed


_POST: dict[str, Endpoint] = {
    "/chat/completions": Endpoint("chat/completions", "chat", True, True, max_field="max_tokens"),
    "/completions": Endpoint("completions", "completions", True, True, max_field="max_tokens"),
    "/responses": Endpoint("responses", "responses", True, True, max_field="max_output_tokens"),
    "/responses/compact": Endpoint("responses/compact", "other", True, True),
    "/responses/input_tokens": Endpoint("responses/input_tokens", "other", True),
    "/messages": Endpoint("messages", "messages", True, True, max_field="max_tokens"),
    "/messages/count_tokens": Endpoint("messages/count_tokens", "other", True),
    "/embeddings": Endpoint("embeddings", "other", True, True),
    "/moderations": Endpoint("moderations", "other", True, True),
    "/rerank": Endpoint("rerank", "other", True, True),
    "/images": Endpoint("images", "other", True, True),
    "/images/generations": Endpoint("images/generations", "other", True, True),
    "/images/edits": Endpoint("images/edits", "other", True, True),
    "/images/variations": Endpoint("images/variations", "other", True, True),
    "/audio/speech": Endpoint("audio/speech", "other", True, True),
    "/audio/transcriptions": Endpoint("audio/transcriptions", "other", True, True),
    "/audio/translations": Endpoint("audio/translations", "other", True, True),
}

_FREE = re.compile(
    r"/(?P<name>models|model|files|uploads|responses|chat/completions|vector_stores|"
    r"generation|key|credits|providers|endpoints|embeddings/models|images/models)(?:/[^/]+)*"
)
_OTHER = Endpoint("other", listed=False)
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


def split_path(raw_path: str) -> tuple[str, str, bool]:
    """Split a raw request target into (path without prefix, query with its `?`, had a prefix).

    An absolute-form target loses its authority: the upstream comes from the configuration only.
    Raises `InvalidValue` on dot segments, however they are spelled.
    """
    if not raw_path.startswith("/"):
        raw_path = "/" + raw_path.partition("://")[2].partition("/")[2]
    path, mark, query = raw_path.partition("?")
    if "." in path or "%" in path:
        if _DOTS.search(unquote(path).replace("\\", "/")):
            raise InvalidValue("The path has a '.' or '..' segment; send the plain path of the endpoint.")
    for prefix in PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] == "/":
            return path[len(prefix) :], mark + query, True
    return path, mark + query, False


def endpoint_for(method: str, path: str) -> Endpoint:
    """Find the row of a path (without prefix)."""
    if method == "POST" and (row := _POST.get(path)):
        return row
    if (match := _FREE.fullmatch(path)) and method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"):
        return Endpoint(match["name"])
    return _OTHER
