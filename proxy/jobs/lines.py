"""The lines of a batch's input: `{"custom_id", "method", "url", "body"}`, one JSON object each (OpenAI's batch API).

Pure. What is wrong with a file is told by line, in OpenAI's codes, and all of it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw, Struct

from proxy.web.reading import in_words

MOST_LINES = 50_000
MOST_PROBLEMS = 100
LONGEST_ID = 512

# what a batch may be of: what is answered whole, and whose price is known before
ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1/moderations",
)


class Problem(Struct, frozen=True):
    """Why a file cannot be a batch; `line` counts from 1, None where it is about all of it."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Line(Struct, frozen=True):
    """One call: where its line stands in the file, and what it is called."""

    number: int
    custom_id: str
    offset: int
    length: int


class _Written(Struct):
    custom_id: str
    method: str
    url: str
    body: dict[str, Raw]


class _Body(Struct):
    body: Raw


def split(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines with their offsets, without their ends; empty ones are none."""
    rest, at = b"", 0
    for chunk in chunks:
        rest += chunk
        *whole, rest = rest.split(b"\n")
        for line in whole:
            if line.strip():
                yield at, line
            at += len(line) + 1
    if rest.strip():
        yield at, rest


def read_lines(
    chunks: Iterable[bytes], url: str, longest: int, most: int = MOST_LINES
) -> tuple[list[Line], list[Problem]]:
    """The lines of a batch for `url`, at most so many, or what is wrong with it; a body has `longest` bytes at most."""
    lines: list[Line] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, (offset, text) in enumerate(split(chunks), 1):
        if number > most:
            problems.append(Problem("too_many_requests", f"A batch has at most {most:,} lines; split the file."))
            break
        found = _read(number, text, url, longest)
        if isinstance(found, str) and found in seen:
            found = Problem("duplicate_custom_id", f"The custom_id of line {number} stands twice.", number, "custom_id")
        if isinstance(found, Problem):
            problems.append(found)
            if len(problems) == MOST_PROBLEMS:
                break
            continue
        seen.add(found)
        lines.append(Line(number, found, offset, len(text)))
    if not lines and not problems:
        problems.append(Problem("empty_file", "The file has no line; a batch needs one at least."))
    return lines, problems


def body_of(line: bytes) -> bytes:
    """What a line that was read before sends, as it was written."""
    return bytes(msgspec.json.decode(line, type=_Body).body)


def _read(number: int, text: bytes, url: str, longest: int) -> str | Problem:
    """The line's custom_id, or what is wrong with it."""
    if len(text) > longest:
        return Problem("request_too_large", f"Line {number} is larger than `max_body` allows.", number)
    try:
        written = msgspec.json.decode(text, type=_Written)
    except msgspec.ValidationError as error:
        return Problem("invalid_request", f"Line {number}: {in_words(error, _Written)}.", number)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem("invalid_json_line", f"Line {number} is no JSON object.", number)
    if not 0 < len(written.custom_id) <= LONGEST_ID:
        message = f"The custom_id of line {number} must have 1 to {LONGEST_ID} characters."
        return Problem("invalid_custom_id", message, number, "custom_id")
    if written.method != "POST":
        return Problem("invalid_method", f"The method of line {number} must be POST.", number, "method")
    if written.url != url:
        message = f"The url of line {number} is not the batch's endpoint, {url}."
        return Problem("mismatched_url", message, number, "url")
    if bytes(written.body.get("stream", Raw(b"false"))) not in (b"false", b"null"):
        message = f"Line {number} asks for a stream; what a batch answers comes whole."
        return Problem("stream_not_supported", message, number, "body.stream")
    return written.custom_id
