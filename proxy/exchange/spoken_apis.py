"""What providers were seen to speak, and the thoughts of replies that their clients cannot carry."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import EndpointNotServed
from proxy.exchange.failure import Failure
from proxy.exchange.reply import Reply
from proxy.exchange.results import Results
from proxy.policy.apis import APIS, LEARNT_SECONDS, STORED, Way, is_no_such_endpoint, way
from proxy.policy.retries.retry import Attempt
from proxy.policy.values import ApiName, Caller, Lossy, Provider
from proxy.translate.kept import KeptThoughts
from proxy.wire.call import Call

_At = tuple[str, str, str, ApiName]


def api_of(call: Call, provider: Provider) -> ApiName | None:
    """What a call may have to be said otherwise than; None where it goes to this provider as it is."""
    api = APIS.get(call.endpoint.name)
    if api is None or (provider.speaks is not None and api in provider.speaks):
        return None
    # a body came that can be said otherwise: of forms only those that ask for pictures
    return api if call.document is not None or (api == "images" and call.form is not None) else None


def _at(provider: Provider, api: ApiName) -> _At:
    """Who speaks what; another address is another server, and another account may be let do something else."""
    return provider.name, provider.base_url, provider.tenant, api


class SpokenApis:
    """Remembered for as long as the daemon runs. Times are monotonic seconds. `results` are pictures that wait to be fetched."""

    def __init__(self, lossy: Lossy, results: Results) -> None:
        self.lossy: Lossy = lossy
        self.results = results
        self.kept = KeptThoughts()
        self._spoken: dict[_At, float] = {}
        self._absent: dict[_At, float] = {}

    def lossy_for(self, caller: Caller) -> Lossy:
        """What becomes of this caller's calls where they cannot be said in full."""
        return caller.lossy or self.lossy

    def way(self, provider: Provider, api: ApiName, attempt: Attempt, now: float) -> Way:
        """How a call of this API goes to this provider: None as it is."""
        is_absent = attempt.translated or self._absent.get(_at(provider, api), 0.0) > now
        return way(api, provider.speaks, is_absent=is_absent)

    def may_not_speak(self, outcome: Reply | Failure, call: Call, provider: Provider, attempt: Attempt) -> bool:
        """Whether an error may mean that the provider does not speak the client's protocol, and another is to be tried."""
        if provider.speaks is not None or attempt.translated or isinstance(outcome, Failure) or call.document is None:
            return False
        if APIS.get(call.endpoint.name) not in ("messages", "responses"):
            return False
        if any(call.document.value(name) for name in STORED if name in call.document.values):
            return False
        return is_no_such_endpoint(outcome.judged_status, outcome.missing)

    def learn(self, outcome: Reply | Failure, call: Call, provider: Provider, *, translated: bool, now: float) -> None:
        """Take from an answer what a provider speaks, or does not: a native one within the hour says more."""
        api = APIS.get(call.endpoint.name)
        if api is None or outcome.judged_status is None or outcome.judged_status >= 400:
            return
        at = _at(provider, api)
        if not translated:
            self._spoken[at] = now
            self._absent.pop(at, None)
        elif self._spoken.get(at, -LEARNT_SECONDS) <= now - LEARNT_SECONDS:
            if self._absent.get(at, 0.0) <= now:
                self._absent[at] = now + LEARNT_SECONDS

    def learnt(self, now: float) -> dict[str, list[str]]:
        """What each provider was seen not to speak."""
        found: dict[str, list[str]] = {}
        for (name, _, _, api), until in self._absent.items():
            if until > now and api not in found.get(name, ()):
                found.setdefault(name, []).append(api)
        return found


def not_served(provider: Provider, call: Call, providers: Iterable[Provider]) -> Failure:
    """The outcome of an attempt not made: the provider has nothing that could serve the call."""
    api = APIS[call.endpoint.name]
    others = [other.name for other in providers if other.speaks is not None and api in other.speaks]
    would = f"these providers do: {', '.join(others)}" if others else "no configured provider does"
    message = (
        f"{provider.name} does not serve {call.endpoint.name}; {would}. `providers.{provider.name}.speaks` says so."
    )
    return Failure(EndpointNotServed(message), "unhealthy")
