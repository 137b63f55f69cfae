"""A real SMTP server that takes mail: with STARTTLS and a login, as servers on the internet want it."""

from __future__ import annotations

import base64
import socketserver
import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from harness.taking import Taker

USER, PASSWORD = "tollkeeper", "mail-canary-77"


class MailServer(Taker[EmailMessage]):
    """`with MailServer(context) as server:`; with a TLS context it offers STARTTLS and wants a login behind it."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        super().__init__(server)

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            is_secure = is_known = False

            def handle(self) -> None:
                self.say("220 mail.test")
                while (line := self.rfile.readline()) and self.answer(line.decode().strip()):
                    pass

            def finish(self) -> None:
                super().finish()
                if self.is_secure:
                    self.connection.close()

            def say(self, *lines: str) -> bool:
                self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
                return not lines[-1].startswith("221")

            def answer(self, line: str) -> bool:
                verb = line.partition(" ")[0].upper()
                if verb == "EHLO":
                    offers = "250 AUTH PLAIN" if self.is_secure or server._context is None else "250 STARTTLS"
                    return self.say("250-mail.test", offers)
                if verb == "STARTTLS" and server._context is not None:
                    self.say("220 go on")
                    self.secure(server._context)
                    return True
                if verb == "AUTH":
                    said = base64.b64decode(line.rpartition(" ")[2]).split(b"\0")
                    self.is_known = said[1:] == [USER.encode(), PASSWORD.encode()]
                    return self.say("235 welcome" if self.is_known else "535 who?")
                if server._context is not None and not self.is_known and verb != "QUIT":
                    return self.say("530 log in")
                if verb == "DATA":
                    self.say("354 go on")
                    raw = b"".join(iter(self.rfile.readline, b".\r\n"))
                    server.take(cast(EmailMessage, message_from_bytes(raw, policy=policy.default)))
                return self.say("221 bye" if verb == "QUIT" else "250 ok")

            def secure(self, context: ssl.SSLContext) -> None:
                self.connection = context.wrap_socket(self.request, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)  # type: ignore[assignment]
                self.is_secure = True

        return Handler
