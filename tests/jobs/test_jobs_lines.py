"""What may be a batch, line by line; and what its results look like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange.stand_ins import Reading, Reply
from proxy.jobs.lines import MOST_LINES, Problem, body_of, read_lines, split
from proxy.jobs.pacing import again_after
from proxy.jobs.shapes import Answered, result_line

URL = "/v1/chat/completions"
GOOD = {"custom_id": "a", "method": "POST", "url": URL, "body": {"model": "m"}}


def written(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not ...}).encode()


WRONG = [
    (b"", "empty_file", None),
    (b"\n  \n\r\n", "empty_file", None),
    (b"{", "invalid_json_line", 1),
    (b"\xff\xfe", "invalid_json_line", 1),
    (b"[]", "invalid_request", 1),
    (written(body=...), "invalid_request", 1),
    (written(body=[]), "invalid_request", 1),
    (written(custom_id=7), "invalid_request", 1),
    (written(custom_id=""), "invalid_custom_id", 1),
    (written(custom_id="x" * 513), "invalid_custom_id", 1),
    (written(method="GET"), "invalid_method", 1),
    (written(url="/v1/embeddings"), "mismatched_url", 1),
    (written(body={"model": "m", "stream": True}), "stream_not_supported", 1),
    (written() + b"\n" + written(), "duplicate_custom_id", 2),
    (written(body={"x": "y" * 2000}), "request_too_large", 1),
]


@pytest.mark.parametrize(("content", "code", "line"), WRONG)
def test_what_is_no_batch_is_told_by_line(content: bytes, code: str, line: int | None) -> None:
    lines, problems = read_lines([content], URL, 1000)
    assert [(problem.code, problem.line) for problem in problems] == [(code, line)]
    assert len(lines) <= 1


def test_all_that_is_wrong_is_told_at_once_up_to_a_hundred() -> None:
    _, problems = read_lines([b"{\n" * 500], URL, 1000)
    assert [problem.line for problem in problems] == list(range(1, 101))


def test_too_many_lines_are_too_many() -> None:
    content = b"".join(written(custom_id=str(number)) + b"\n" for number in range(MOST_LINES + 1))
    lines, problems = read_lines([content], URL, 1000)
    assert len(lines) == MOST_LINES
    assert problems == [Problem("too_many_requests", "A batch has at most 50,000 lines; split the file.")]


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\n", b"")), max_size=9), st.integers(1, 7))
def test_lines_are_where_they_stand_however_the_bytes_come(texts: list[bytes], size: int) -> None:
    content = b"\n".join(texts)
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    found = list(split(chunks))
    assert [text for _, text in found] == [text for text in texts if text.strip()]
    assert all(content[at : at + len(text)] == text for at, text in found)


def test_a_body_is_sent_as_it_was_written() -> None:
    body = b'{"model":"m",  "messages":[{"content":"\\u00e9 1e400"}], "n": 1.0}'
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":' + body + b"}"
    assert body_of(line) == body


RESULTS = [
    (Answered(200, "req_1", b'{"a": 1.0}'), {"status_code": 200, "request_id": "req_1", "body": {"a": 1.0}}, None),
    (Answered(200, "r", b'{\n"a": 1}'), {"status_code": 200, "request_id": "r", "body": {"a": 1}}, None),
    (Answered(502, "r", b"<html>"), {"status_code": 502, "request_id": "r", "body": "<html>"}, None),
    (Answered(code="interrupted", message="why"), None, {"code": "interrupted", "message": "why"}),
]


@pytest.mark.parametrize(("answered", "response", "error"), RESULTS)
def test_a_result_is_one_line_of_openai_s_shape(answered: Answered, response: Any, error: Any) -> None:
    line = result_line("batch_req_1", "a", answered)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert json.loads(line) == {"id": "batch_req_1", "custom_id": "a", "response": response, "error": error}


def refusal(status: int, code: str, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps({"error": {"code": code}}).encode())


PACED = [
    (Reply(200, {}, b"{}"), None),
    (refusal(429, "rate_limit_exceeded"), 2.0),
    (refusal(429, "budget_in_flight", **{"retry-after": "30"}), 30.0),
    (refusal(429, "x", **{"retry-after": "never"}), 2.0),
    (refusal(429, "x", **{"retry-after": "1e9"}), 3600.0),
    (refusal(429, "insufficient_quota"), None),
    (refusal(503, "overloaded"), 2.0),
    (refusal(502, "upstream_unreachable"), 2.0),
    (refusal(402, "budget_exceeded"), None),
    (refusal(500, "server_error"), None),
    (Reply(503, {}, b"no json"), None),
    (Reply(0, {}, b""), None),
]


@pytest.mark.parametrize(("reply", "seconds"), PACED)
def test_a_line_is_tried_again_only_where_it_was_refused_for_the_moment(reply: Reply, seconds: float | None) -> None:
    assert again_after(reply, 2.0) == seconds


REPLIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi", Reply(200, {"content-length": "2", "x-a": "b"}, b"hi")),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Reply(200, {"transfer-encoding": "chunked"}, b"hi")),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", Reply(0, {"transfer-encoding": "chunked"}, b"hi")),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", Reply(0, {"content-length": "9"}, b"hi")),
    (b"", Reply(0, {}, b"")),
]  # fmt: skip


@pytest.mark.parametrize(("data", "reply"), REPLIES)
def test_a_reply_that_was_cut_off_is_none(data: bytes, reply: Reply) -> None:
    reading = Reading()
    reading.feed(data)
    assert reading.reply() == reply


@pytest.mark.parametrize(
    ("pieces", "dropped"), [([b"x" * 8], 0), ([b"x" * 9], 5), ([b"x" * 9, b"y" * 4], 5), ([b"x" * 4] * 3, 8)]
)
def test_of_a_reply_that_is_too_large_the_end_is_kept_and_whether_it_was_whole(
    pieces: list[bytes], dropped: int
) -> None:
    reading = Reading(8)
    reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        reading.feed(b"%x\r\n%b\r\n" % (len(piece), piece))
    assert reading.dropped == dropped and not reading.is_whole
    reading.feed(b"0\r\n\r\n")
    assert reading.is_whole and bytes(reading.body) == b"".join(pieces)[dropped:]
    assert reading.reply().status == (0 if dropped else 200)
