"""A bug behind the admin port is told as one, and its words stay in the log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import RawTestServer, TestClient

from proxy.policy.values import Listen, Settings
from proxy.web.operator.access.admin_auth import AdminAuth
from proxy.web.operator.access.cookies import Sessions
from proxy.web.operator.admin import Admin


class BrokenPage:
    """Metrics that cannot be made."""

    async def get(self, accept: str) -> tuple[bytes, str]:
        raise RuntimeError("a word of ours 77f1")


@pytest.mark.process
async def test_a_bug_is_500_and_its_words_stay_in_the_log(capsys: Any) -> None:
    settings = Settings(Listen("127.0.0.1"), Listen("127.0.0.1"), "/nowhere", {})
    orders = cast(Any, SimpleNamespace(trail=None))
    admin = Admin(AdminAuth(settings, Sessions()), list, BrokenPage(), orders)
    async with RawTestServer(cast(Any, admin.answer)) as server, TestClient(cast(Any, server)) as client:
        reply = await client.get("/metrics")
        assert (reply.status, (await reply.json())["error"]["code"]) == (500, "internal_error")
        assert "77f1" not in await reply.text()
    told = capsys.readouterr().out
    assert "crashed" in told and "a word of ours 77f1" in told
