"""Errors inside a 200: when one makes it a failure, and the status it stands for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.wire.endpoints import Shape
from proxy.wire.error_objects import Missing, missing_from
from proxy.wire.findings import Findings
from proxy.wire.usage import Usage


def seen(*events: bytes, shape: Shape = "chat") -> Findings:
    findings = Findings(shape)
    for event in events:
        findings.see(event)
    return findings


HI = b'{"id":"gen-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}'
USAGE = b'"usage":{"prompt_tokens":17,"completion_tokens":12,"cost":4.25e-06}'
COUNTED = Usage(input_tokens=17, output_tokens=12, cost_usd=Decimal("0.00000425"))
ERROR = b'"error":{"code":400,"message":"Token limit reached"}'
OUTPUT = [
    ("chat", b"{" + ERROR + b"}", True),
    ("chat", b'{"choices":null,' + ERROR + b"}", True),
    ("chat", b'{"choices":[],' + ERROR + b"}", True),
    ("chat", b'{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],' + ERROR + b"}", True),
    ("chat", b'{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],' + ERROR + b"," + USAGE + b"}", True),
    ("chat", b'{"choices":[{"delta":{"role":"assistant","tool_calls":[]}}],' + ERROR + b"}", True),
    ("chat", b'{"choices":[{"delta":null}],' + ERROR + b"}", True),
    ("chat", b'{"choices":[{"delta":{"content":"Hi"}}],' + ERROR + b"}", False),
    ("chat", b'{"choices":[{"delta":{"reasoning":"Hm"}}],' + ERROR + b"}", False),
    ("chat", b'{"choices":[{"message":{"content":"Hi"}}],' + ERROR + b"}", False),
    ("completions", b'{"choices":[{"text":"Hi"}],' + ERROR + b"}", False),
    ("completions", b'{"choices":[],' + ERROR + b"}", True),
    ("messages", b'{"type":"error",' + ERROR + b"}", True),
    ("messages", b'{"content":null,' + ERROR + b"}", True),
    ("messages", b'{"content":[],' + ERROR + b"}", True),
    ("messages", b'{"content":"",' + ERROR + b"}", True),
    ("messages", b'{"content":[{"type":"text"}],' + ERROR + b"}", False),
    ("responses", b'{"status":"failed",' + ERROR + b"}", False),
    ("other", b"{" + ERROR + b"}", False),
    ("chat", b'{"error":null}', False),
    ("chat", b'{"error":{}}', False),
    ("chat", b'{"error":""}', False),
    ("chat", b'{"error":0}', False),
    ("chat", b'{"error":"text"}', True),
    ("chat", b"{}", False),
    ("chat", b"not json", False),
    ("chat", b"[]", False),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "body", "failed"), OUTPUT)
def test_a_200_has_failed_when_it_is_an_error_and_no_output(shape: Shape, body: bytes, failed: bool) -> None:
    assert seen(body, shape=shape).failed is failed


def test_output_that_came_earlier_makes_a_later_error_no_failed_200() -> None:
    findings = seen(HI, b"{" + ERROR + b"}")
    assert findings.error == {"code": 400, "message": "Token limit reached"}
    assert not findings.failed
    assert findings.complete


def test_an_error_behind_a_message_that_had_begun_makes_no_failed_200() -> None:
    start = (
        b'{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}'
    )
    text = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}'
    overloaded = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert seen(start, overloaded, shape="messages").failed
    assert not seen(start, text, overloaded, shape="messages").failed


def test_an_error_chunk_with_usage_is_an_error_and_counts() -> None:
    findings = seen(b'{"choices":[{"index":0,"delta":{},"finish_reason":null}],' + ERROR + b"," + USAGE + b"}")
    assert findings.failed
    assert findings.error_status == 400
    assert findings.usage == COUNTED


STATUSES = [
    (b'"text"', 502),
    (b"[1]", 502),
    (b'{"message":"x"}', 502),
    (b'{"code":429}', 429),
    (b'{"code":"429"}', 429),
    (b'{"code":"server_error"}', 502),
    (b'{"code":null,"type":"rate_limit_error"}', 429),
    (b'{"code":200,"type":"overloaded_error"}', 529),
    (b'{"code":600}', 502),
    (b'{"code":399}', 502),
    (b'{"code":599}', 599),
    (b'{"code":"42"}', 502),
    (b'{"code":429.0}', 502),
    (b'{"code":true}', 502),
    (b'{"code":"' + b"9" * 5000 + b'"}', 502),
    (b'{"code":"' + "²²²".encode() + b'"}', 502),
    (b'{"code":"insufficient_quota"}', 402),
    (b'{"code":"content_filter","type":null,"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}', 400),
    (b'{"code":"content_filter"}', 400),
    (b'{"code":"tool_use_failed","type":"invalid_request_error","status_code":400}', 400),
    (b'{"code":"some_word","status_code":429}', 429),
    (b'{"code":404,"status":503}', 404),
    (b'{"code":"some_word","status":"UNAVAILABLE"}', 502),
    (b'{"code":"some_word","status":200,"status_code":true}', 502),
    (b'{"type":"invalid_request_error"}', 400),
    (b'{"type":"authentication_error"}', 401),
    (b'{"type":"billing_error"}', 402),
    (b'{"type":"permission_error"}', 403),
    (b'{"type":"not_found_error"}', 404),
    (b'{"type":"timeout_error"}', 504),
    (b'{"type":"api_error"}', 502),
    (b'{"metadata":{"error_type":"provider_overloaded"},"type":"api_error"}', 529),
    (b'{"metadata":{"error_type":"payment_required"}}', 402),
    (b'{"metadata":{"error_type":"timeout"}}', 504),
    (b'{"metadata":{"error_type":"rate_limit_exceeded"}}', 429),
    (b'{"metadata":{"error_type":["x"]},"type":{},"code":[]}', 502),
    (b'{"metadata":"x"}', 502),
]


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_an_error_inside_a_200_stands_for_a_status(error: bytes, status: int) -> None:
    findings = seen(b'{"error":' + error + b"}")
    assert findings.error
    assert findings.error_status == status


def test_without_an_error_the_status_of_one_would_be_502() -> None:
    assert seen().error_status == 502


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic(message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": "not_found_error", "message": message}, "request_id": "req_1"}


NOT_THERE: list[tuple[int, object, Missing]] = [
    (404, openai("The model `gpt-9` does not exist or you do not have access to it.", code="model_not_found"), "model"),
    (404, anthropic("model: claude-9"), "model"),
    (404, {"error": {"message": "No endpoints found for google/gemini-2.5-flash:free.", "code": 404}}, "model"),
    (404, {"error": {"message": "No allowed providers are available for the selected model.", "code": 404}}, "model"),
    (404, {"error": {"message": "Gone.", "code": 404, "availability": {"code": "free_variant_ended"}}}, "model"),
    (404, {"error": {"message": "model 'llama9' not found", "type": "not_found_error", "param": None, "code": None}}, "model"),
    (404, {"error": 'model "llama9" not found, try pulling it first'}, "model"),
    (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "param": None, "code": 404}, "model"),
    (404, {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}}, "model"),
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, "model"),
    (404, openai("No such File object: file-abc123", "id"), "object"),
    (404, openai("Response with id 'resp_67f8' not found."), "object"),
    (404, openai("Item with id 'rs_68' not found. Items are not persisted when `store` is set to false.", "input"), "object"),
    (404, openai("Conversation with id 'conv_1' not found."), "object"),
    (404, openai("No batch found with id 'batch_abc'."), "object"),
    (404, openai("No assistant found with id 'asst_abc'."), "object"),
    (404, openai("Vector store with id ['vs_1'] not found.", "tools"), "object"),
    (404, anthropic("File not found: file_011CNha8iCJcU1wXNR6q4V8w"), "object"),
    (404, anthropic("Container not found: container_011CPR5CNjB747bTd36fQLFk"), "object"),
    (404, {"error": {"message": "Response with id 'resp_x' not found.", "param": "response_id", "code": 404}}, "object"),
    (404, openai("Invalid URL (POST /v1/x)"), "unknown"),
    (404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, "unknown"),
    (404, {"detail": "Not Found"}, "unknown"),
    (404, {"error": {"code": 404, "message": "Not found", "metadata": None}}, "unknown"),
    (404, None, "unknown"),
    (404, [], "unknown"),
    (404, {"error": []}, "unknown"),
    (400, {"error": {"message": "acme/x is not a valid model ID", "code": 400}}, "model"),
    (400, {"error": {"message": "acme/x is no valid model ID", "code": 400}}, "model"),
    (400, {"error": {"message": "x", "code": 400, "availability": {"code": "model_not_found"}}}, "model"),
    (400, openai("Model Not Exist", code="invalid_request_error"), "model"),
    (400, openai("This model's maximum context length is 8 tokens.", "messages", "context_length_exceeded"), "unknown"),
    (400, openai("Unsupported value: 'temperature' with this model.", "temperature"), "unknown"),
    (403, openai("The model `gpt-9` is not for you.", code="model_not_found"), "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "missing"), NOT_THERE)
def test_what_an_error_says_is_not_there(status: int, body: object, missing: Missing) -> None:
    assert missing_from(status, body) == missing
