"""The length of a transcript's sound, as replies tell it."""

from __future__ import annotations

import pytest

from proxy.wire.transcripts import heard
from proxy.wire.usage import Usage


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"task":"transcribe","language":"english","duration":25.933313,"text":"hi","segments":[]}', 26),
        (b'{"text":"hi","duration":7}', 7),
        (b'{"text":"hi","duration":"8.47"}', 9),  # OpenAI's, older
        (b'{"text":"hi","duration":0}', 0),
        (b'{"text":"hi"}', None),
        (b'{"text":"hi","duration":-1}', None),
        (b'{"text":"hi","duration":1e400}', None),
        (b'{"text":"hi","duration":1e9999999999999999999}', None),
        (b'{"text":"hi","duration":NaN}', None),
        (b'{"text":"hi","duration":true}', None),
        (b'{"text":"hi","duration":{}}', None),
        (b'{"text":"hi","duration":"long"}', None),
        (b"1\n00:00:00,000 --> 00:00:02,000\nhi\n", None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_a_transcript_tells_how_long_it_was(body: bytes, seconds: int | None) -> None:
    assert heard(body) == (None if seconds is None else Usage(audio_seconds=seconds))
