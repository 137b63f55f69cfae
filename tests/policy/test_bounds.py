"""The hold: never below what a call can cost, and close enough to be of use."""

from __future__ import annotations

import base64
import json
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.money.amounts import to_pusd, to_pusd_up
from proxy.policy.money.bounds import Bound, dearest, slope_of, upper_bound
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.costs import Extra, cost_usd
from proxy.policy.money.prices import Override, Price
from proxy.policy.money.quote import ample_pusd
from proxy.policy.money.rates import IMAGE_TOKENS, WIDEST_WINDOW, Sizes, research_of
from proxy.policy.money.weight import weigh, weigh_all, weigh_plain
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import endpoint_for
from proxy.wire.usage import Usage

D = Decimal
USD = 10**12
# One token of input costs 1 pusd here, one of output 1000.
PRICE = Price(D("1e-12"), D("1e-9"))
PIXELS = base64.b64encode(b"\x00" * 30_000).decode()


def call(path: str = "/chat/completions", **members: Any) -> Call:
    body = json.dumps({"model": "m", **members}).encode()
    return read_call(endpoint_for("POST", path), "POST", (path, ""), ("application/json", body))


def form(path: str, fields: dict[str, str], file: bytes) -> Call:
    parts = [f'--xx\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()]
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    body = b"".join([*parts, head, file, b"\r\n--xx--\r\n"])
    return read_call(endpoint_for("POST", path), "POST", (path, ""), ("multipart/form-data; boundary=xx", body))


def bound(asked: Call, price: Price = PRICE, sizes: Sizes | None = None) -> Bound:
    found = upper_bound(asked, price, sizes or Sizes())
    assert found is not None
    return found


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_text_is_bounded_by_its_bytes_and_output_by_its_maximum() -> None:
    asked = call(messages=user("ä" * 50), max_tokens=100)
    size = len(asked.body)
    assert bound(asked) == Bound(size, 100, size + 100_000, size, 1000, most_injected=100)
    assert bound(asked).at(300) == size + 300_000


def test_the_window_bounds_what_is_read() -> None:
    asked = call(messages=user("x" * 5000), max_tokens=1)
    assert bound(asked, sizes=Sizes(context_length=1000)).input_tokens == 1000
    assert bound(asked, sizes=Sizes(context_length=9000)).input_tokens == len(asked.body)


def test_a_window_below_a_tier_of_the_price_is_not_believed() -> None:
    tiered = Price(D(1), D(1), overrides=(Override((("input_usd", D(2)),), min_prompt_tokens=1000),))
    asked = call(messages=user("x" * 5000), max_tokens=1)
    assert bound(asked, tiered, Sizes(context_length=1000)).input_tokens == len(asked.body)
    assert bound(asked, tiered, Sizes(context_length=1001)).input_tokens == 1001


@pytest.mark.parametrize(
    ("path", "members", "due"),
    [
        ("/chat/completions", {"max_tokens": 5}, 5),
        ("/chat/completions", {"max_completion_tokens": 6}, 6),
        ("/chat/completions", {"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ("/chat/completions", {"max_tokens": 7, "max_completion_tokens": None}, 7),
        ("/chat/completions", {"max_output_tokens": 5}, 99),
        ("/chat/completions", {"max_tokens": "5"}, 5),
        ("/chat/completions", {"max_tokens": 5, "max_completion_tokens": "6e1"}, 99),
        ("/chat/completions", {"max_tokens": 5.0}, 5),
        ("/chat/completions", {"max_tokens": 5.5}, 99),
        ("/chat/completions", {"max_tokens": 500}, 99),
        ("/chat/completions", {"max_tokens": [5]}, 99),
        ("/chat/completions", {"max_tokens": True}, 99),
        ("/chat/completions", {"max_tokens": -1}, 99),
        ("/chat/completions", {"max_tokens": 0}, 99),
        ("/chat/completions", {}, 99),
        ("/completions", {"max_tokens": 5, "max_completion_tokens": 50}, 5),
        ("/responses", {"max_output_tokens": 5, "max_tokens": 50}, 5),
        ("/responses/compact", {"max_output_tokens": 5}, 99),
        ("/messages", {"max_tokens": 5}, 5),
    ],
)
def test_only_a_maximum_the_provider_heeds_bounds_the_output(path: str, members: dict[str, Any], due: int) -> None:
    assert bound(call(path, **members), sizes=Sizes(max_output=99)).output_tokens == due


@pytest.mark.parametrize(
    ("members", "sizes", "output", "is_assumed"),
    [
        ({}, Sizes(max_output=99), 99, False),
        ({}, Sizes(context_length=50, max_output=99), 50, False),
        ({}, Sizes(), 32_768, True),
        ({}, Sizes(context_length=8_000), 8_000, True),
        ({"max_tokens": 0}, Sizes(), 32_768, True),
        ({"max_tokens": 100_000}, Sizes(), 100_000, False),
        ({"max_tokens": 100_000}, Sizes(context_length=8_000), 8_000, False),
        ({"max_tokens": 100_000}, Sizes(max_output=99), 99, False),
    ],
)
def test_output_is_bounded_by_the_least_of_request_model_and_window(
    members: dict[str, Any], sizes: Sizes, output: int, is_assumed: bool
) -> None:
    found = bound(call(**members), sizes=sizes)
    assert (found.output_tokens, found.is_assumed) == (output, is_assumed)
    assert found.pusd == found.at(output)


def test_what_is_assumed_of_a_model_nobody_knows_is_the_operators_word() -> None:
    found = upper_bound(call(), PRICE, Sizes(), BudgetRules(unknown_maximum=500))
    assert found is not None and found.output_tokens == 500


def test_a_maximum_of_ours_leaves_room_for_the_prompt_in_the_window() -> None:
    asked = call(messages=user("x" * 3_500))
    found = bound(asked, sizes=Sizes(context_length=5_000, max_output=4_500))
    assert found.output_tokens == 4_500
    assert found.most_injected == 5_000 - -(-len(asked.body) * 2 // 7)
    assert bound(asked, sizes=Sizes(context_length=900)).most_injected == 1


@pytest.mark.parametrize(
    ("path", "members", "copies"),
    [
        ("/chat/completions", {"n": 3}, 3),
        ("/chat/completions", {"n": None}, 1),
        ("/chat/completions", {"n": "4"}, 4),
        ("/chat/completions", {"n": 2.0}, 2),
        ("/chat/completions", {"n": 0}, 1),
        ("/completions", {"n": 2, "best_of": 5}, 5),
        ("/completions", {"prompt": ["a", "b", "c"], "n": 2}, 6),
        ("/completions", {"prompt": [[1, 2], [3]]}, 2),
        ("/completions", {"prompt": [1, 2, 3]}, 1),
        ("/completions", {"prompt": "abc"}, 1),
        ("/responses", {"n": 9}, 1),
        ("/messages", {"n": 9}, 1),
    ],
)
def test_every_answer_is_paid_for(path: str, members: dict[str, Any], copies: int) -> None:
    assert bound(call(path, **members)).pusd_per_output_token == 1000 * copies


@pytest.mark.parametrize("members", [{"n": "many"}, {"n": 1.5}, {"n": True}, {"n": [2]}, {"best_of": {}}])
def test_a_number_of_answers_nobody_can_read_has_no_bound(members: dict[str, Any]) -> None:
    assert upper_bound(call("/completions", **members), PRICE, Sizes()) is None


def test_a_prediction_may_be_charged_as_output() -> None:
    plain = bound(call(max_tokens=1, prediction=None))
    predicted = call(max_tokens=1, prediction={"type": "content", "content": [{"type": "text", "text": "x" * 500}]})
    assert bound(predicted).pusd_without_output - plain.pusd_without_output > 500_000


IMAGES = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXELS}},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    {"type": "input_image", "image_url": "data:image/png;base64," + PIXELS},
    {"type": "input_image", "file_id": "file-1"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}},
    {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": PIXELS}}]},
    {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {"data": PIXELS}}]}},
]


