"""A mail over a real socket: what names may hold, and a server that takes a connection and never says anything."""

from __future__ import annotations

import asyncio
import socket
import time

from harness.mails import MailServer

from proxy.exchange.background.mail import mailed
from proxy.policy.alerting.notices import Words
from proxy.policy.operators import Mailbox, Smtp

QUICK_SECONDS = 5.0  # far less than a mail waits for its server


def mailbox(port: int) -> Mailbox:
    return Mailbox("ops@example.org", Smtp("127.0.0.1", port, "none", "toll@example.org"))


def test_a_name_with_line_breaks_adds_no_line_to_the_head() -> None:
    title = "model a\r\nBcc: x@example.org\u2028b\0"
    with MailServer() as server:
        assert asyncio.run(mailed(mailbox(server.port), "msg_1", Words(title, "one\ntwo\0"))) == 250
        (mail,) = server.wait_for(1)
    assert mail["Subject"] == "[tollkeeper] model a  Bcc: x@example.org b "
    assert mail["Bcc"] is None and mail.get_content().splitlines() == ["one", "two "]


def test_a_server_that_never_answers_holds_up_neither_other_threads_nor_the_end() -> None:
    async def many() -> int:
        sending = [asyncio.create_task(mailed(mailbox(port), f"msg_{n}", Words("x", "y"))) for n in range(40)]
        await asyncio.sleep(0.1)
        found = await asyncio.wait_for(asyncio.to_thread(int, "7"), QUICK_SECONDS)
        for one in sending:
            one.cancel()
        return found

    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        port, began = server.getsockname()[1], time.monotonic()
        assert asyncio.run(many()) == 7
        assert time.monotonic() - began < QUICK_SECONDS
