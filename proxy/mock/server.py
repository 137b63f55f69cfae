"""The mock upstream as a server: `start_mock` runs it in this process, `build_app` makes the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from proxy.errors import CallerError
from proxy.mock import batches, fetching, message_batches, reports, steering
from proxy.mock.account import credits_body, generation_body, key_body
from proxy.mock.asked import Profile, read_asked
from proxy.mock.bill import Bill
from proxy.mock.calls import Objection, failed, failure_of, json_reply, read_fields, receive, serve_call
from proxy.mock.catalogue import model_entry, models_list
from proxy.mock.envelopes import Failure
from proxy.mock.files import StoredFile
from proxy.mock.headers import reply_headers
from proxy.mock.pictures import image_endpoints, image_models
from proxy.mock.state import Rules, State

Handler = Callable[[State, web.Request, Profile], Awaitable[web.StreamResponse]]

RULES = Rules()
STATE = web.AppKey("state", State)
_LARGEST_BODY = 128 * 2**20
_SHUTDOWN_SECONDS = 0.1

PREFIXES: tuple[tuple[str, Profile], ...] = (
    ("/api/v1", "openrouter"),
    ("/v1", "openrouter"),
    ("/openai/v1", "openai"),
    ("/anthropic/v1", "anthropic"),
)
CALLS = {
    "/chat/completions": "chat/completions",
    "/completions": "completions",
    "/responses": "responses",
    "/messages": "messages",
    "/embeddings": "embeddings",
    "/rerank": "rerank",
    "/moderations": "moderations",
    "/images": "images",
    "/images/generations": "images",
    "/images/edits": "images",
    "/images/variations": "images",
    "/audio/speech": "audio/speech",
    "/audio/transcriptions": "audio/transcriptions",
    "/audio/translations": "audio/translations",
}
_ANTHROPIC_PATHS = ("/messages", "/chat/completions", "/messages/count_tokens", "/models", "/models/{name:.+}")


class MockServer:
    """A running mock. `close()` ends it and every connection."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, state: State) -> None:
        """Name the address it listens on."""
        self._runner = runner
        self._state = state
        self.host = host
        self.port = port

    @property
    def root(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The OpenRouter-shaped API."""
        return f"{self.root}/api/v1"

    @property
    def openai_url(self) -> str:
        """The OpenAI-shaped API."""
        return f"{self.root}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """The Anthropic-shaped API, as a base URL of Anthropic's SDK (which appends /v1/messages)."""
        return f"{self.root}/anthropic"

    @property
    def bill(self) -> Bill:
        """Every call started, for use in the same process."""
        return self._state.bill

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        await self._runner.cleanup()


async def start_mock(host: str = "127.0.0.1", port: int = 0, rules: Rules = RULES) -> MockServer:
    """Serve the mock on the running loop; port 0 takes any free one."""
    app = build_app(rules)
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handle_signals=False
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return MockServer(runner, host, runner.addresses[0][1], app[STATE])


def build_app(rules: Rules = RULES) -> web.Application:
    """The application. It must run with `handler_cancellation=True`, or no client's leaving is noticed."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app[STATE] = State(rules)
    for prefix, profile in PREFIXES:
        for path, endpoint in CALLS.items():
            if profile != "anthropic" or path in _ANTHROPIC_PATHS:
                app.router.add_post(prefix + path, _bound(_call(endpoint), profile, endpoint))
        for method, path, handler in _ROUTES:
            if profile != "anthropic" or path in _ANTHROPIC_PATHS:
                app.router.add_route(method, prefix + path, _bound(handler, profile, path.strip("/")))
    for prefix, profile in PREFIXES[2:]:
        for method, path, handler in _OPENAI_ROUTES if profile == "openai" else message_batches.ROUTES:
            app.router.add_route(method, prefix + path, _bound(handler, profile, path.strip("/")))
    for path, profile in reports.ROUTES:
        app.router.add_get(path, _bound(reports.serve, profile, "reports"))
    for method, path, steer in steering.ROUTES:
        app.router.add_route(method, path, partial(steer, app[STATE]))
    app.router.add_route("*", "/mock/redirected", _redirected)
    app.router.add_route("*", "/{path:.*}", _nowhere)
    return app


def _bound(handler: Handler, profile: Profile, endpoint: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Put the key check before a handler; OpenRouter's catalogue needs none."""
    public = profile == "openrouter" and endpoint.startswith(("model", "images/models"))

    async def guarded(request: web.Request) -> web.StreamResponse:
        state = request.app[STATE]
        if not public and not state.admits(request.headers):
            return failed(state, profile, endpoint, Failure(401))
        return await handler(state, request, profile)

    return guarded


def _call(endpoint: str) -> Handler:
    async def handler(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
        return await serve_call(state, request, profile, endpoint)

    return handler


async def _models(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, models_list(profile, state.models))


async def _model(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    name = request.match_info["name"]
    try:
        entry = model_entry(profile, name, is_known="authorization" in request.headers)
    except CallerError as error:
        return failed(state, profile, "models", failure_of(error))
    if entry is None:
        failure = Failure(404, f"The model '{name}' does not exist.", "model_not_found")
        return failed(state, profile, "models", failure)
    return json_reply(state, profile, entry)


async def _image_models(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, image_models())


async def _image_endpoints(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, image_endpoints(request.match_info["name"]))


async def _count_tokens(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    try:
        fields, _ = await receive(state, request, profile, "messages/count_tokens")
        asked = read_asked(profile, "messages/count_tokens", fields)
    except (CallerError, Objection) as error:
        return failed(state, profile, "messages", failure_of(error))
    return json_reply(state, profile, {"input_tokens": asked.input_tokens})


async def _generation(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """Known only once the call has ended, and not at the first poll even then."""
    row = state.bill.find(request.query.get("id", ""))
    if row is not None and row.ended and row.polls_left <= 0:
        return json_reply(state, profile, generation_body(row))
    if row is not None and row.ended:
        row.polls_left -= 1
    id_ = request.query.get("id", "")
    return failed(state, profile, "generation", Failure(404, f"Generation {id_} not found"))


async def _key(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, key_body(state.bill.total, keyed=state.key_digest is not None))


async def _credits(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, credits_body(state.bill.total))


async def _upload(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    try:
        fields, upload = await read_fields(request)
    except CallerError as error:
        return failed(state, profile, "files", failure_of(error))
    if upload is None:
        return failed(state, profile, "files", Failure(400, "'file' is a required property", param="file"))
    purpose = str(fields.get("purpose", "user_data"))
    if purpose == "batch" and profile == "openai" and not upload.name.endswith(".jsonl"):
        return failed(state, profile, "files", Failure(400, "Invalid file format for Batch API. Must be .jsonl"))
    file = StoredFile(f"file-{state.suffix()}", upload.name, purpose, upload.content, state.now())
    if not state.files.add(file):
        return failed(state, profile, "files", Failure(413, "The mock keeps no more files; delete some."))
    return json_reply(state, profile, file.as_json())


async def _files(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    return json_reply(state, profile, state.files.as_json())


async def _file(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """One file: its object, its content, or its end."""
    id_ = request.match_info["id"]
    file = state.files.find(id_)
    if file is None:
        return failed(state, profile, "files", Failure(404, f"No such File object: {id_}", param="id"))
    if request.method == "DELETE":
        state.files.remove(id_)
        return json_reply(state, profile, {"id": id_, "object": "file", "deleted": True})
    if request.path.endswith("/content"):
        headers = reply_headers(profile, "application/octet-stream", state.suffix(), None)
        return web.Response(body=file.content, headers=headers)
    return json_reply(state, profile, file.as_json())


async def _redirected(request: web.Request) -> web.Response:
    return web.Response(text="You followed the mock's redirect; a client with credentials should not.\n")


async def _nowhere(request: web.Request) -> web.StreamResponse:
    """A path nobody serves, in the words of the provider whose prefix it has."""
    profile = next((name for prefix, name in PREFIXES if request.path.startswith(prefix + "/")), PREFIXES[0][1])
    return failed(request.app[STATE], profile, "other", Failure(404, f"Invalid URL ({request.method} {request.path})"))


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/models", _models),
    ("GET", "/models/{name:.+}", _model),
    ("GET", "/model/{name:.+}", _model),
    ("POST", "/messages/count_tokens", _count_tokens),
    ("GET", "/images/models", _image_models),
    ("GET", "/images/models/{name:.+}/endpoints", _image_endpoints),
    ("GET", "/generation", _generation),
    ("GET", "/key", _key),
    ("GET", "/credits", _credits),
    ("POST", "/files", _upload),
    ("GET", "/files", _files),
    ("GET", "/files/{id}", _file),
    ("DELETE", "/files/{id}", _file),
    ("GET", "/files/{id}/content", _file),
)
_OPENAI_ROUTES = (*batches.ROUTES, *fetching.ROUTES, ("POST", "/responses/compact", _call("responses/compact")))