@pytest.mark.parametrize("part", IMAGES)
@pytest.mark.parametrize(("path", "member"), [("/chat/completions", "messages"), ("/responses", "input")])
def test_an_image_counts_as_an_image_and_not_by_its_bytes(path: str, member: str, part: dict[str, Any]) -> None:
    tokens = bound(call(path, **{member: user(part)})).input_tokens
    assert IMAGE_TOKENS < tokens < IMAGE_TOKENS + 400


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "result": PIXELS},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": PIXELS}},
        {"type": "function_call_output", "output": [{"type": "input_image", "image_url": PIXELS}]},
    ],
)
def test_images_among_the_items_of_a_response_count_too(item: dict[str, Any]) -> None:
    assert IMAGE_TOKENS < bound(call("/responses", input=[item])).input_tokens < IMAGE_TOKENS + 300


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "data:image/png;base64," + PIXELS},
        {"type": "tool_use", "input": {"type": "image", "source": {"type": "base64", "data": PIXELS}}},
        {"type": "document", "source": {"type": "text", "data": PIXELS}},
        {"type": "image", "image_url": {"url": "https://example.org/a.png"}, "source": {"data": PIXELS}},
        "data:image/png;base64," + PIXELS,
        [[[[[[{"type": "image_url", "image_url": PIXELS}]]]]]],
        {"content": {"content": {"content": {"content": {"type": "image", "source": {"data": PIXELS}}}}}},
    ],
)
def test_text_that_looks_like_an_image_counts_by_its_bytes(part: Any) -> None:
    assert bound(call(messages=user(part))).input_tokens > len(PIXELS)


def test_names_of_members_may_be_escaped_and_still_count() -> None:
    body = b'{"model":"m","messages":[{"content":[{"t\\u0079pe":"ima\\u0067e_url","image_url":"https://x"}]}]}'
    asked = read_call(endpoint_for("POST", "/chat/completions"), "POST", ("/chat/completions", ""), ("", body))
    assert bound(asked).input_tokens > IMAGE_TOKENS


def test_images_have_a_rate_and_a_fee_of_their_own() -> None:
    asked = call(messages=user(IMAGES[0]), max_tokens=1)
    plain = bound(asked)
    assert bound(asked, Price(D("1e-12"), D(0), image_input_usd=D("1e-6"))).pusd_without_output > 10**6
    fee = bound(asked, Price(D("1e-12"), D("1e-9"), image_usd=D(1)))
    assert fee.pusd_without_output == plain.pusd_without_output + USD
    text = call(messages=user("x"), max_tokens=1)
    assert bound(text, Price(D("1e-12"), D(0), image_input_usd=D(1), audio_input_usd=D(1))).pusd_without_output < 1000


def test_the_model_says_how_many_tokens_an_image_may_be() -> None:
    assert bound(call(messages=user(IMAGES[1])), sizes=Sizes(image_tokens=48_200)).input_tokens > 48_200


def test_sound_is_bounded_by_its_length() -> None:
    part = {"type": "input_audio", "input_audio": {"data": PIXELS, "format": "wav"}}
    seconds = len(PIXELS) // 500
    asked = call(messages=user(part), max_tokens=1)
    assert seconds * 32 < bound(asked).input_tokens < seconds * 32 + 300
    assert (
        bound(asked, Price(D("1e-12"), D("1e-9"), audio_input_usd=D("1e-6"))).pusd_without_output > seconds * 32 * 10**6
    )


