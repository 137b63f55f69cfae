"""TLS to providers: whose certificates are believed, and in words why a handshake failed."""

from __future__ import annotations

import os
import ssl

# OpenSSL's numbers of what is wrong with a certificate (x509_vfy.h)
_WHY = {
    2: "its certificate is signed by an authority that is unknown here",
    9: "its certificate is not valid yet, by this machine's clock",
    10: "its certificate has expired, by this machine's clock",
    18: "it shows a self-signed certificate, which is unknown here",
    19: "its certificate is signed by an authority that is unknown here (a self-signed certificate in its chain)",
    20: "its certificate is signed by an authority that is unknown here",
    21: "its certificate is signed by an authority that is unknown here",
    62: "its certificate is for another name",
    64: "its certificate is for another name",
}
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})
_SPEAKS = "what answers there does not speak TLS; perhaps base_url should have http: in the place of https:"
BROKEN_OFF = (
    "the TLS handshake was broken off by the other side; perhaps base_url should have http: in the place of https:"
)


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """The authorities of `ca_file`, else those of SSL_CERT_FILE, else the system's. Raises OSError (SSLError is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike the default context, it ignores SSLKEYLOGFILE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def why_failed(error: ssl.SSLError, ca_file: str | None) -> str:
    """Why a handshake failed; about a certificate also who is believed, and what changes that. No full stop."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _WHY.get(error.verify_code) or f"its certificate is not accepted ({error.verify_message.lower()})"
        return f"the TLS handshake failed: {why}. {_believed(ca_file)}"
    reason = error.reason or ""
    words = _SPEAKS if reason in _NOT_TLS else reason.lower().replace("_", " ") or "no reason given"
    return f"the TLS handshake failed: {words}"


def _believed(ca_file: str | None) -> str:
    if ca_file is not None:
        return "Believed are the authorities in the provider's `ca_file:`, not those of SSL_CERT_FILE or the system"
    named = os.environ.get("SSL_CERT_FILE")
    if not named:
        return "Believed are the system's authorities; the provider's `ca_file:`, or SSL_CERT_FILE, names others"
    lost = "" if os.access(named, os.R_OK) else ", which cannot be read"
    return f"Believed are the authorities in SSL_CERT_FILE{lost}; the provider's `ca_file:` names others"
