"""The endpoints as rows: which paths carry a model, how their replies are shaped, what is metered, what is free.

Paths are written without the API prefix. A path or method in no row passes too, for callers nobody counts.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import force_setattr

from proxy.errors import InvalidValue

Shape = Literal["chat", "completions", "responses", "messages", "other"]

PREFIXES = ("/api/v1", "/v1")
# Endpoints whose replies are pictures, by their names.
DRAWING = frozenset({"images", "images/generations", "images/edits", "images/variations"})

# Those that write down what was said.
HEARING = frozenset({"audio/transcriptions", "audio/translations"})


class Endpoint(Struct, frozen=True):
    """One row.

    `name` is the label in logs and metrics. `shape` says how a reply reports errors, ends a
    stream and states usage. `carries_model`: the body is read for its `model`. `metered`: what a
    call costs is written down, 0 as well, which is all it ever costs where it `is_free`. `unbounded`: nobody knows what a call may cost, nor by which model.
    `listed`: it is a row of the table at all. `is_own`: no provider has it. Worked out of these: `draws`, whether its replies
    are pictures (large, slow to come, and priced by how many there are), `chats`, whether it is for models that chat, and
    `counts`, whether limits and budgets apply (it costs money, or nobody knows what it is).
    """

    name: str
    shape: Shape = "other"
    carries_model: bool = False
    metered: bool = False
    listed: bool = True
    max_field: str | None = None
    unbounded: bool = False
    is_own: bool = False
    is_free: bool = False

    draws: bool = False
    chats: bool = False
    counts: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "draws", self.name in DRAWING)
        force_setattr(self, "chats", self.shape != "other" or self.name.startswith(("responses/", "messages/")))
        force_setattr(self, "counts", (self.metered and not self.is_free) or self.unbounded)


MODEL_ROWS: dict[str, Endpoint] = {
    "/chat/completions": Endpoint("chat/completions", "chat", True, True, max_field="max_tokens"),
    "/completions": Endpoint("completions", "completions", True, True, max_field="max_tokens"),
    "/responses": Endpoint("responses", "responses", True, True, max_field="max_output_tokens"),
    "/responses/compact": Endpoint("responses/compact", "other", True, True),
    "/responses/input_tokens": Endpoint("responses/input_tokens", "other", True),
    "/messages": Endpoint("messages", "messages", True, True, max_field="max_tokens"),
    "/messages/count_tokens": Endpoint("messages/count_tokens", "other", True),
    "/embeddings": Endpoint("embeddings", "other", True, True),
    "/moderations": Endpoint("moderations", "other", True, True, is_free=True),
    "/rerank": Endpoint("rerank", "other", True, True),
    "/images": Endpoint("images", "other", True, True),
    "/images/generations": Endpoint("images/generations", "other", True, True),
    "/images/edits": Endpoint("images/edits", "other", True, True),
    "/images/variations": Endpoint("images/variations", "other", True, True),
    "/audio/speech": Endpoint("audio/speech", "other", True, True),
    "/audio/transcriptions": Endpoint("audio/transcriptions", "other", True, True),
    "/audio/translations": Endpoint("audio/translations", "other", True, True),
}

# What else costs nothing, by method; `*` stands for the rest of a segment. docs/errors.md says why of each.
FREE_ROWS: tuple[tuple[str, str], ...] = (
    ("POST", "files"),
    ("POST", "uploads"),
    ("POST", "uploads/*/*"),
    ("POST", "chat/completions/chatcmpl-*"),
    ("POST", "responses/*/cancel"),
    ("POST", "conversations"),
    ("POST", "conversations/*"),
    ("POST", "conversations/*/items"),
    ("POST", "batches/*/cancel"),
    ("POST", "messages/batches/*/cancel"),
    ("POST", "fine_tuning/jobs/*/cancel"),
    ("POST", "fine_tuning/jobs/*/pause"),
    ("POST", "fine_tuning/alpha/graders/validate"),
    ("POST", "vector_stores/*"),
    ("POST", "vector_stores/*/search"),
    ("POST", "vector_stores/*/files/*"),
    ("POST", "vector_stores/*/file_batches/*/cancel"),
    ("POST", "threads/*/runs/*/cancel"),
    ("POST", "evals"),
    ("POST", "evals/*"),
    ("POST", "evals/*/runs/*"),
    ("POST", "skills"),
    ("POST", "skills/*"),
    ("POST", "skills/*/versions"),
    ("POST", "chatkit/sessions/*/cancel"),
    ("POST", "realtime/calls/*/hangup"),
    ("POST", "realtime/calls/*/reject"),
    ("POST", "generation/feedback"),
    ("DELETE", "models/*"),
    ("DELETE", "files/*"),
    ("DELETE", "chat/completions/*"),
    ("DELETE", "responses/*"),
    ("DELETE", "conversations/*"),
    ("DELETE", "conversations/*/items/*"),
    ("DELETE", "messages/batches/*"),
    ("DELETE", "vector_stores/*"),
    ("DELETE", "vector_stores/*/files/*"),
    ("DELETE", "assistants/*"),
    ("DELETE", "threads/*"),
    ("DELETE", "threads/*/messages/*"),
    ("DELETE", "containers/*"),
    ("DELETE", "containers/*/files/*"),
    ("DELETE", "evals/*"),
    ("DELETE", "evals/*/runs/*"),
    ("DELETE", "skills/*"),
    ("DELETE", "skills/*/versions/*"),
    ("DELETE", "chatkit/threads/*"),
    ("DELETE", "videos/*"),
)

# What stands at the front of a path, as its label. Reading below these costs nothing; whatever else stands there and
# in no row is work whose cost no request bounds, and whose model it need not name.
_KINDS = (
    "assistants|audio/voices|batches|chat/completions|chatkit|containers|conversations|credits|embeddings/models|"
    "endpoints|evals|files|fine_tuning|generation|images/models|key|messages/batches|models|model|providers|realtime|"
    "responses|skills|threads|uploads|vector_stores|videos|video"
)

# What is answered here, by what stands at the front of a path; of files and batches only what is ours.
OWN_PATHS = (
    "tollkeeper/jobs",
    "tollkeeper/results",
    "tollkeeper/images/estimate",
    "tollkeeper/usage",
    "tollkeeper/compare",
    "tollkeeper/feedback",
)
_OURS = "tollkeeper"
OWN = frozenset({"files", "batches", "messages/batches", *OWN_PATHS, _OURS})

_FREE_PATHS = {
    method: re.compile(
        "|".join("/" + re.escape(row).replace(r"\*", "[^/]+") for of, row in FREE_ROWS if of == method),
    )
    for method in {method for method, _ in FREE_ROWS}
}
_NAMED = re.compile(rf"/(?P<name>{_KINDS})(?:/.*)?")
_OTHER = "other"
NAMES = frozenset({row.name for row in MODEL_ROWS.values()} | set(_KINDS.split("|")) | OWN | {_OTHER})

_ESCAPE = re.compile("%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NEVER_ESCAPED = re.compile("%(?:[01][0-9a-f]|7f|5c)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNFIT = re.compile(r"[^!-~]|[\\#]")
_ODD = re.compile(r"[^!-~]|[\\#%]|//|/\.{1,2}(?:/|$)|./$")
_MOST_ESCAPED = 3


def split_path(target: str) -> tuple[str, str, bool]:
    """Split a request target into (plain path without prefix, query with its `?`, had a prefix).

    An absolute-form target loses its authority: the upstream comes from the configuration only. What is decided by
    the plain path goes upstream as the plain path. Raises `InvalidValue` where a server might read it otherwise.
    """
    if not target.startswith("/"):
        authority, _, rest = target.partition("://")[2].partition("/")
        if "@" in authority:
            raise InvalidValue("The request target names a user; a key goes into the Authorization header.")
        target = "/" + rest
    path, mark, query = target.partition("?")
    if "#" in query:
        raise InvalidValue("The request target has a '#', which is no part of one; escape it as %23.")
    if _ODD.search(path):
        path = _plain(path)
    for prefix in PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return path[len(prefix) :] or "/", mark + query, True
    return path, mark + query, False


def _plain(path: str) -> str:
    """The one spelling of a path: unreserved escapes decoded (RFC 3986 6.2.2), no empty and no `.` segments; case stays.

    Raises `InvalidValue` for `..`, an escaped slash, backslash or control character, and what is no escape or no
    UTF-8. Only the slash inside a model's name may be escaped: the SDKs ask for `/models/openai%2Fgpt-4o`.
    """
    if _UNFIT.search(path):
        raise InvalidValue("The path has a character that must be escaped.")
    plain = _ESCAPE.sub(_unescaped, path)
    plain = "/" + "/".join(segment for segment in plain.split("/") if segment not in ("", "."))
    bare = plain
    for prefix in PREFIXES:
        bare = bare.removeprefix(prefix)
    if _NEVER_ESCAPED.search(plain) or ("%2f" in plain.lower() and not bare.startswith("/models/")):
        raise InvalidValue("The path has an escaped slash, backslash or control character.")
    decoded = _decoded(plain)
    if _CONTROL.search(decoded) or ".." in decoded.replace("\\", "/").split("/"):
        raise InvalidValue("The path has a '..' segment; send the plain path of the endpoint.")
    return plain


def _unescaped(match: re.Match[str]) -> str:
    """An escape, decoded where it stands for a character that needs none."""
    if match[1] is None:
        raise InvalidValue("The path has a '%' that begins no escape.")
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0]


def _decoded(plain: str) -> str:
    """What a server may see that decodes a path, and decodes it again. Raises `InvalidValue` where that has no end."""
    try:
        for _ in range(_MOST_ESCAPED):
            before, plain = plain, unquote(plain, errors="strict")
            if before == plain:
                return plain
    except UnicodeDecodeError:
        raise InvalidValue("The path has an escape that is no UTF-8.") from None
    raise InvalidValue("The path has escapes of escapes.")


def speaks_anthropic(target: str, *, has_version: bool) -> bool:
    """Whether whoever asks for a target, spelled however, reads errors as Anthropic words them.

    So it is on `/messages` and below, and where `anthropic-version` came along, but on what OpenAI's clients alone call.
    """
    path = unquote(target.partition("?")[0])
    if not path.startswith("/"):
        path = path.partition("://")[2].partition("/")[2]
    plain = "/" + "/".join(segment for segment in path.split("/") if segment not in ("", "."))
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain == "/messages" or plain.startswith("/messages/") or (has_version and plain not in MODEL_ROWS)


def model_of(path: str) -> str | None:
    """The model that a plain path names, `/models/NAME`, however its slash was spelled; None for any other."""
    name = path.removeprefix("/models/")
    if name == path or name.endswith("/endpoints") or name in ("count", "user"):
        return None
    return unquote(name)


def path_of(model: str) -> str:
    """The plain path that names a model."""
    return "/models/" + quote(model, safe="/:@~")


def endpoint_for(method: str, path: str) -> Endpoint:
    """Find the row of a plain path (without prefix). What is in no row is named `other`, and unbounded unless it reads."""
    if method == "POST" and (row := MODEL_ROWS.get(path)):
        return row
    if path.startswith("/tollkeeper/"):
        return Endpoint(next((name for name in OWN_PATHS if f"{path}/".startswith(f"/{name}/")), _OURS), is_own=True)
    named = _NAMED.fullmatch(path)
    name = named["name"] if named else _OTHER
    if method in ("GET", "HEAD"):
        return Endpoint(name, _shape_of(name), listed=named is not None)
    free = _FREE_PATHS.get(method)
    if free is not None and free.fullmatch(path):
        return Endpoint(name, _shape_of(name))
    return Endpoint(name, listed=named is not None, unbounded=True)


def _shape_of(name: str) -> Shape:
    """What is fetched later is shaped as what was made."""
    return "responses" if name == "responses" else "other"
