"""The official openai SDK, unchanged, through the real daemon process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import openai
import pytest
from harness.daemon import Daemon
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

KEY = "sk-alice-sdk-test"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two three four"}]


class Answer(BaseModel):
    """A structured output."""

    city: str
    degrees: int


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=daemon.url, api_key=KEY, max_retries=0) as sdk:
        yield sdk


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/gpt-4o-mini", "direct/gpt-4o", "claude/claude-sonnet-4-5", "house"]
)
def test_chat(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(model=model, messages=HELLO)
    assert reply.choices[0].message.content == ("one two three" if model == "house" else "one two three four")
    assert reply.usage is not None and reply.usage.completion_tokens in (3, 4)


@pytest.mark.parametrize("model", ["gpt-4o", "direct/gpt-4o", "claude/claude-sonnet-4-5"])
@pytest.mark.parametrize("ask", [True, False])
def test_a_stream_has_its_usage_exactly_when_the_client_asked(
    client: openai.OpenAI, daemon: Daemon, model: str, ask: bool
) -> None:
    options = {"stream_options": {"include_usage": True}} if ask else {}
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, stream=True, extra_body=options)
    events = list(raw.parse())
    text = "".join(choice.delta.content or "" for event in events for choice in event.choices)
    assert text == "one two three four"
    usage = [event.usage for event in events if event.usage is not None]
    assert bool(usage) == (ask or model == "gpt-4o"), "OpenRouter states it unasked, the others only when asked"
    ours = raw.headers["x-tollkeeper-request-id"]
    line = daemon.wait_for_log(lambda entry: entry.get("request_id") == ours)
    assert (line["status"], line["output_tokens"], line["key"]) == (200, 4, "alice"), "metered either way"


def test_the_streaming_helper_accumulates(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == "one two three four"


async def test_the_async_client_streams(daemon: Daemon) -> None:
    async with openai.AsyncOpenAI(base_url=daemon.url, api_key=KEY, max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        texts = [choice.delta.content or "" async for event in stream for choice in event.choices]
    assert "".join(texts) == "one two three four"


def test_a_call_names_its_provider(client: openai.OpenAI) -> None:
    ask = client.chat.completions.with_raw_response.create
    by_body = ask(model="claude-3-5-sonnet", messages=HELLO, extra_body={"tollkeeper": {"provider": "claude"}})
    by_header = ask(model="gpt-4o", messages=HELLO, extra_headers={"x-tollkeeper-route": "direct"})
    told = [(raw.headers["x-tollkeeper-provider"], raw.headers["x-tollkeeper-model"]) for raw in (by_body, by_header)]
    assert told == [("claude", "claude-3-5-sonnet-20241022"), ("direct", "gpt-4o")]
    speech = ("a.wav", io.BytesIO(b"RIFF"))
    with pytest.raises(openai.BadRequestError, match="x-tollkeeper-route"):
        client.audio.transcriptions.create(
            model="whisper-1", file=speech, extra_body={"tollkeeper": {"provider": "direct"}}
        )


def test_tools(client: openai.OpenAI) -> None:
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    reply = client.chat.completions.create(model="openrouter/mock/tool", messages=HELLO, extra_body={"tools": [tool]})
    assert reply.choices[0].finish_reason == "tool_calls"
    calls = reply.choices[0].message.tool_calls
    assert calls is not None and calls[0].type == "function" and calls[0].function.name == "weather"
    json.loads(calls[0].function.arguments)


def test_structured_output(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model="openrouter/mock/json", messages=HELLO, response_format=Answer)
    assert isinstance(reply.choices[0].message.parsed, Answer)


def test_legacy_completions(client: openai.OpenAI) -> None:
    assert client.completions.create(model="gpt-4o", prompt="alpha beta").choices[0].text.strip() == "alpha beta"


def test_responses_and_their_stream(client: openai.OpenAI) -> None:
    assert client.responses.create(model="gpt-4o", input="alpha beta").output_text == "alpha beta"
    kinds = [event.type for event in client.responses.create(model="gpt-4o", input="alpha beta", stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    with client.responses.stream(model="gpt-4o", input="alpha beta") as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == "alpha beta"


def test_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    by_default = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    as_floats = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], encoding_format="float")
    assert len(by_default.data) == 2
    assert by_default.data[0].embedding == pytest.approx(as_floats.data[0].embedding, rel=1e-6)


def test_images_made_and_edited(client: openai.OpenAI) -> None:
    made = client.images.generate(model="direct/gpt-image-1", prompt="a toll house")
    assert made.data and made.data[0].b64_json
    picture = ("house.png", io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "image/png")
    assert client.images.edit(model="direct/gpt-image-1", image=picture, prompt="at night").data


def test_audio_up_and_down(client: openai.OpenAI) -> None:
    speech = client.audio.speech.create(model="direct/tts-1", voice="alloy", input="hello there")
    assert len(speech.content) > 0
    upload = ('höre "das".wav', io.BytesIO(b"RIFF" + bytes(10_000)), "audio/wav")
    text = client.audio.transcriptions.create(model="direct/whisper-1", file=upload)
    assert isinstance(text.text, str)


def test_moderations_files_and_models(client: openai.OpenAI) -> None:
    assert client.moderations.create(model="direct/omni-moderation-latest", input="hello").results
    file = client.files.create(file=("notes.txt", b"some notes"), purpose="user_data")
    assert client.files.content(file.id).content == b"some notes"
    assert any(listed.id == file.id for listed in client.files.list())
    assert client.files.delete(file.id).deleted
    names = {model.id for model in client.models.list()}
    assert {"house", "openai/gpt-4o"} <= names
    assert client.models.retrieve("openai/gpt-4o").id == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("no-such-model-anywhere", openai.NotFoundError),
        ("openrouter/mock/error?status=400", openai.BadRequestError),
        ("openrouter/mock/error?status=402", openai.APIStatusError),
        ("openrouter/mock/error?status=429&retry_after_ms=1", openai.RateLimitError),
        ("openrouter/mock/error?status=500", openai.InternalServerError),
    ],
)
def test_errors_raise_what_apps_catch(client: openai.OpenAI, model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=HELLO)
    assert client.chat.completions.create(model="gpt-4o", messages=HELLO).choices, "the next call works"


@pytest.mark.parametrize("fault", ["cut?after=2", "mid-stream-error?after=2", "no-finish"])
def test_a_broken_stream_is_never_a_silent_success(client: openai.OpenAI, fault: str) -> None:
    stream = client.chat.completions.create(model=f"openrouter/mock/{fault}", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_wrong_key_is_an_authentication_error_and_is_not_repeated(daemon: Daemon) -> None:
    with openai.OpenAI(base_url=daemon.url, api_key="sk-wrong") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
    with openai.OpenAI(base_url=daemon.url, api_key=KEY) as sdk:
        good = sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO).headers
    daemon.wait_for_log(lambda line: line.get("request_id") == good["x-tollkeeper-request-id"])
    assert len([line for line in daemon.log_lines() if line.get("error") == "invalid_api_key"]) == 1
