"""What each kind of upstream is sent, and what its answers mean."""

from __future__ import annotations

import msgspec
import pytest

from proxy.dialects import DIALECTS, Incoming, UpstreamRequest
from proxy.dialects.contract import max_field, url_for
from proxy.policy.values import Kind, Provider
from proxy.secret import Secret
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import endpoint_for
from proxy.wire.headers import Headers

KINDS: tuple[Kind, ...] = ("openrouter", "openai", "anthropic", "mock")
CANARY = "sk-client-canary"
UPSTREAM_KEY = "sk-upstream"


def call_to(path: str) -> Call:
    return read_call(endpoint_for("POST", path), "POST", (path, ""), ("application/json", b"{}"))


CHAT = call_to("/chat/completions")
MESSAGES = call_to("/messages")
RESPONSES = call_to("/responses")
LEGACY = call_to("/completions")
EMBEDDINGS = call_to("/embeddings")


def provider(kind: Kind, *, key: str | None = UPSTREAM_KEY, headers: tuple[tuple[str, str], ...] = ()) -> Provider:
    return Provider("p", kind, "https://up.example/v1", Secret(key) if key is not None else None, headers=headers)


def sent(kind: Kind, call: Call, *incoming: tuple[str, str], own: Provider | None = None) -> Headers:
    return DIALECTS[kind].headers(call, own or provider(kind), Incoming(incoming))


CREDENTIALS = (
    ("Authorization", f"Bearer {CANARY}"),
    ("x-api-key", CANARY),
    ("API-Key", CANARY),
    ("Cookie", CANARY),
    ("Proxy-Authorization", CANARY),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS], ids=lambda call: call.endpoint.name)
@pytest.mark.parametrize("key", [UPSTREAM_KEY, None])
def test_no_credential_of_the_client_goes_upstream(kind: Kind, call: Call, key: str | None) -> None:
    headers = sent(kind, call, *CREDENTIALS, ("X-Kept", "1"), own=provider(kind, key=key))
    assert CANARY not in str(headers)
    assert ("X-Kept", "1") in headers
    assert UPSTREAM_KEY in str(headers) or key is None


WITH_KEY: list[tuple[Kind, Call, Headers]] = [
    ("openrouter", CHAT, [("Authorization", "Bearer sk-upstream")]),
    ("openrouter", MESSAGES, [("Authorization", "Bearer sk-upstream")]),
    ("mock", CHAT, [("Authorization", "Bearer sk-upstream")]),
    ("openai", CHAT, [("Authorization", "Bearer sk-upstream")]),
    ("openai", MESSAGES, [("Authorization", "Bearer sk-upstream")]),
    ("anthropic", CHAT, [("Authorization", "Bearer sk-upstream")]),
    ("anthropic", LEGACY, [("Authorization", "Bearer sk-upstream")]),
    ("anthropic", MESSAGES, [("x-api-key", "sk-upstream"), ("anthropic-version", "2023-06-01")]),
    ("anthropic", EMBEDDINGS, [("x-api-key", "sk-upstream"), ("anthropic-version", "2023-06-01")]),
]
PLAIN = ("Accept-Encoding", "identity")


@pytest.mark.parametrize(("kind", "call", "own"), WITH_KEY)
def test_every_kind_sends_its_own_credential(kind: Kind, call: Call, own: Headers) -> None:
    assert sent(kind, call) == [*own, PLAIN]


@pytest.mark.parametrize(("kind", "call", "own"), WITH_KEY)
def test_a_provider_without_a_key_is_sent_none(kind: Kind, call: Call, own: Headers) -> None:
    headers = sent(kind, call, own=provider(kind, key=None))
    assert headers == [*(pair for pair in own if pair[0] == "anthropic-version"), PLAIN]


@pytest.mark.parametrize("kind", KINDS)
def test_the_clients_encodings_are_replaced_by_the_plain_one(kind: Kind) -> None:
    headers = sent(kind, CHAT, ("accept-encoding", "br, zstd"))
    assert [pair for pair in headers if pair[0].lower() == "accept-encoding"] == [PLAIN]


