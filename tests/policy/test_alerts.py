"""Which thresholds of a budget are to be told, as a table; and signatures, answers and waits of webhooks."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.money.alerts import newly_passed, percent_text, threshold_pusd
from proxy.policy.money.budgets import Budget, key_of
from proxy.policy.operators import Hook
from proxy.policy.webhooks import WAITS_SECONDS, hook_key, is_public, meaning, signed_headers, wait_seconds
from proxy.secret import Secret

USD = 10**12
# the example of the specification at standardwebhooks.com
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def budget(usd: int = 10, alerts: tuple[int, ...] = (5000, 8000, 9500)) -> Budget:
    return Budget("key:alice:day", "key:alice", "day", usd * USD, UTC, alerts=alerts)


@pytest.mark.parametrize(
    ("spent", "told", "passed"),
    [
        (0, 0, ()),
        (5 * USD - 1, 0, ()),
        (5 * USD, 0, (5000,)),
        (8 * USD, 5 * USD, (8000,)),
        (9 * USD, 0, (5000, 8000)),
        (50 * USD, 0, (5000, 8000, 9500)),
        (9 * USD, 8 * USD, ()),
        (-3 * USD, 0, ()),
    ],
)
def test_thresholds_that_are_reached_and_were_not_told_are_told(spent: int, told: int, passed: tuple[int, ...]) -> None:
    assert newly_passed(budget(), spent, told) == passed


def test_under_another_cap_the_thresholds_are_other_amounts() -> None:
    assert newly_passed(budget(20), 9 * USD, 8 * USD) == ()
    assert newly_passed(budget(20), 10 * USD, 8 * USD) == (5000,)
    assert newly_passed(budget(9), 9 * USD, 8 * USD) == (9500,)


def test_a_budget_of_nothing_or_without_thresholds_tells_nothing() -> None:
    assert newly_passed(budget(0), 0, 0) == newly_passed(budget(0), USD, USD) == ()
    assert newly_passed(budget(alerts=()), 10 * USD, 0) == ()


@given(
    st.integers(0, 10**25),
    st.lists(st.integers(1, 100_000), unique=True).map(lambda parts: tuple(sorted(parts))),
    st.lists(st.integers(-(10**25), 10**26), max_size=20),
)
def test_however_spending_goes_no_threshold_is_told_twice_and_none_left_out(
    cap: int, alerts: tuple[int, ...], spending: list[int]
) -> None:
    one = Budget("b", "global", "total", cap, UTC, alerts=alerts)
    told, said = 0, []
    for spent in spending:
        passed = newly_passed(one, spent, told)
        said += passed
        told = threshold_pusd(one, passed[-1]) if passed else told
    amounts = [threshold_pusd(one, part) for part in said]
    assert amounts == sorted(amounts) and len(set(said)) == len(said)
    most = max(spending, default=0)
    assert said == [part for part in alerts if 0 < threshold_pusd(one, part) <= most]


@pytest.mark.parametrize(
    ("part", "text"), [(8000, "80%"), (6250, "62.5%"), (3333, "33.33%"), (5, "0.05%"), (100_000, "1000%")]
)
def test_a_threshold_is_written_as_the_configuration_has_it(part: int, text: str) -> None:
    assert percent_text(part) == text


def test_a_scope_tells_its_key() -> None:
    assert [key_of(scope) for scope in ("global", "key:alice", "tag:x")] == [None, "alice", None]


def test_a_message_is_signed_as_the_specification_has_it() -> None:
    headers = signed_headers([Secret(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_of_two_secrets_each_signs() -> None:
    both = signed_headers([Secret(SECRET), Secret("old")], "msg_1", 1614265330, BODY)["webhook-signature"].split(" ")
    assert both == [
        signed_headers([Secret(one)], "msg_1", 1614265330, BODY)["webhook-signature"] for one in (SECRET, "old")
    ]


def test_a_secret_is_base64_behind_whsec_and_itself_otherwise() -> None:
    assert hook_key(Secret("whsec_AAEC")) == hook_key(Secret("whsec_AAEC==")) == b"\0\1\2"
    assert hook_key(Secret("AAEC")) == b"AAEC"
    for broken in ("whsec_", "whsec_====", "whsec_a", "whsec_AA-C", "whsec_ä"):
        with pytest.raises(ValueError, match="no base64 follows"):
            hook_key(Secret(broken))


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, "delivered"),
        (299, "delivered"),
        (410, "gone"),
        (301, "failed"),
        (400, "failed"),
        (404, "failed"),
        (503, "failed"),
    ],
)
def test_what_an_answer_means(status: int, answer: str) -> None:
    assert meaning(status) == answer


def test_waits_grow_and_end_when_the_message_is_old() -> None:
    waits = [wait_seconds(tries, 9, 0.5) for tries in range(1, len(WAITS_SECONDS) + 3)]
    assert waits == [*WAITS_SECONDS, WAITS_SECONDS[-1], WAITS_SECONDS[-1]]
    assert all(later >= earlier for earlier, later in pairwise(WAITS_SECONDS))
    assert (wait_seconds(1, 9, 0.0), wait_seconds(1, 9, 1.0)) == (0.9, 1.1)
    assert wait_seconds(1, 1, 0.5) is not None
    assert wait_seconds(1, 0, 0.5) is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("no address", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_hook_shows_its_host_alone() -> None:
    hook = Hook(Secret("https://user:pass@hooks.example.org:8443/in?token=canary"), Secret("whsec_AAEC"))
    assert hook.host == "hooks.example.org:8443"
    assert repr(hook) == "Hook(url=Secret(***), secret=Secret(***), old_secret=None, form='standard', name='')"
    assert len(hook.id) == 16
