"""The strict mock against the record: what a real provider took it takes, what one refused for its shape it refuses."""

from __future__ import annotations

from traffic.recorded import Exchange, exchanges, needs_recordings

from proxy.mock.asked import Profile
from proxy.mock.server import CALLS
from proxy.mock.strict.refusing import Content, Sent, refused

pytestmark = needs_recordings

SKINS: dict[str | None, Profile] = {"openai": "openai", "anthropic": "anthropic", "openrouter": "openrouter"}
# a placeholder of the recordings stands for text far longer than any window
MASSIVE = b"<MASSIVE_TEXT>"
NOT_OPENAIS = ("muse-spark-1.1", "")  # other servers' models, recorded under OpenAI's name


def test_what_a_real_provider_took_is_taken() -> None:
    """Every recorded request that was answered, in its provider's skin."""
    taken = [exchange for exchange in _judged() if exchange.status == 200 and exchange.model not in NOT_OPENAIS]
    assert len(taken) > 400
    wrong = [(exchange.id, failure.text) for exchange in taken if (failure := refused(_sent(exchange))) is not None]
    assert not wrong, "\n".join(map(str, wrong))


def test_what_a_real_provider_refused_is_refused_alike() -> None:
    """Prompts too long for the window: the same status, code and param."""
    found = {}
    for exchange in _judged():
        if exchange.status == 400 and MASSIVE in exchange.request:
            failure = refused(_sent(exchange))
            assert failure is not None, exchange.id
            found[exchange.entry] = (failure.status, failure.code, failure.param)
    assert found == {
        "openai": (400, "context_length_exceeded", "input"),
        "anthropic": (400, None, None),
        "openrouter": (400, None, None),
    }


def _judged() -> list[Exchange]:
    """The exchanges of calls the mock plays, in skins it has."""
    return [e for e in exchanges() if e.entry in SKINS and e.method == "POST" and _endpoint(e) is not None]


def _endpoint(exchange: Exchange) -> str | None:
    path = exchange.endpoint or ""
    return "messages/count_tokens" if path == "/messages/count_tokens" else CALLS.get(path)


def _sent(exchange: Exchange) -> Sent:
    made_up = {"anthropic-version": "2023-06-01"} if exchange.made_up else {}
    headers = {**made_up, **{name.lower(): value for name, value in exchange.request_headers}}
    body = exchange.request_for(exchange.asked) if exchange.asked else exchange.request
    fields = exchange.document_of(body.replace(MASSIVE, b"word " * 200_000))
    if exchange.made_up and str(exchange.model).startswith("claude-3-"):
        fields["max_tokens"] = 4096  # whoever made it up knew nothing of the model
    endpoint, skin = _endpoint(exchange), SKINS[exchange.entry]
    assert endpoint is not None
    content = Content(headers["content-type"].partition(";")[0], fields)
    return Sent(skin, endpoint, exchange.path, {**headers, "authorization": "Bearer sk-any"}, content)