@pytest.mark.parametrize("kind", KINDS)
def test_headers_of_the_entry_replace_the_clients(kind: Kind) -> None:
    own = provider(kind, headers=(("HTTP-Referer", "https://ours.example"), ("X-Title", "Ours")))
    headers = sent(kind, CHAT, ("http-referer", "https://theirs.example"), ("X-TITLE", "T"), ("X-More", "1"), own=own)
    titles = [pair for pair in headers if pair[0].lower() in ("http-referer", "x-title", "x-more")]
    assert titles == [("X-More", "1"), ("HTTP-Referer", "https://ours.example"), ("X-Title", "Ours")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_among_the_headers_of_the_entry_counts_only_without_a_key(kind: Kind) -> None:
    own = provider(kind, key=None, headers=(("authorization", "Basic entry"),))
    assert ("authorization", "Basic entry") in sent(kind, CHAT, *CREDENTIALS, own=own)
    own = provider(kind, headers=(("authorization", "Basic entry"),))
    headers = sent(kind, CHAT, own=own)
    assert [value for name, value in headers if name.lower() == "authorization"] == ["Bearer sk-upstream"]


VERSIONS = [
    ((), (), "2023-06-01"),
    ((("anthropic-version", "2024-01-01"),), (), "2024-01-01"),
    ((("Anthropic-Version", "2024-01-01"),), (), "2024-01-01"),
    ((), (("anthropic-version", "2025-01-01"),), "2025-01-01"),
    ((("anthropic-version", "2024-01-01"),), (("Anthropic-Version", "2025-01-01"),), "2025-01-01"),
]


@pytest.mark.parametrize(("incoming", "configured", "version"), VERSIONS)
def test_anthropic_gets_one_version(
    incoming: tuple[tuple[str, str], ...], configured: tuple[tuple[str, str], ...], version: str
) -> None:
    headers = sent("anthropic", MESSAGES, *incoming, own=provider("anthropic", headers=configured))
    assert [value for name, value in headers if name.lower() == "anthropic-version"] == [version]


def test_anthropic_beta_crosses_as_it_is() -> None:
    assert ("anthropic-beta", "a,b") in sent("anthropic", MESSAGES, ("anthropic-beta", "a,b"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_openai_account_is_told_to_openai_only(kind: Kind) -> None:
    headers = sent(kind, CHAT, ("OpenAI-Organization", "org-1"), ("OpenAI-Project", "proj-1"), ("OpenAI-Beta", "x"))
    crossed = [name for name, _ in headers if name.startswith("OpenAI-")]
    assert crossed == (
        ["OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta"] if kind == "openai" else ["OpenAI-Beta"]
    )


FLAGS: list[tuple[Kind, Call, bool]] = [
    ("openai", CHAT, True),
    ("openai", LEGACY, True),
    ("openai", RESPONSES, False),
    ("openai", MESSAGES, False),
    ("anthropic", CHAT, True),
    ("anthropic", LEGACY, True),
    ("anthropic", MESSAGES, False),
    ("openrouter", CHAT, False),
    ("openrouter", RESPONSES, False),
    ("mock", CHAT, False),
]


@pytest.mark.parametrize(("kind", "call", "wanted"), FLAGS)
def test_the_usage_flag_is_set_where_usage_would_be_missing(kind: Kind, call: Call, wanted: bool) -> None:
    assert DIALECTS[kind].wants_usage_flag(call) is wanted


OPENAI = Provider("openai", "openai", "https://gateway.example/v1")
AT_OPENAI = Provider("work", "openai", "https://api.openai.com/v1")
LIKE_OPENAI = Provider("groq", "openai", "https://api.groq.com/openai/v1")
ROUTER = Provider("openrouter", "openrouter", "https://openrouter.ai/api/v1")
CLAUDE = Provider("anthropic", "anthropic", "https://api.anthropic.com/v1")
OLD, NEW, NO_MAXIMUM = (
    msgspec.structs.replace(OPENAI, max_tokens_field=field) for field in ("max_tokens", "max_completion_tokens", "none")
)
FIELDS: list[tuple[Provider, Call, str | None]] = [
    (OPENAI, CHAT, "max_completion_tokens"),
    (AT_OPENAI, CHAT, "max_completion_tokens"),
    (LIKE_OPENAI, CHAT, "max_tokens"),
    (msgspec.structs.replace(LIKE_OPENAI, max_tokens_field="max_completion_tokens"), CHAT, "max_completion_tokens"),
    (OLD, CHAT, "max_tokens"),
    (OLD, RESPONSES, "max_output_tokens"),
    (NEW, LEGACY, "max_tokens"),
    *((NO_MAXIMUM, call, None) for call in (CHAT, LEGACY, RESPONSES, MESSAGES)),
    (OPENAI, LEGACY, "max_tokens"),
    (OPENAI, RESPONSES, "max_output_tokens"),
    (OPENAI, MESSAGES, "max_tokens"),
    (ROUTER, CHAT, "max_tokens"),
    (ROUTER, LEGACY, "max_tokens"),
    (ROUTER, RESPONSES, "max_output_tokens"),
    (CLAUDE, CHAT, "max_tokens"),
    (CLAUDE, MESSAGES, "max_tokens"),
    *((provider, EMBEDDINGS, None) for provider in (OPENAI, ROUTER, CLAUDE, OLD)),
]


@pytest.mark.parametrize(("provider", "call", "field"), FIELDS)
def test_the_member_that_limits_output(provider: Provider, call: Call, field: str | None) -> None:
    assert max_field(call, provider) == field


ABOUT_OUR_KEY: list[tuple[Kind, int, bytes, bool]] = [
    *((kind, 401, b"", True) for kind in KINDS),
    *((kind, status, b"api key permission_error", False) for kind in KINDS for status in (400, 402, 404, 429, 500)),
    *((kind, 403, b"", False) for kind in KINDS),
    ("openai", 403, b'{"error":{"message":"Country, region, or territory not supported"}}', False),
    ("openai", 403, b'{"error":{"message":"You do not have Permission to use this"}}', True),
    ("openai", 403, b'{"error":{"message":"This API key cannot do that"}}', True),
    ("anthropic", 403, b'{"type":"error","error":{"type":"permission_error"}}', True),
    ("anthropic", 403, b'{"type":"error","error":{"type":"invalid_request_error"}}', False),
    ("openrouter", 403, b'{"error":{"message":"Key limit exceeded","code":403}}', True),
    ("openrouter", 403, b'{"error":{"message":"Missing permissions"}}', True),
    ("openrouter", 403, b'{"error":{"message":"No"}}', False),
    ("openrouter", 403, b'{"error":{"message":"flagged","metadata":{"reasons":["keyloggers"]}}}', False),
    ("openrouter", 403, b'{"error":{"message":"key","metadata":{"patterns":["x"]}}}', False),
    ("openrouter", 403, b'{"error":{"message":"The key\'s region is restricted"}}', False),
    ("openrouter", 403, b'{"error":{"message":"requires moderation for this key"}}', False),
    ("openrouter", 403, b'{"error":{"metadata":{"error_type":"content_policy_violation"},"message":"permission"}}', False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "body", "about"), ABOUT_OUR_KEY)
def test_whether_an_error_is_about_the_key_we_sent(kind: Kind, status: int, body: bytes, about: bool) -> None:
    assert DIALECTS[kind].is_about_our_key(status, body) is about


AFFORD = b'{"error":{"message":"You requested up to 4096 tokens, but can only afford %s.","code":402}}'
AFFORDABLE: list[tuple[Kind, int, bytes, int | None]] = [
    ("openrouter", 402, AFFORD % b"812", 812),
    ("mock", 402, AFFORD % b"1", 1),
    ("openrouter", 402, AFFORD % b"0", None),
    ("openrouter", 402, AFFORD % b"-5", None),
    ("openrouter", 402, AFFORD % b"nothing", None),
    ("openrouter", 402, b"{}", None),
    ("openrouter", 402, AFFORD % b"999999999", 999_999_999),
    ("openrouter", 429, AFFORD % b"812", None),
    ("openrouter", 200, AFFORD % b"812", None),
    ("openai", 402, AFFORD % b"812", None),
    ("anthropic", 402, AFFORD % b"812", None),
]


@pytest.mark.parametrize(("kind", "status", "body", "tokens"), AFFORDABLE)
def test_what_a_402_says_the_account_can_still_pay(kind: Kind, status: int, body: bytes, tokens: int | None) -> None:
    assert DIALECTS[kind].affordable(status, body) == tokens


def test_the_url_is_the_base_plus_the_path_and_the_query_as_they_came() -> None:
    target = ("/models/openai%2Fgpt-4o:free", "?beta=true&x=%20a+b")
    call = read_call(endpoint_for("GET", target[0]), "GET", target, ("", b""))
    assert url_for(provider("openai"), call) == "https://up.example/v1/models/openai%2Fgpt-4o:free?beta=true&x=%20a+b"


def test_a_request_can_be_logged_without_its_key_and_its_query() -> None:
    request = UpstreamRequest("POST", "https://up.example/v1/x?key=canary", [("Authorization", "canary")], [b"canary"])
    assert repr(request) == "<UpstreamRequest POST https://up.example/v1/x>"


@pytest.mark.parametrize(
    ("kind", "fields", "body", "due"),
    [
        (
            "openai",
            {},
            b'{"error":{"message":"Rate limit reached for gpt-4o in organization org-1 on tokens per min"}}',
            True,
        ),
        ("openai", {}, b'{"error":{"message":"slow down"}}', False),
        ("openai", {}, b"", False),
        ("anthropic", {"retry-after": "3"}, b'{"type":"error","error":{"type":"rate_limit_error"}}', True),
        ("openrouter", {"x-ratelimit-reset": "1"}, b'{"error":{"code":429}}', False),
        ("openrouter", {}, b'{"error":{"metadata":{"headers":{"X-RateLimit-Reset":"1"}}}}', False),
        ("openrouter", {"x-ratelimit-reset": "1"}, b"Rate limit exceeded: free-models-per-min", True),
        ("openrouter", {}, b'{"error":{"code":429,"metadata":{"provider_name":"X"}}}', True),
    ],
)
def test_whose_a_429_is(kind: Kind, fields: dict[str, str], body: bytes, due: bool) -> None:
    assert DIALECTS[kind].is_about_one_model(fields, body) is due
