"""Pictures on a real daemon before a scripted upstream: clients that leave, retries, errors, and many at once."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import event
from harness.http import Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import close, hang, head, json_reply, reset, say, sse, then, wait_at
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

FLUX = "black-forest-labs/flux.2-pro"
ASKED = {"model": FLUX, "prompt": "a toll house"}
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(3000)).decode()
USAGE = {"prompt_tokens": 0, "completion_tokens": 4175, "total_tokens": 4175, "cost": 0.03}


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for which no silence is too long."""
    config = config_for(upstream_server)
    config["providers"]["small-hours"] = {
        **config["providers"]["openrouter"],
        "timeouts": {"total": 300, "images": 0.3},
    }
    config["credits"] = {"usd": "0.0004", "name": "coins"}
    twins = {"target": "bytedance-seed/seedream-4.5", "defaults": {"n": 2}, "overrides": {"resolution": "2K"}}
    config["models"]["twins"] = twins
    with Daemon(config, tmp_path_factory.mktemp("images"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def drawn(**members: Any) -> dict[str, Any]:
    return {"created": 0, "data": [{"b64_json": PICTURE, "media_type": "image/png"}], "usage": USAGE, **members}


def code_of(reply: Reply) -> tuple[int, str, str]:
    error = json.loads(reply.body)["error"]
    return reply.status, error["code"], error["param"]


def leave(daemon: Daemon, upstream: Upstream) -> None:
    """Ask for a picture, and be gone while it is made."""
    connection = daemon.connect()
    body = json.dumps(ASKED).encode()
    connection.send(daemon.request("POST", "/v1/images/generations", [("Content-Type", "application/json")], body))
    upstream.wait_for_calls(1)
    connection.reset()
    assert daemon.ask("GET", "/healthz").status == 200  # it has heard of that by now


def test_a_picture_whose_client_left_waits_for_it(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(drawn())), path="/images")
    leave(daemon, upstream)
    gate.open()
    line = daemon.wait_for_log(lambda line: line.get("client_left") == "sent")
    assert (line["cost_usd"], line["cost_source"]) == ("0.030000000000", "reported")
    kept = daemon.ask("GET", f"/tollkeeper/results/{line['request_id']}")
    assert (kept.status, kept.header("content-type")) == (200, "application/json")
    assert json.loads(kept.body)["data"] == [{"b64_json": PICTURE}]


HALF = json.dumps(drawn(data=[{"b64_json": PICTURE * 1000}])).encode()[:2_000_000]  # more than is waited for
BEGUN = say(head(200, [("Content-Type", "application/json"), ("Content-Length", "3000000")]) + HALF)


def test_a_picture_that_breaks_off_leaves_nothing_at_its_address(upstream: Upstream, tmp_path: Path) -> None:
    with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY) as daemon:
        upstream.expect(then(BEGUN, close), path="/images")
        reply = daemon.post("/v1/images/generations", {**ASKED, "response_format": "url"})
        assert reply.status == 200 and reply.body.endswith(b'"data":['), "a picture had begun"
        daemon.wait_for_log(lambda line: line.get("error") == "upstream_reset")
        assert kept_in(tmp_path) == []


def test_a_picture_whose_client_left_and_that_a_stop_cuts_leaves_nothing(upstream: Upstream, tmp_path: Path) -> None:
    config = {**config_for(upstream), "shutdown": {"drain": 0}}
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        gate = upstream.gate()
        upstream.expect(then(wait_at(gate), BEGUN, hang), path="/images")
        leave(daemon, upstream)
        gate.open()
        until = time.monotonic() + PATIENCE_SECONDS
        while not kept_in(tmp_path):
            assert time.monotonic() < until
        assert daemon.stop() == 0
        assert kept_in(tmp_path) == []


def kept_in(folder: Path) -> list[str]:
    return [path.name for path in (folder / "state" / "results").glob("*")]


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_what_failed_is_not_billed_and_asked_for_again(daemon: Daemon, upstream: Upstream, status: int) -> None:
    upstream.expect(json_reply({"error": {"code": status, "message": "no"}}, status), path="/images")
    upstream.expect(json_reply(drawn()), path="/images")
    reply = daemon.post("/v1/images/generations", ASKED)
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (200, "2")


