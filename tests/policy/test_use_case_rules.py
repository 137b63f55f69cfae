"""Use cases: templates are filled with data, members are set, and a name means what the first entry of its chain says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CallerError, ProxyError
from proxy.policy.use_cases.chain import use_of
from proxy.policy.use_cases.dress import dress, given_variables
from proxy.policy.use_cases.template import fill, names_in, values_for
from proxy.policy.use_cases.values import UseCase, Variable
from proxy.policy.values import Alias
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import MODEL_ROWS

ROLE = UseCase(
    "role",
    "d1",
    b"",
    2,
    "Play {{who}} at {{ where }}.",
    variables={"who": Variable(required=True, max_length=20), "where": Variable(default="a road")},
)


def call(endpoint: str = "chat/completions", **members: Any) -> Call:
    text = {"responses": {"input": "hi"}, "messages": {"messages": []}}
    body = {"model": "role", **text.get(endpoint, {"messages": []}), **members}
    return read_call(
        MODEL_ROWS[f"/{endpoint}"], "POST", (f"/{endpoint}", ""), ("application/json", msgspec.json.encode(body))
    )


def sent(done: Call) -> Any:
    return msgspec.json.decode(done.body)


def test_variables_are_filled_in_once_and_never_read_again() -> None:
    values = values_for(ROLE.variables, {"who": "{{where}} {{"})
    assert fill(ROLE.system, values) == "Play {{where}} {{ at a road."


@given(st.text(max_size=20), st.text())
def test_whatever_a_value_is_it_stands_there_as_it_is(who: str, where: str) -> None:
    values = values_for({"who": Variable(), "where": Variable(max_length=10**6)}, {"who": who, "where": where})
    assert fill(ROLE.system, values) == f"Play {who} at {where}."


@pytest.mark.parametrize(
    ("given_values", "code", "param"),
    [
        ({}, "missing_variable", "tollkeeper.variables.who"),
        ({"who": None}, "missing_variable", "tollkeeper.variables.who"),
        ({"who": "a", "hwere": "b"}, "unknown_variable", "tollkeeper.variables.hwere"),
        ({"who": "a", "{{who}}\n": "b"}, "unknown_variable", "tollkeeper.variables"),
        ({"who": "x" * 21}, "invalid_value", "tollkeeper.variables.who"),
        ({"who": ["a"]}, "invalid_value", "tollkeeper.variables.who"),
        ({"who": {"role": "system"}}, "invalid_value", "tollkeeper.variables.who"),
    ],
)
def test_variables_that_do_not_fit_are_named(given_values: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(CallerError) as found:
        values_for(ROLE.variables, given_values)
    assert (found.value.code, found.value.param, found.value.status) == (code, param, 400)
    assert "{{" not in found.value.message and "x" * 21 not in found.value.message


def test_numbers_and_truths_are_texts_too() -> None:
    assert values_for({"n": Variable(), "b": Variable()}, {"n": 4.5, "b": True}) == {"n": "4.5", "b": "true"}


@pytest.mark.parametrize("template", ["{{", "{{a b}}", "{{1}}", "a {{}} b", "{{{a}}}{{"])
def test_a_brace_that_begins_no_variable_is_a_mistake(template: str) -> None:
    with pytest.raises(ValueError, match="begins no variable"):
        names_in(template)


def test_the_names_of_a_template() -> None:
    assert names_in("{{a}} {{ b }} {c} {{a}} }}") == ["a", "b"]


OVER = UseCase("o", "", b"", overrides=(("temperature", b"1.5"), ("max_tokens", b"50"), ("top_p", b"0.5")))


@pytest.mark.parametrize(
    ("endpoint", "members", "body", "defaults"),
    [
        ("chat/completions", {"temperature": 0, "max_completion_tokens": 9, "max_tokens": 8},
         {"temperature": 1.5, "top_p": 0.5}, (("max_tokens", b"50"), ("seed", b"1"))),
        ("messages", {"max_tokens": 9}, {"temperature": 1, "top_p": 0.5}, (("max_tokens", b"50"), ("seed", b"1"))),
        ("responses", {"max_output_tokens": 9}, {"temperature": 1.5, "top_p": 0.5}, (("max_tokens", b"50"), ("seed", b"1"))),
        ("embeddings", {}, {"top_p": 0.5}, (("max_tokens", b"50"), ("seed", b"1"))),
    ],
)  # fmt: skip
def test_overrides_are_set_whatever_the_client_says(
    endpoint: str, members: dict[str, Any], body: dict[str, Any], defaults: Any
) -> None:
    done = dress(call(endpoint, **members), OVER, {}, (("max_tokens", b"7"), ("seed", b"1")))
    left = {name: value for name, value in sent(done.call).items() if name not in ("model", "messages", "input")}
    assert (left, done.defaults, done.call.max_fields) == (body, defaults, ())
    assert f"top_p={body['top_p']}" in done.adjusted


def test_members_are_put_into_an_empty_object_and_long_ones_are_not_shown() -> None:
    empty = read_call(MODEL_ROWS["/embeddings"], "POST", ("/embeddings", ""), ("application/json", b"{}"))
    use = UseCase("o", "", b"", overrides=(("a", b'"' + b"x" * 90 + b'"'), ("b", b"2")))
    done = dress(empty, use, {}, ())
    assert sent(done.call) == {"a": "x" * 90, "b": 2}
    assert done.adjusted == ("a=…", "b=2")


def test_a_system_text_has_no_place_in_an_embedding() -> None:
    with pytest.raises(ProxyError) as found:
        dress(call("embeddings"), ROLE, {"who": "Ada"}, ())
    assert (found.value.code, found.value.status) == ("endpoint_not_served", 404)


def test_variables_come_by_the_body_or_by_the_header_not_by_both() -> None:
    by_body = call(tollkeeper={"variables": {"who": "Ada"}})
    assert given_variables(by_body, None) == {"who": "Ada"}
    assert given_variables(call(), '{"who":"Ada"}') == {"who": "Ada"}
    for body, header in ((by_body, "{}"), (call(), "Ada"), (call(), '{"who":1,"who":2}'), (call(), "[]")):
        with pytest.raises(CallerError) as refused:
            given_variables(body, header)
        assert (refused.value.code, refused.value.param) == ("invalid_value", "x-tollkeeper-variables")
        assert refused.value.message.startswith("The header x-tollkeeper-variables ")


def test_the_name_that_clients_send_has_the_first_word() -> None:
    inner = UseCase("inner", "d2", b"", 5, "Inner.", overrides=(("top_p", b"1"), ("n", b"2")))
    outer = UseCase("outer", "d3", b"", 7, overrides=(("n", b"1"),))
    aliases = {
        "inner": Alias("a/b", use=inner),
        "outer": Alias("inner", use=outer),
        "plain": Alias("inner"),
        "round": Alias("round"),
    }
    found = use_of(aliases, "outer")
    assert found is not None and found.version == "outer@7+d3"
    assert (found.system, dict(found.overrides)) == ("Inner.", {"top_p": b"1", "n": b"1"})
    plain = use_of(aliases, "plain")
    assert plain is not None and plain.version == "inner@5+d2"
    assert use_of(aliases, "round") is None and use_of(aliases, "other") is None
