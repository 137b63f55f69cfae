"""Recorded exchanges with real providers, and where each of them goes when it is played again.

The recordings are not part of the project: they are looked for in `shared/traffic` beside the checkout.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "traffic"

needs_recordings = pytest.mark.skipif(
    not any(FOLDER.glob("*.jsonl.gz")), reason="the recorded traffic is not part of the project: no shared/traffic here"
)

# who is asked at a recorded host: an entry by the vendor's name has the vendor's shipped list, one called `…-direct` none
ENTRIES = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "api.mistral.ai": "mistral",
    "mistral.compat": "mistral",
    "api.deepseek.com": "deepseek",
    "deepseek.compat": "deepseek",
    "api.x.ai": "xai",
    "xai.compat": "xai",
    "openai-compatible.compat": "xai",
    "api.perplexity.ai": "perplexity",
    "perplexity.compat": "perplexity",
    "azure": "azure-direct",
    "rubyllm.services.ai.azure.com": "azure-direct",
    "groq.compat": "groq",
    "moonshotai.compat": "moonshot",
    "alibaba.compat": "alibaba-direct",
    "open-responses.compat": "lmstudio-direct",
    "ollama.com": "ollama-direct",
    "bedrock-mantle.<AWS_REGION>.api.aws": "mantle-direct",
    "<OLLAMA_API_BASE>": "ollama-direct",
    "<GPUSTACK_API_BASE>": "gpustack-direct",
}
NO_PROVIDER = {
    "httpbin.org": "a picture from the web",
    "pdfobject.com": "a document from the web",
    "www.ruby-lang.org": "a page from the web",
    "imgen.x.ai": "a picture fetched by its address, from no API",
    "oauth2.googleapis.com": "a token of Google's, from no API of models",
}
NO_MODEL = "model-router"
_BASE = re.compile(
    r"/api/v1(?=/)|/openai/v1(?=/)|/v1(?=/)|/models(?=/chat/)|<\w+>(?=/)|(?=/chat/completions|/responses$)"
)
_SURFACE = re.compile(
    r"/(?:chat/completions|completions|responses|messages(?:/count_tokens|/batches(?:/.*)?)?|embeddings|moderations|"
    r"images(?:/\w+)?|audio/\w+|rerank|files(?:/.*)?|batches(?:/.*)?)"
)
_SHAPES = {"completions": "chat", "responses": "responses", "messages": "messages", "embeddings": "embeddings"}
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its reply, bodies as bytes. `made_up`: the reply is recorded, the request is not."""

    id: str
    host: str
    method: str
    path: str
    query: str
    request_headers: tuple[tuple[str, str], ...]
    request: bytes
    status: int
    reply_headers: tuple[tuple[str, str], ...]
    reply: bytes
    made_up: bool

    @property
    def endpoint(self) -> str | None:
        """The path without the base of its API, if that is one of ours and not the list of models, which we answer."""
        base = _BASE.match(self.path)
        path = self.path[base.end() :] if base and self.entry else None
        if path is None or path == "/models":
            return None
        return path if self.method == "GET" or _SURFACE.fullmatch(path) else None

    @property
    def entry(self) -> str | None:
        """The entry of `providers` that stands for the host; None where that speaks a language of its own."""
        return ENTRIES.get(self.host or self.path.partition("/")[0])

    @property
    def skipped(self) -> str | None:
        """Why it is not played, if it is not."""
        if self.host in NO_PROVIDER:
            return NO_PROVIDER[self.host]
        if self.method == "GET" and self.path.endswith("/models"):
            return "the list of models is answered by the daemon itself"
        return None

    @property
    def target(self) -> str:
        """What the client's request line names."""
        path = "/v1" + quote(self.path if self.endpoint is None else self.endpoint, safe="/:-._~")
        return f"{path}?{self.query}" if self.query else path

    @cached_property
    def document(self) -> dict[str, Any]:
        """The request as JSON; empty where it is none."""
        return self.document_of(self.request)

    @staticmethod
    def document_of(body: bytes) -> dict[str, Any]:
        """A body as JSON; empty where it is none."""
        try:
            document = json.loads(body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def model(self) -> str | None:
        """The model asked for, where the path is one of ours."""
        model = self.document.get("model") if self.endpoint else None
        return model if isinstance(model, str) else None

    @property
    def shape(self) -> str:
        """How the reply is told: chat, responses, messages, embeddings … and whether it streamed."""
        if self.endpoint is None:
            return "passed through"
        last = self.endpoint.strip("/").split("/")
        name = _SHAPES.get(last[-1], last[0]) if self.method == "POST" else "GET"
        return f"{name}, streamed" if self.streamed else name

    @property
    def streamed(self) -> bool:
        return dict(self.reply_headers).get("content-type", "").startswith("text/event-stream")

    @property
    def asked(self) -> str | None:
        """The model a client would ask for: a made-up request may name what served, or nothing."""
        if self.model is None:
            return None
        plain = self.model.partition(":")[0] if self.entry == "openai" else self.model
        return plain or NO_MODEL

    def request_for(self, model: str) -> bytes:
        """The request's bytes with another name in the place of the model's; nothing else moves."""
        for match in _MODEL.finditer(self.request):
            changed = self.request[: match.start(1)] + model.encode() + self.request[match.end(1) :]
            if json.loads(changed)["model"] == model:
                return changed
        raise AssertionError(f"{self.id} names no model")


def exchanges() -> Iterator[Exchange]:
    """Every recorded exchange, in the order of the files."""
    for file in sorted(FOLDER.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from (_read(json.loads(line)) for line in lines)


def _read(row: dict[str, Any]) -> Exchange:
    return Exchange(
        row["id"],
        row["host"],
        row["method"],
        row["path"],
        row["query"],
        tuple((name, value) for name, value in row["request_headers"]),
        _bytes(row["request"]),
        row["status"],
        tuple((name, value) for name, value in row["reply_headers"]),
        _bytes(row["reply"]),
        row["request_is_synthetic"],
    )


def _bytes(body: str | dict[str, str]) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else base64.b64decode(body["base64"])