ELSEWHERE: list[tuple[str, dict[str, Any]]] = [
    ("/responses", {"previous_response_id": "resp_1"}),
    ("/responses", {"conversation": "conv_1"}),
    ("/messages", {"thread": {"type": "continue", "previous_message_id": "msg_1"}}),
    ("/responses", {"prompt": {"id": "pmpt_1"}}),
    ("/responses", {"input": [{"type": "item_reference", "id": "x"}]}),
    ("/responses", {"tools": [{"type": "mcp"}]}),
    ("/messages", {"container": "c"}),
    ("/messages", {"mcp_servers": [{"url": "https://x"}]}),
    ("/messages", {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
    ("/messages", {"messages": user({"type": "document", "source": {"type": "base64", "data": PIXELS}})}),
    ("/chat/completions", {"preset": "mine"}),
    ("/chat/completions", {"plugins": [{"id": "web-fetch"}]}),
    ("/chat/completions", {"messages": user({"type": "file", "file": {"file_data": PIXELS}})}),
    ("/chat/completions", {"messages": user({"type": "video_url", "video_url": {"url": "https://x"}})}),
    ("/chat/completions", {"messages": user({"type": "audio_url", "audio_url": {"url": "https://x"}})}),
    ("/chat/completions", {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
]


@pytest.mark.parametrize(("path", "members"), ELSEWHERE)
def test_what_lies_elsewhere_is_bounded_by_the_window_alone(path: str, members: dict[str, Any]) -> None:
    asked = call(path, **members)
    assert bound(asked, sizes=Sizes(context_length=200_000, max_output=1)).input_tokens == 200_000
    assert bound(asked, sizes=Sizes(max_output=1)).input_tokens == WIDEST_WINDOW


def test_a_thread_that_begins_is_in_the_body() -> None:
    asked = call("/messages", thread={"type": "create"})
    assert bound(asked, sizes=Sizes(context_length=200_000, max_output=1)).input_tokens <= len(asked.body)


def test_tools_add_what_nobody_sees() -> None:
    plain, tools = bound(call()), bound(call(tools=[{"type": "function", "function": {"name": "f"}}]))
    assert tools.input_tokens - plain.input_tokens > 1_024
    assert bound(call(tools=[])).input_tokens - plain.input_tokens < 20
    own = bound(call("/messages", tools=[{"type": "bash_20250124", "name": "bash"}, {"name": "f"}]))
    assert own.input_tokens - plain.input_tokens > 3_000


SEARCH = Price(D(0), D(0), web_search_usd=D("0.01"))
ADDED = {
    "type": "tool_addition",
    "tool": {"type": "tool_definition", "definition": {"type": "web_search_20260318", "max_uses": 3}},
}


@pytest.mark.parametrize(
    ("path", "members", "variant", "searches_usd"),
    [
        ("/chat/completions", {"web_search_options": {}}, "", "0.01"),
        ("/chat/completions", {"web_search_options": None}, "", "0"),
        ("/chat/completions", {"plugins": [{"id": "web"}]}, "", "0.015"),
        ("/chat/completions", {"plugins": [{"id": "web", "max_results": 30}]}, "", "0.035"),
        ("/chat/completions", {"plugins": [{"id": "web", "max_results": "x"}]}, "", "0.015"),
        ("/chat/completions", {"plugins": [{"id": "web", "enabled": False}]}, "", "0"),
        ("/chat/completions", {"plugins": [{"id": "response-healing"}, "x"]}, "", "0"),
        ("/chat/completions", {"plugins": "x"}, "", "0"),
        ("/chat/completions", {}, ":online", "0.015"),
        ("/chat/completions", {"web_search_options": {}}, ":online", "0.025"),
        ("/chat/completions", {"tools": [{"type": "openrouter:web_search"}]}, "", "0.075"),
        ("/chat/completions", {"tools": [{"type": "openrouter:datetime"}]}, "", "0"),
        ("/messages", {"tools": [{"type": "web_search_20250305", "max_uses": 3}]}, "", "0.03"),
        ("/responses", {"tools": [{"type": "web_search"}]}, "", "0.05"),
        ("/responses", {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]}]}, "", "0.05"),
        ("/chat/completions", {"search_parameters": {"mode": "auto", "max_search_results": 2}}, "", "0.05"),
        ("/chat/completions", {"search_parameters": {"mode": "off"}}, "", "0"),
        ("/responses", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "", "0.05"),
        ("/responses", {"tools": [{"type": "x_search"}], "max_tool_calls": 3}, "", "0.03"),
        ("/chat/completions", {"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]}, "", "2"),
        ("/responses", {"tools": [{"type": "web_search"}], "max_tool_calls": 2}, "", "0.02"),
        ("/responses", {"tools": [{"type": "web_search", "max_uses": 0}], "max_tool_calls": 0}, "", "0.05"),
        ("/responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "", "0.05"),
        ("/responses", {"tools": [{"type": "code_interpreter", "container": {"memory_limit": "64g"}}]}, "", "2"),
        ("/responses", {"tools": ["x", {"type": "custom"}, {"type": 5}, {"type": "local_shell"}]}, "", "0"),
        ("/responses", {"tools": "x"}, "", "0"),
        ("/responses", {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]}, "", "0.05"),
        ("/responses", {"input": [{"type": "tool_search_output", "tools": [{"type": "web_search"}]}]}, "", "0.05"),
        ("/responses", {"input": [{"type": "additional_tools", "tools": "x"}, "x"]}, "", "0"),
        ("/messages", {"messages": [{"role": "system", "content": [ADDED]}]}, "", "0.03"),
        ("/messages", {"messages": [{"role": "system", "content": [{**ADDED, "tool": "x"}, "x"]}]}, "", "0"),
    ],
)
def test_every_tool_that_may_run_is_paid_for(
    path: str, members: dict[str, Any], variant: str, searches_usd: str
) -> None:
    assert bound(call(path, **members), SEARCH, Sizes(variant=variant)).pusd_without_output == D(searches_usd) * USD


def test_a_search_without_a_price_costs_what_the_dearest_does() -> None:
    assert bound(call(web_search_options={}), Price(D(0), D(0))).pusd_without_output == D("0.05") * USD
    assert bound(call(plugins=[{"id": "web"}]), Price(D(0), D(0))).pusd_without_output == D("0.015") * USD


def test_a_model_that_searches_for_every_call_is_held_for_one_search() -> None:
    sizes, price = Sizes(searches=True), Price(D(0), D(0), web_search_usd=D("0.025"))
    for members in ({}, {"web_search_options": {}}, {"max_tokens": 5}):
        assert bound(call(**members), price, sizes).pusd_without_output == D("0.025") * USD
    assert slope_of(price, sizes, BudgetRules()) is None


@pytest.mark.parametrize(("results", "due"), [(None, "0.015"), (5, "0.015"), (25, "0.03"), ("25", "0.015")])
def test_openrouters_searches_cost_more_where_they_bring_more(results: Any, due: str) -> None:
    tool = {"type": "openrouter:web_search", "parameters": {"max_results": results}}
    assert bound(call(tools=[tool], max_tool_calls=1), Price(D(0), D(0))).pusd_without_output == D(due) * USD


@pytest.mark.parametrize("kind", ["openrouter:datetime", "openrouter:apply_patch"])
def test_what_openrouter_does_for_nothing_costs_nothing(kind: str) -> None:
    assert (
        bound(call("/responses", tools=[{"type": kind, "parameters": {"engine": "auto"}}]), Price(D(0), D(0))).pusd == 0
    )


def test_what_a_search_finds_is_read_and_paid_for() -> None:
    assert bound(call(web_search_options={})).input_tokens > 15_000


@pytest.mark.parametrize(("listed", "due"), [(None, "0.0125"), (D("0.01"), "0.05")])
def test_searches_in_files_are_paid_for(listed: Decimal | None, due: str) -> None:
    asked = call("/responses", tools=[{"type": "file_search"}])
    found = bound(asked, Price(D(0), D(0), file_search_usd=listed), Sizes(context_length=1000))
    assert found.pusd_without_output == D(due) * USD


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "teleport"}]},
        {"tools": [{"type": "openrouter:fusion"}]},
        {"tools": [{"type": "openrouter:advisor", "parameters": {"model": "anthropic/claude-opus-4.8"}}]},
        {"tools": [{"type": "openrouter:subagent", "parameters": {}, "name": "helper"}]},
        {"tools": [{"type": "advisor_20300101"}]},
        {"plugins": [{"id": "auto-router"}]},
    ],
)
def test_a_tool_whose_cost_nothing_bounds_leaves_no_bound(members: dict[str, Any]) -> None:
    assert upper_bound(call(**members), PRICE, Sizes(1000, 1000)) is None
    assert upper_bound(call(**members), PRICE, Sizes(1000, 1000), is_listed=False) is not None


