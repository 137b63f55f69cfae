"""One mail, by the server of the configuration."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from functools import partial

from proxy.exchange.io.off_loop import in_a_thread
from proxy.policy.alerting.notices import Words
from proxy.policy.operators import Mailbox, Smtp

_SECONDS = 15.0
_ACCEPTED = 250


class MailRefused(Exception):
    """It was not taken; the message says why, and nothing that the server said."""


async def mailed(to: Mailbox, message_id: str, words: Words) -> int:
    """Send one; the status of the server that took it. Raises `MailRefused`.

    In a thread of its own: a server that does not answer holds up neither the daemon's other threads nor its end.
    """
    return await asyncio.wrap_future(in_a_thread("mail", partial(_send, to, message_id, words), MailRefused))


def _send(to: Mailbox, message_id: str, words: Words) -> int:
    smtp = to.smtp
    mail = EmailMessage()
    title = _printable(words.title).replace("\n", " ")
    mail["From"], mail["To"], mail["Subject"] = smtp.sender, to.address, f"[tollkeeper] {title}"
    mail["Date"], mail["Message-ID"] = formatdate(), f"<{message_id}@{smtp.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer to it, please
    mail.set_content(_printable(words.text))
    try:
        with _server(smtp) as server:
            if smtp.user is not None and smtp.password is not None:
                server.login(smtp.user, smtp.password.reveal())
            server.send_message(mail)
            return _ACCEPTED
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise MailRefused(_reason(error)) from None


def _printable(text: str) -> str:
    """Names that clients choose may hold what ends a header, or what servers refuse."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def _server(smtp: Smtp) -> smtplib.SMTP:
    if smtp.security == "none":
        return smtplib.SMTP(smtp.host, smtp.port, timeout=_SECONDS)
    context = ssl.create_default_context(cafile=smtp.ca_file)
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_SECONDS, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=_SECONDS)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _reason(error: Exception) -> str:
    """In words of ours: a server's may hold an address."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refused the login ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refused the recipient ({next(iter(error.recipients.values()))[0]})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server offers no STARTTLS or no login"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the mail server's certificate is not accepted"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} s"
    return "no connection to the mail server, or it broke"
