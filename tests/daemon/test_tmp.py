from harness.steps import json_reply
from harness.events import chat_reply
def test_plain(upstream, daemon, goes_on):
    upstream.expect(json_reply(chat_reply()))
    r = daemon.chat("gpt-4o")
    print(r, upstream.call.head, daemon.line_of(r))
    assert 0