CODEX = [
    {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
    {"type": "local_shell"},
    {"type": "shell"},
    {
        "type": "namespace",
        "name": "multi_agent_v1",
        "tools": [{"type": "function", "name": "spawn_agent"}, {"name": "x"}],
    },
    {"type": "apply_patch"},
    {"type": "computer_use_preview", "display_width": 1024},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "memory_20250818", "name": "memory"},
    {"type": "computer_toolset_20260801"},
    {"type": "browser_toolset_20260801", "configs": {}},
    {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    {"type": "unheard_of_20300101", "name": "f", "input_schema": {}},
    {"name": "no_type_at_all"},
]


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/messages"])
def test_what_runs_at_the_client_costs_nothing_beside_its_text(path: str) -> None:
    for tool in CODEX:
        asked = call(path, tools=[tool], max_tokens=1, max_output_tokens=1)
        assert bound(asked, Price(D(0), D(0))).pusd == 0
        assert bound(asked).input_tokens < len(asked.body) + 4_000
    assert bound(call(path, tools=[*CODEX, {"type": "web_search"}]), SEARCH).pusd_without_output == D("0.05") * USD


def test_a_picture_drawn_by_a_tool_costs_what_the_dearest_painter_does() -> None:
    tool = {"type": "image_generation", "size": "1024x1024", "quality": "high", "partial_images": 2}
    found = bound(call("/responses", tools=[tool], max_tool_calls=2), Price(D(0), D(0)))
    assert found.pusd == 2 * 7_300 * D("0.00004") * USD


def test_what_is_fetched_is_bounded_by_the_request_or_the_window() -> None:
    fetch = {"type": "web_fetch_20250910", "name": "web_fetch"}
    bounded = bound(call("/messages", tools=[{**fetch, "max_uses": 3, "max_content_tokens": 50_000}]))
    assert 150_000 < bounded.input_tokens < 155_000
    assert bound(call("/messages", tools=[fetch]), sizes=Sizes(context_length=200_000)).input_tokens == 200_000


def test_at_a_server_outside_the_lists_a_tool_costs_what_the_operator_says() -> None:
    asked = call("/responses", tools=[{"type": "web_search"}, {"type": "file_search"}, {"type": "code_interpreter"}])
    for price, due in ((Price(D(0), D(0)), 0), (Price(D(0), D(0), web_search_usd=D("0.01")), D("0.05") * USD)):
        found = upper_bound(asked, price, Sizes(), is_listed=False)
        assert found is not None and found.pusd == due


def test_how_often_a_tool_may_run_unasked_is_the_operators_word() -> None:
    asked = call("/responses", tools=[{"type": "web_search"}])
    found = upper_bound(asked, SEARCH, Sizes(), BudgetRules(tool_uses=2))
    assert found is not None and found.pusd_without_output == D("0.02") * USD


@pytest.mark.parametrize(
    ("path", "members", "window", "tokens"),
    [
        ("/embeddings", {"input": ["x" * 9_000] * 10}, 8_192, 81_920),
        ("/embeddings", {"input": ["x" * 97, "y" * 9_000]}, 8_192, 8_292),
        ("/embeddings", {"input": "x" * 9_000}, 8_192, 8_192),
        ("/embeddings", {"input": [[1] * 9_000, [2] * 10]}, 8_192, 8_202),
        ("/embeddings", {"input": [7] * 9_000}, 8_192, 8_192),
        ("/embeddings", {"input": [7] * 90}, 8_192, 90),
        ("/completions", {"prompt": ["x" * 9_000] * 20}, 4_096, 81_920),
        ("/completions", {"prompt": [[1] * 300] * 20}, 4_096, 6_000),
        ("/rerank", {"query": "q" * 97, "documents": ["x" * 97, {"text": "y" * 9_000}]}, 512, 200 + 512),
    ],
)
def test_an_array_is_read_item_by_item(path: str, members: dict[str, Any], window: int, tokens: int) -> None:
    assert bound(call(path, **members), sizes=Sizes(context_length=window)).input_tokens == tokens


def test_an_array_of_other_things_is_bounded_by_the_whole_body() -> None:
    for value in ([{"content": "x" * 900}], ["x" * 900, 5], [["a", 1]], {"a": "x" * 900}):
        asked = call("/embeddings", input=value)
        assert bound(asked, sizes=Sizes(context_length=10**6)).input_tokens == len(asked.body)


def test_a_request_has_its_fee() -> None:
    assert bound(call(), Price(D(0), D(0), request_usd=D("0.5"))).pusd == USD // 2


def test_a_fraction_of_a_pusd_is_held_in_full() -> None:
    found = bound(call(max_tokens=3), Price(D("1e-15"), D("1e-15")))
    assert (found.pusd_without_output, found.pusd_per_output_token) == (1, 1)


def test_the_dearest_rate_of_input_counts() -> None:
    asked = call(messages=user("x"), max_tokens=1)
    size = len(asked.body)
    assert bound(asked, Price(D("1e-12"), D(0), cached_input_usd=D("3e-12"))).pusd == 3 * size
    assert bound(asked, Price(D("1e-12"), D(0), cache_write_usd=D("3e-12"))).pusd == 3 * size
    assert bound(asked, Price(D("1e-12"), D(0), cache_write_1h_usd=D("3e-12"))).pusd == size


@pytest.mark.parametrize(
    ("price", "rate"),
    [
        (Price(D("1e-12"), D(0), cache_write_1h_usd=D("3e-12")), 3),
        (Price(D("1e-12"), D(0), doubles_hour_writes=True), 2),
        (Price(D("4e-12"), D(0), cache_write_usd=D("5e-12")), 10),
        (Price(D("1e-12"), D(0)), 1),
    ],
)
def test_an_hour_in_the_cache_counts_where_it_is_asked_for(price: Price, rate: int) -> None:
    asked = call("/messages", cache_control={"type": "ephemeral", "ttl": "1h"}, max_tokens=1)
    assert bound(asked, price).pusd == rate * len(asked.body)


HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("members", "is_asked"),
    [
        ({"system": [{"type": "text", "text": "x", "cache_control": HOUR}]}, True),
        ({"messages": user({"type": "text", "text": "x", "cache_control": HOUR})}, True),
        ({"messages": user({"type": "tool_result", "content": [{"type": "text", "cache_control": HOUR}]})}, True),
        ({"messages": user({"type": "image", "cache_control": HOUR})}, True),
        ({"messages": [{"role": "user", "content": "x", "cache_control": HOUR}]}, True),
        ({"tools": [{"name": "f", "cache_control": HOUR}]}, True),
        ({"tools": [{"type": "function", "function": {"name": "f", "cache_control": HOUR}}]}, True),
        ({"cache_control": {"type": "ephemeral", "ttl": "24h"}}, True),
        ({"prompt_cache_options": {"ttl": "12h"}}, True),
        ({"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}, False),
        (
            {
                "messages": user(
                    {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
                )
            },
            True,
        ),
        ({"messages": user({"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}})}, False),
        ({"cache_control": {"type": "ephemeral"}}, False),
        ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, False),
        ({"messages": user({"type": "text", "text": '{"cache_control": {"ttl": "1h"}}'})}, False),
        ({"system": "ttl 1h", "tools": ["x"], "cache_control": "1h"}, False),
    ],
)
def test_a_time_in_the_cache_is_found_wherever_it_may_stand(members: dict[str, Any], is_asked: bool) -> None:
    assert weigh(call("/messages", **members)).input_media.caches_for_hours is is_asked


def test_only_tiers_within_reach_count_and_all_hours_do() -> None:
    tiers = (
        Override((("input_usd", D("2e-12")), ("output_usd", D("2e-9"))), min_prompt_tokens=50),
        Override((("input_usd", D("9e-12")),), min_prompt_tokens=5000),
        Override((("output_usd", D("3e-9")),), utc_start=100, utc_end=101),
        Override((("output_usd", D("4e-9")),), understood=False),
    )
    asked = call(messages=user("x" * 100), max_tokens=10)
    found = bound(asked, Price(D("1e-12"), D("1e-9"), overrides=tiers))
    assert (found.pusd_without_output, found.pusd_per_output_token) == (2 * len(asked.body), 4000)


@pytest.mark.parametrize(
    ("members", "variant", "rate"),
    [
        ({"service_tier": "priority"}, "", 7),
        ({"service_tier": "flex"}, "", 2),
        ({"service_tier": "auto"}, "", 2),
        ({"service_tier": "scale"}, "", 5),
        ({"speed": "fast"}, "", 12),
        ({"inference_geo": "us"}, "", D("2.2")),
        ({"inference_geo": "global"}, "", 2),
        ({"service_tier": None}, "", 2),
        ({}, ":nitro", 7),
        ({"speed": "fast"}, ":nitro", 42),
    ],
)
def test_a_dearer_tier_of_service_is_held_for(members: dict[str, Any], variant: str, rate: Decimal) -> None:
    tiered = Price(D(0), D("2e-9"), variants=(("service_tier", "priority", Price(D(0), D("7e-9"))),))
    assert bound(call(**members), tiered, Sizes(variant=variant)).pusd_per_output_token == rate * 1000


def test_thoughts_pictures_and_sound_have_their_rates() -> None:
    rates = Price(D(0), D("1e-9"), reasoning_usd=D("2e-9"), audio_output_usd=D("3e-9"), image_output_usd=D("4e-9"))
    assert bound(call(), rates).pusd_per_output_token == 2000
    assert bound(call(modalities=["text", "audio"]), rates).pusd_per_output_token == 3000
    assert bound(call(modalities=["image"]), rates).pusd_per_output_token == 4000
    assert bound(call(image_config={"aspect_ratio": "1:1"}), rates).pusd_per_output_token == 4000
    assert bound(call(modalities="image"), rates).pusd_per_output_token == 2000


@pytest.mark.parametrize(
    ("members", "price"),
    [
        ({"modalities": ["image"]}, PRICE),
        ({"modalities": ["audio"]}, PRICE),
        ({}, Price(D(0), D(0), makes_images=True)),
        ({}, Price(D(0), D(0), character_usd=D(1))),
        ({}, Price(D(0), D(0), audio_second_usd=D(1))),
        ({}, Price(D(0), D(0), output_second_usd=D(1))),
        ({}, Price(D(0), D(0), page_usd=D(1))),
    ],
)
def test_output_without_a_price_of_its_kind_has_no_bound(members: dict[str, Any], price: Price) -> None:
    assert upper_bound(call(**members), price, Sizes()) is None


def test_what_is_only_read_has_no_output() -> None:
    asked = call("/embeddings", input=["x"] * 20)
    assert bound(asked) == Bound(len(asked.body), 0, len(asked.body), len(asked.body), 0)
    assert bound(call("/embeddings", input=user({"type": "video"}))).input_tokens == WIDEST_WINDOW


def test_ranks_are_charged_by_the_hundred() -> None:
    price = Price(D(0), D(0), request_usd=D("0.002"))
    assert bound(call("/rerank", query="q", documents=["x"] * 10), price).pusd == D("0.002") * USD
    assert bound(call("/rerank", query="q", documents=["x"] * 210), price).pusd == D("0.006") * USD
    assert bound(call("/rerank", query="q", documents=["x" * 60_000]), price).pusd == D("0.004") * USD


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        ({"size": "1024x1024", "quality": "high"}, 7_200),
        ({"size": "1024x1536", "quality": "high"}, 10_750),
        ({"size": "1024x1024", "quality": "medium"}, 2_467),
        ({"size": "1024x1024", "quality": "low"}, 1_400),
        ({"size": "1024x1024", "quality": "auto", "n": 3}, 21_600),
        ({"size": "1024x1024", "partial_images": 3}, 7_400),
        ({}, 10_750),
        ({"size": "auto", "resolution": "4K"}, 170_500),
        ({"resolution": "8K"}, 170_500),
        ({"size": "huge"}, 170_500),
    ],
)
def test_a_picture_costs_by_its_area_and_quality(members: dict[str, Any], tokens: int) -> None:
    painter = Price(D(0), D(0), image_output_usd=D("1e-12"))
    for path in ("/images", "/images/generations"):
        assert bound(call(path, prompt="a cat", **members), painter).pusd == tokens


def test_known_pictures_stay_below_their_bound() -> None:
    known = {("low", "1024x1024"): 272, ("medium", "1536x1024"): 1568, ("high", "1024x1536"): 6240}
    painter = Price(D(0), D(0), image_output_usd=D("1e-12"))
    for (quality, size), tokens in known.items():
        assert tokens <= (bound(call("/images/generations", size=size, quality=quality), painter).pusd or 0)


def test_pictures_may_have_a_price_each_by_quality_and_size() -> None:
    listed = (("", "", D("0.02")), ("high", "1024x1024", D("0.08")), ("low", "1024x1024", D("0.01")))
    painter = Price(D(0), D(0), pictures=listed)
    for members, due in (({}, "0.08"), ({"quality": "low", "size": "1024x1024", "n": 3}, "0.03")):
        assert bound(call("/images/generations", prompt="a cat", **members), painter).pusd == D(due) * USD


def test_pictures_may_have_a_fee_each_or_no_bound() -> None:
    asked = call("/images/generations", prompt="a cat", n=2)
    assert bound(asked, Price(D(0), D(0), image_usd=D("0.04"))).pusd == D("0.08") * USD
    assert upper_bound(asked, PRICE, Sizes()) is None
    assert upper_bound(call("/images", n="x"), Price(D(0), D(0), image_usd=D(1)), Sizes()) is None


@pytest.mark.parametrize(
    ("members", "images"),
    [
        ({"image": "data:image/png;base64," + PIXELS}, 1),
        ({"images": [{"image_url": "https://x"}, {"image_url": {"url": "https://y"}}, {"file_id": "z"}]}, 3),
        ({"input_references": [{"type": "image_url", "image_url": {"url": "data:;base64," + PIXELS}}]}, 1),
        ({"image": ["a", None], "mask": "b"}, 2),
    ],
)
def test_pictures_to_work_from_are_read(members: dict[str, Any], images: int) -> None:
    found = bound(call("/images/edits", prompt="more", **members), Price(D(0), D(0), image_output_usd=D(0)))
    assert images * IMAGE_TOKENS < found.input_tokens < images * IMAGE_TOKENS + 300


def test_a_form_counts_its_files_apart_from_its_text() -> None:
    painter = Price(D("1e-12"), D(0), image_output_usd=D("1e-9"))
    asked = form("/images/edits", {"model": "m", "prompt": "a cat", "size": "1024x1024", "n": "2"}, b"x" * 9_000)
    found = bound(asked, painter)
    assert IMAGE_TOKENS < found.input_tokens < IMAGE_TOKENS + 400
    assert found.pusd == found.input_tokens + 2 * 7_200_000


def test_speech_costs_by_the_character_or_the_token() -> None:
    asked = call("/audio/speech", input="é" * 100)
    assert bound(asked, Price(D(0), D(0), character_usd=D("1e-12"))).pusd == 100
    opaque = call("/audio/speech", input=["é"])
    assert bound(opaque, Price(D(0), D(0), character_usd=D("1e-12"))).pusd == len(opaque.body)
    size = len(asked.body)
    assert bound(asked, Price(D("1e-12"), D("1e-9"))).pusd == size + size * 10 * 1000
    assert upper_bound(asked, Price(D(0), D(0), audio_second_usd=D(1)), Sizes()) is None


def test_transcripts_cost_by_the_second_or_the_token() -> None:
    asked = form("/audio/transcriptions", {"model": "m"}, b"x" * 49_900)
    assert bound(asked, Price(D(0), D(0), audio_second_usd=D("1e-12"))).pusd == 100
    found = bound(asked, Price(D("1e-12"), D("1e-9"), audio_input_usd=D("2e-12")))
    assert found.pusd == 2 * found.input_tokens + 100 * 32 * 1000
    both = bound(asked, Price(D("1e-12"), D("1e-9"), audio_second_usd=D("1e-6")))  # as Voxtral Small
    assert both.pusd == found.input_tokens + 100 * (32 * 1000 + 1_000_000)
    assert upper_bound(asked, Price(D(0), D(0), character_usd=D(1)), Sizes()) is None


def wav(*terms: int, samples: int, behind: bytes = b"") -> bytes:
    """A WAV file; `terms`: the kind of its samples, channels, rate, bits, and the kind where the first says more follows."""
    kind, channels, rate, bits, *inner = terms
    said = struct.pack("<4sIHHIIHH", b"fmt ", 40 if inner else 16, kind, channels, rate, 0, 0, bits)
    said += struct.pack("<HHIH14x", 22, bits, 0, inner[0]) if inner else b""
    return b"RIFF\0\0\0\0WAVE" + said + behind + b"data\0\0\0\0" + b"\0" * samples


# (a file of about a minute of 16 kHz speech, the seconds held for)
SPEECH = 60 * 32_000
FILES: list[tuple[bytes, range]] = [
    (wav(1, 1, 16_000, 16, samples=SPEECH), range(60, 62)),
    (wav(0xFFFE, 2, 44_100, 24, 1, samples=60 * 264_600), range(60, 62)),
    (wav(7, 1, 8_000, 8, samples=60 * 8_000), range(60, 62)),
    (wav(1, 1, 10, 8, samples=50_000), range(100, 102)),  # slower than any sound
    *(
        (file, range(3840, 3843))
        for file in (
            wav(0x55, 1, 16_000, 16, samples=SPEECH),  # MP3 in it
            wav(0xFFFE, 1, 16_000, 16, 0x55, samples=SPEECH),
            wav(0xFFFE, 1, 16_000, 16, samples=SPEECH),
            wav(1, 1, 16_000, 13, samples=SPEECH),
            wav(1, 0, 16_000, 16, samples=SPEECH),
            wav(1, 1, 4_000_000, 16, samples=SPEECH),
            wav(1, 1, 16_000, 16, samples=SPEECH, behind=b"fmt "),
            b"RIFF\0\0\0\0AVI " + b"x" * SPEECH,
            b"RIFF\0\0\0\0WAVEJUNK" + b"x" * SPEECH,
        )
    ),
]


@pytest.mark.parametrize(("file", "seconds"), FILES)
def test_a_wav_is_held_for_the_seconds_it_has(file: bytes, seconds: range) -> None:
    asked = form("/audio/transcriptions", {"model": "m"}, file)
    assert bound(asked, Price(D(0), D(0), audio_second_usd=D("1e-12"))).pusd in seconds


def test_the_head_of_a_wav_that_is_cut_off_says_nothing() -> None:
    asked = form("/audio/transcriptions", {"model": "m"}, b"RIFF\0\0\0\0WAVEfmt \x10")
    assert bound(asked, Price(D(0), D(0), audio_second_usd=D("1e-12"))).pusd == 1


def test_a_transcript_may_be_asked_for_in_json() -> None:
    asked = call("/audio/transcriptions", input_audio={"data": "A" * 50_000, "format": "wav"})
    assert bound(asked, Price(D(0), D(0), audio_second_usd=D("1e-12"))).pusd == 100
    lost = call("/audio/transcriptions", input_audio={"url": "https://x"})
    assert upper_bound(lost, PRICE, Sizes()) is None


@pytest.mark.parametrize(("method", "path"), [("POST", "/videos"), ("GET", "/models"), ("POST", "/unheard/of")])
def test_what_no_row_bounds_has_no_bound(method: str, path: str) -> None:
    asked = read_call(endpoint_for(method, path), method, (path, ""), ("", b"{}"))
    assert upper_bound(asked, PRICE, Sizes(1, 1)) is None


def test_an_empty_body_reads_nothing() -> None:
    asked = read_call(endpoint_for("POST", "/embeddings"), "POST", ("/embeddings", ""), ("", b""))
    assert bound(asked).pusd == 0


def test_the_defaults_of_an_alias_count_as_asked_for() -> None:
    asked = call(messages=user("x"))
    weight = weigh(asked, (("max_tokens", b"7"), ("n", b"3"), ("model", b'"ignored"')))
    found = upper_bound(weight, PRICE, Sizes())
    assert found is not None
    assert (found.output_tokens, found.pusd_per_output_token) == (7, 3000)
    assert found.input_tokens > len(asked.body)
    assert weigh(asked, (("cache_control", b'{"ttl":"1h"}'),)).input_media.caches_for_hours
    own = weigh(call(max_tokens=9), (("max_tokens", b"7"),))
    assert own.requested.maximum == 9


def test_limits_on_tokens_reserve_what_is_likely() -> None:
    asked = call(messages=user("x" * 3500), max_tokens=100, n=2)
    assert weigh(asked).likely_tokens == -(-len(asked.body) * 2 // 7) + 200
    assert weigh(call(messages=user(IMAGES[0]))).likely_tokens < 1_100


def test_the_dearest_of_several_models_bounds_them_all() -> None:
    one, two = Bound(5, 10, 105, 5, 10, False, 9), Bound(6, 8, 166, 6, 20, True, 7)
    assert dearest([one, two]) == Bound(6, 10, 166, 6, 20, True, 7)
    assert dearest([one, None]) is None
    assert dearest([]) is None


rates = st.decimals(0, 1, places=15, allow_nan=False)
maybe = st.none() | rates


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Any price of text, with tiers by size and by hour."""
    overrides = draw(
        st.lists(
            st.builds(
                Override,
                st.lists(
                    st.tuples(st.sampled_from(("input_usd", "output_usd", "cache_write_usd")), rates), max_size=3
                ).map(tuple),
                min_prompt_tokens=st.none() | st.integers(0, 400),
                utc_start=st.none() | st.integers(0, 2359),
                utc_end=st.none() | st.integers(0, 2359),
            ),
            max_size=3,
        )
    )
    return Price(
        draw(rates),
        draw(rates),
        cached_input_usd=draw(maybe),
        cache_write_usd=draw(maybe),
        cache_write_1h_usd=draw(maybe),
        reasoning_usd=draw(maybe),
        request_usd=draw(maybe),
        doubles_hour_writes=draw(st.booleans()),
        overrides=tuple(overrides),
    )


@settings(max_examples=300)
@given(st.data(), prices(), st.text(max_size=200), st.integers(1, 500), st.integers(1, 4))
def test_no_call_costs_more_than_its_hold(data: st.DataObject, price: Price, text: str, most: int, copies: int) -> None:
    asked = call("/chat/completions", messages=user(text), max_tokens=most, n=copies, cache_control={"ttl": "1h"})
    # One token a byte is the most; real prompts hold the text and some marks around it.
    read = data.draw(st.integers(0, len(text.encode()) + 8))
    cached = data.draw(st.integers(0, read))
    written = data.draw(st.integers(0, read - cached))
    said = data.draw(st.integers(0, most * copies))
    usage = Usage(
        read,
        said,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=data.draw(st.integers(0, written)),
        reasoning_tokens=data.draw(st.integers(0, said + 5)),
    )
    cost = cost_usd(usage, price, data.draw(st.integers(0, 2359)), Extra())
    found = bound(asked, price)
    assert cost is not None and found.pusd is not None
    assert to_pusd(cost.usd) <= found.pusd
    assert to_pusd_up(cost.usd) <= found.pusd


PICO = st.integers(0, 10**8).map(lambda pusd: D(pusd).scaleb(-12))


@given(
    price=st.builds(
        Price,
        PICO,
        PICO,
        cached_input_usd=st.none() | PICO,
        reasoning_usd=st.none() | PICO,
        request_usd=st.none() | PICO,
    ),
    sizes=st.builds(Sizes, st.none() | st.integers(1, 3000), st.none() | st.integers(1, 3000)),
    text=st.text(max_size=900),
    maximum=st.none() | st.integers(1, 5000),
    tools=st.sampled_from([None, [], [{"type": "function", "function": {"name": "f"}}], [{"type": "bash_20250124"}]]),
)
def test_a_line_bounds_plain_chats_as_working_each_out_does(
    price: Price, sizes: Sizes, text: str, maximum: int | None, tools: list[Any] | None
) -> None:
    limit = {"tools": tools} if maximum is None else {"max_tokens": maximum, "tools": tools}
    asked = call(messages=[{"role": "user", "content": text.encode("ascii", "ignore").decode()}], **limit)
    slope = slope_of(price, sizes, BudgetRules())
    assert slope is not None
    weight = weigh_plain(asked)
    assert weight is not None
    found, first = slope.bound(weight.text_tokens, maximum), slope.bound(0, maximum)
    assert found == upper_bound(weigh_all(asked), price, sizes)
    assert found.pusd == first.pusd + slope.pusd_per_input_token * min(weight.text_tokens, slope.window)
    for may_lower in (True, False):
        assert ample_pusd(found, may_lower) - found.pusd == ample_pusd(first, may_lower) - first.pusd


@pytest.mark.parametrize(
    ("price", "sizes"),
    [
        (Price(D("1.5e-12"), D("1e-9")), Sizes()),
        (Price(D("1e-12"), D("1e-9"), makes_images=True), Sizes()),
        (Price(D("1e-12"), D("1e-9"), audio_second_usd=D("1e-9")), Sizes()),
        (Price(D("1e-12"), D("1e-9"), overrides=(Override((("input_usd", D(1)),), 9),)), Sizes()),
        (PRICE, Sizes(variant=":online")),
        (PRICE, Sizes(variant=":nitro")),
    ],
)
def test_what_no_line_bounds(price: Price, sizes: Sizes) -> None:
    assert slope_of(price, sizes, BudgetRules()) is None


def test_research_that_no_maximum_ends_is_held_for_all_it_can_think_and_read() -> None:
    """Perplexity's deep research: recorded calls put out 7,000 tokens, and thought and read ten times that."""
    sizes = Sizes(context_length=128_000, max_output=128_000, research=research_of("sonar-deep-research"))
    price = Price(D("0.000002"), D("0.000008"), reasoning_usd=D("0.000003"), web_search_usd=D("0.005"))
    found = bound(call(max_tokens=10), price, sizes)
    assert (found.input_tokens, found.output_tokens) == (128_000, 128_000)
    assert found.pusd == (D("0.256") + D("1.024") + 5 * D("0.005")) * USD


def test_research_whose_maximum_counts_is_held_for_what_it_can_read() -> None:
    sizes = Sizes(context_length=200_000, max_output=100_000, research=research_of("openai/o4-mini-deep-research"))
    found = bound(call(max_tokens=10), PRICE, sizes)
    assert (found.input_tokens, found.output_tokens) == (200_000, 10)
    searching = bound(call("/responses", max_output_tokens=10, tools=[{"type": "web_search_preview"}]), PRICE, sizes)
    assert searching.input_tokens < 80_000
    assert research_of("openai/gpt-5") == "none"


COMPACTED = [
    (
        "/messages",
        {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 90_000}}]},
        90_000,
    ),
    ("/messages", {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]}, 50_000),
    ("/responses", [{"type": "compaction", "compact_threshold": 60_000}], 60_000),
]


@pytest.mark.parametrize(("path", "management", "least"), COMPACTED)
def test_a_prompt_that_may_be_compacted_is_held_for_twice(path: str, management: Any, least: int) -> None:
    """A summary is a run of its own (`usage.iterations`), which reads all of it and writes as much as it may."""
    sizes = Sizes(context_length=200_000, max_output=64_000)
    field = "max_tokens" if path == "/messages" else "max_output_tokens"
    for size, runs in ((least, 2), (least // 2, 1)):
        members = {field: 1000, "input" if path == "/responses" else "system": "x" * size}
        found = bound(call(path, **members, context_management=management), PRICE, sizes)
        once = found.input_tokens * PRICE.input_usd + 1000 * PRICE.output_usd
        assert found.pusd == runs * once * USD


def test_at_a_server_nobody_lists_a_name_makes_no_research() -> None:
    sizes = Sizes(context_length=200_000, max_output=100_000, research=research_of("house/sonar-deep-research"))
    found = upper_bound(call(max_tokens=10), PRICE, sizes, is_listed=False)
    assert found is not None and found.output_tokens == 10 and found.input_tokens < 1000
