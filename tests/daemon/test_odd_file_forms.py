"""Forms whose heads and boundaries are more work than a form is."""

from __future__ import annotations

import pytest
from harness.daemon import Daemon
from harness.steps import json_reply
from harness.upstream import Upstream

FORM = [("Content-Type", "multipart/form-data; boundary=B")]
FIELD = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
PURPOSE = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--B--\r\n'


@pytest.mark.parametrize("body", [FIELD * 10_000 + PURPOSE, b"\n" * 10_000 + PURPOSE], ids=["fields", "lines"])
def test_a_file_in_a_form_of_too_many_lines_is_refused(daemon: Daemon, body: bytes) -> None:
    refused = daemon.ask("POST", "/v1/files", FORM, body)
    assert (refused.status, refused.json["error"]["code"]) == (413, "request_too_large")
    assert "lines" in refused.json["error"]["message"]


def test_a_form_of_a_thousand_fields_passes(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"id": "file-1"}))
    body = FIELD * 999 + PURPOSE
    assert daemon.ask("POST", "/v1/files", FORM, body).status == 200
    assert upstream.calls[-1].body == body