def test_a_gateway_that_gave_up_waiting_is_not_asked_again(daemon: Daemon, upstream: Upstream) -> None:
    """The picture may be drawn, and billed, all the same."""
    upstream.expect(json_reply({"error": {"message": "gateway timeout"}}, 504), path="/oai/v1/images")
    reply = daemon.post("/v1/images/generations", {**ASKED, "model": "oai/gpt-image-1"})
    assert (reply.status, len(upstream.calls)) == (504, 1)


def test_a_picture_has_a_time_limit_of_its_own(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(hang, path="/images")
    reply = daemon.post("/v1/images/generations", {**ASKED, "model": f"small-hours/{FLUX}"})
    assert (reply.status, json.loads(reply.body)["error"]["code"], len(upstream.calls)) == (504, "upstream_timeout", 1)


ERRORS = [
    (403, {"code": 403, "message": "Input was flagged", "metadata": {"reasons": ["violence"]}}, (400, "violence")),
    (400, {"code": 400, "message": "Alibaba blocked this request through content moderation."}, (400, "400")),
    (400, {"message": "Blocked.", "code": "moderation_blocked"}, (400, "moderation_blocked")),
]


@pytest.mark.parametrize(("status", "error", "due"), ERRORS)
def test_policies_of_all_providers_are_one_code(
    daemon: Daemon, upstream: Upstream, status: int, error: dict[str, Any], due: tuple[int, str]
) -> None:
    upstream.expect(json_reply({"error": error}, status), path="/images")
    reply = daemon.post("/v1/images/generations", ASKED)
    assert code_of(reply) == (due[0], "invalid_prompt", due[1])
    assert len(upstream.calls) == 1


def test_what_a_name_says_is_asked_for_and_told(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(drawn()), json_reply(drawn()), path="/images")
    replies = [
        daemon.post("/v1/images/generations", {"model": "twins", "prompt": "a toll house", **said})
        for said in ({"resolution": "4K"}, {"n": 1})
    ]
    assert [(call.json.get("n"), call.json["resolution"]) for call in upstream.calls] == [(2, "2K"), (None, "2K")]
    told = "model=bytedance-seed/seedream-4.5, protocol=images/generations>images"
    assert [reply.header("x-tollkeeper-adjusted") for reply in replies] == [
        f'resolution="2K", n=2, {told}',
        f'resolution="2K", {told}',
    ]


def test_openai_itself_gets_and_gives_what_it_does(daemon: Daemon, upstream: Upstream) -> None:
    refused = {"error": {"message": "Blocked.", "type": "x", "param": None, "code": "moderation_blocked"}}
    upstream.expect(json_reply(refused, 400), path="/oai/v1/images/generations")
    body = b'{ "model": "oai/gpt-image-1",  "prompt": "x", "size": "17x3", "foo": 1 }'
    reply = daemon.ask("POST", "/v1/images/generations", [("Content-Type", "application/json")], body)
    assert (reply.status, json.loads(reply.body)) == (400, refused)
    assert upstream.call.body == body.replace(b"oai/gpt", b"gpt")


STREAMS = [
    ("images/generations", "openai/gpt-image-1", "/images", "image_generation.partial_image"),
    ("images/generations", "oai/gpt-image-1", "/oai/v1/images/generations", "image_generation.partial_image"),
    ("audio/speech", "oai/gpt-4o-mini-tts", "/oai/v1/audio/speech", "speech.audio.delta"),
]


def of_media(kind: str, picture: str = PICTURE) -> bytes:
    """One event of a stream of pictures or sound."""
    return event({"type": kind, "b64_json": picture, "partial_image_index": 0, "audio": "AAAA"})


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize(("path", "model", "asked", "kind"), STREAMS)
def test_a_stream_that_stops_before_its_last_picture_is_an_error(
    daemon: Daemon, upstream: Upstream, path: str, model: str, asked: str, kind: str, size: int, ends: bool
) -> None:
    begun = sse(of_media(kind, "A" * size), end=ends)
    upstream.expect(begun if ends else then(begun, reset), path=asked)
    body = {"model": model, "prompt": "x", "input": "x", "voice": "alloy", "stream": True, "partial_images": 1}
    wanted = {
        name: body[name]
        for name in ("model", "stream", *(("input", "voice") if "audio" in path else ("prompt", "partial_images")))
    }
    reply = daemon.post(f"/v1/{path}", wanted)
    assert reply.status == 200 and not reply.complete
    last = json.loads(reply.body.rstrip().rpartition(b"data: ")[2])
    assert last["error"]["code"] == "upstream_reset"


@pytest.mark.parametrize("kind", ["image_generation.completed", "image_edit.completed", "something.new"])
def test_a_stream_of_pictures_may_end_without_more(daemon: Daemon, upstream: Upstream, kind: str) -> None:
    events = of_media("image_generation.partial_image") + of_media(kind)
    upstream.expect(sse(events), path="/oai/v1/images/generations")
    reply = daemon.post("/v1/images/generations", {"model": "oai/gpt-image-1", "prompt": "x", "stream": True})
    assert reply.complete and reply.body == events


def test_a_break_behind_the_last_picture_is_no_concern_of_the_client(daemon: Daemon, upstream: Upstream) -> None:
    events = of_media("image_generation.completed")
    upstream.expect(then(sse(events, end=False), reset), path="/oai/v1/images/generations")
    reply = daemon.post("/v1/images/generations", {"model": "oai/gpt-image-1", "prompt": "x", "stream": True})
    assert reply.complete and reply.body == events


def test_how_providers_fare_that_draw_and_what_was_spent_in_coins(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(drawn()), path="/images")
    reply = daemon.post("/v1/images/generations", ASKED)
    assert (reply.header("x-tollkeeper-cost-usd"), reply.header("x-tollkeeper-cost-coins")) == (
        "0.030000000000",
        "75.000000",
    )
    rows = {row["provider"]: row for row in daemon.asked("/readyz?verbose")["images"]}
    assert (rows["openrouter"]["breaker"], rows["openrouter"]["left_alone"]) == ("closed", [])
    assert rows["openrouter"]["models"] > 10 and "anthropic" not in rows
    assert "images" not in daemon.asked("/readyz")
    total = daemon.asked("/usage")["total"]
    line = daemon.line_of(reply)
    assert line["cost_credits"] == f"{reply.header('x-tollkeeper-cost-coins')} coins"
    assert Decimal(total["cost_coins"]) * Decimal("0.0004") == Decimal(total["cost_usd"]) > 0
    asked = ("--config", str(daemon.folder / "config.yaml"))
    assert "cost: $0.03 (75 coins)" in typed(daemon.folder, "show", reply.request_id or "", *asked).stdout
    assert (
        typed(daemon.folder, "usage", "--csv", *asked)
        .stdout.splitlines()[0]
        .endswith(",saved_usd,cost_coins,saved_coins")
    )
    own = daemon.ask("GET", "/tollkeeper/usage")
    assert json.loads(own.body)["total"]["cost_coins"] == total["cost_coins"]
    estimate = daemon.post("/tollkeeper/images/estimate", {"model": FLUX, "size": "1024x1024"})
    assert json.loads(estimate.body)["rows"][0]["expected_coins"] == "78.643200"


def test_thirty_large_pictures_at_once_fit_in_400_megabytes(daemon: Daemon, upstream: Upstream) -> None:
    """Each passes as it comes."""
    large = {"b64_json": base64.b64encode(bytes(8_000_000)).decode(), "media_type": "image/png"}
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(drawn(data=[large]))), path="/images", again=True)
    sizes: list[int] = []

    def ask() -> None:
        reply = daemon.post("/v1/images/generations", ASKED)
        sizes.append(len(reply.body) if reply.status == 200 else 0)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    upstream.wait_for_calls(30)
    gate.open()
    for thread in threads:
        thread.join()
    assert len(sizes) == 30 and min(sizes) > 10_600_000
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    peak_kb = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    print(f"peak {peak_kb // 1024} MiB")
    assert peak_kb < 400_000
