"""The official SDKs against the mock: what they can parse, an app can be tested with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal

import anthropic
import openai
import pytest
from pydantic import BaseModel

from proxy.mock.server import MockServer

HI = [{"role": "user", "content": "one two three"}]


class City(BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


@pytest.fixture(params=["openrouter", "openai"])
def client(request: pytest.FixtureRequest, threaded: MockServer) -> Iterator[openai.OpenAI]:
    base_url = threaded.base_url if request.param == "openrouter" else threaded.openai_url
    with openai.OpenAI(base_url=base_url, api_key="sk-any", max_retries=0) as one:
        yield one


@pytest.fixture(params=["anthropic", "openrouter"])
def claude(request: pytest.FixtureRequest, threaded: MockServer) -> Iterator[anthropic.Anthropic]:
    base_url = threaded.anthropic_url if request.param == "anthropic" else threaded.root + "/api"
    with anthropic.Anthropic(base_url=base_url, api_key="sk-any", max_retries=0) as one:
        yield one


def test_openai_chat(client: openai.OpenAI, threaded: MockServer) -> None:
    reply = client.chat.completions.create(model="mock/echo", messages=HI)
    assert reply.choices[0].message.content == "one two three"
    assert reply.usage.total_tokens == 7
    assert threaded.bill.rows[0].id == reply.id


def test_openai_stream(client: openai.OpenAI, threaded: MockServer) -> None:
    options = {"include_usage": True}
    with client.chat.completions.create(model="mock/echo", messages=HI, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == "one two three"
    assert chunks[-1].usage.completion_tokens == 3
    assert threaded.bill.total == Decimal("0.00001")


def test_openai_tools_and_structured_output(client: openai.OpenAI) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    reply = client.chat.completions.create(model="mock/tool", messages=HI, tools=[tool])
    assert reply.choices[0].finish_reason == "tool_calls"
    assert reply.choices[0].message.tool_calls[0].function.name == "look"
    parsed = client.chat.completions.parse(model="mock/json", messages=HI, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="mock", inhabitants=0, rivers=[])


def test_openai_completions(client: openai.OpenAI) -> None:
    assert client.completions.create(model="mock/echo", prompt="hi there").choices[0].text == "hi there"
    with client.completions.create(model="mock/echo", prompt="hi there", stream=True) as stream:
        assert "".join(choice.text for chunk in stream for choice in chunk.choices) == "hi there"


def test_openai_responses(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="mock/echo", input="one two")
    assert (reply.output_text, reply.usage.output_tokens, reply.status) == ("one two", 2, "completed")
    with client.responses.stream(model="mock/reasoning", input="one two") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == "one two"
    assert client.responses.parse(model="mock/json", input="x", text_format=City).output_parsed.name == "mock"


def test_openai_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="mock/echo", input=["a", "b"])
    plain = client.embeddings.create(model="mock/echo", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert packed.data[0].embedding != packed.data[1].embedding
    assert len(client.embeddings.create(model="mock/echo", input="a", dimensions=3).data[0].embedding) == 3


def test_openai_images(client: openai.OpenAI, threaded: MockServer) -> None:
    picture = ("sun.png", io.BytesIO(b"png"), "image/png")
    made = client.images.generate(model="mock/echo", prompt="sun", n=2, quality="low")
    assert len(made.data) == 2
    assert threaded.bill.total == Decimal("0.000001") + 2 * 272 * Decimal("0.00003")
    assert client.images.edit(model="mock/echo", image=picture, prompt="moon").data[0].b64_json
    with pytest.deprecated_call():
        assert client.images.create_variation(model="mock/echo", image=picture, n=1).data[0].b64_json


def test_openai_audio(client: openai.OpenAI) -> None:
    sound = ("a.wav", b"\x00" * 10, "audio/wav")
    assert client.audio.speech.create(model="mock/echo", input="hi", voice="alloy").content.startswith(b"ID3")
    assert client.audio.transcriptions.create(model="mock/echo", file=sound).text == "This is what the mock heard."
    with pytest.deprecated_call():
        text = client.audio.translations.create(model="mock/echo", file=sound, response_format="text")
    assert text == "This is what the mock heard.\n"


def test_openai_files_moderations_and_models(client: openai.OpenAI) -> None:
    file = client.files.create(file=("a.txt", b"text"), purpose="user_data")
    assert [one.id for one in client.files.list()] == [file.id]
    assert client.files.content(file.id).content == b"text"
    assert client.files.delete(file.id).deleted
    assert not client.moderations.create(input="fine").results[0].flagged
    assert "slow" in {model.id.removeprefix("mock/") for model in client.models.list()}


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("mock/error?status=429", openai.RateLimitError),
        ("mock/auth", openai.AuthenticationError),
        ("mock/error?status=404", openai.NotFoundError),
        ("mock/error?status=503", openai.InternalServerError),
        ("mock/cut", openai.APIConnectionError),
        ("mock/garbage", openai.APIConnectionError),
        ("mock/slow?tokens=x", openai.BadRequestError),
    ],
)
def test_openai_errors_are_the_ones_apps_catch(client: openai.OpenAI, model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=HI)


def test_openai_sees_an_error_inside_a_stream(client: openai.OpenAI) -> None:
    with (
        pytest.raises(openai.APIError),
        client.chat.completions.create(model="mock/mid-stream-error", messages=HI, stream=True) as stream,
    ):
        list(stream)


def test_openai_retries_a_fault_that_passes(threaded: MockServer) -> None:
    with openai.OpenAI(base_url=threaded.base_url, api_key="sk-any", max_retries=2) as client:
        model = "mock/error?status=429&retry_after_ms=1&times=2"
        assert client.chat.completions.create(model=model, messages=HI).choices[0].finish_reason == "stop"
    assert [row.status for row in threaded.bill.rows] == [429, 429, 200]


def test_anthropic_messages(claude: anthropic.Anthropic, threaded: MockServer) -> None:
    reply = claude.messages.create(model="mock/echo", max_tokens=50, messages=HI, system="short")
    assert (reply.content[0].text, reply.stop_reason) == ("one two three", "end_turn")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (5, 3)
    assert threaded.bill.rows[0].id == reply.id
    assert claude.messages.count_tokens(model="mock/echo", messages=HI).input_tokens == 4


def test_anthropic_stream(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model="mock/reasoning", max_tokens=50, messages=HI) as stream:
        assert "".join(stream.text_stream) == "one two three"
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.usage.output_tokens == 8


def test_anthropic_tools(claude: anthropic.Anthropic) -> None:
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
    with claude.messages.stream(model="mock/tool", max_tokens=50, messages=HI, tools=[tool]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.content[0].name, final.content[0].input) == ("tool_use", "look", {"at": "mock"})


def test_anthropic_errors_are_the_ones_apps_catch(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model="mock/error?status=429", max_tokens=5, messages=HI)
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model="mock/error?status=529", max_tokens=5, messages=HI)
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_anthropic_lists_models(threaded: MockServer) -> None:
    with anthropic.Anthropic(base_url=threaded.anthropic_url, api_key="sk-any") as claude:
        assert "echo" in {model.id for model in claude.models.list()}
