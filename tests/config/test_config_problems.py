"""Each kind of problem: its line, its column, its path and its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.load import load_text
from proxy.config.problems import ConfigProblems, Problem, number_of, path_text, suggestion

ENV = {"OPENROUTER_API_KEY": "sk-or-1"}
FILE = Path("c.yaml")
DURATION = "must be a duration such as 30s, 6h or 400d (ms, s, m, h, d, w), or a number of seconds"
MAPPING = "must be a mapping of `name: value` lines"
WHOLE = "must be a whole number, without quotes"
BASE_URL = "must be an address such as https://host/v1: http or https, nothing after the path"
PERCENT = "must be a part in percent such as 80% or 62.5%, above 0% and at most 1000%"
HOOK = "must be an address such as https://host/path: http or https, without # and spaces"
OUTSIDE = "other machines can reach this address"


def problems(text: str, env: dict[str, str] = ENV) -> list[str]:
    try:
        load_text(text, FILE, env)
    except ConfigProblems as found:
        return str(found).splitlines()
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # names
        ("lisen: {}", "1:1: lisen: unknown field (did you mean listen?)"),
        ("listen: {prt: 1}", "1:10: listen.prt: unknown field (did you mean port?)"),
        ("features: {routng: true}", "1:12: features.routng: unknown field (did you mean routing?)"),
        ("models: {a: {target: b, on_flag: {refusl: fallback_once}}}", "1:35: models.a.on_flag.refusl: unknown field (did you mean refusal?)"),
        ("models: {a: {target: b, quality: {slow: p99}}}", f"1:41: models.a.quality.slow: {DURATION}, or p95"),
        ("models: {a: {target: b, quality: {slow: 0}}}", "1:41: models.a.quality.slow: must be at least 0.001 s, and at most 604800 s, or p95"),
        ("models: {a: {target: b, quality: {judge: {model: c, sample: 200%}}}}", "1:61: models.a.quality.judge.sample: must be at most 100%"),
        ("providers: {a: {kind: openai, speaks: [chat, mesages]}}", "1:46: providers.a.speaks[1]: must be chat, completions, responses, messages, images or embeddings (did you mean messages?)"),
        ("credits: {usd: 1, name: usd}", "1:25: credits.name: is what US dollars are called"),
        ("credits: {usd: 1, name: USD}", "1:25: credits.name: is what US dollars are called"),
        ("catalogue: {xyz: 1}", "1:13: catalogue.xyz: unknown field; known here: refresh"),
        ("providers:\n  local:\n    kind: openai\n    base_urll: x", "4:5: providers.local.base_urll: unknown field (did you mean base_url?)"),
        ("models: {a: {target: b, price: {inptu: 1}}}", "1:33: models.a.price.inptu: unknown field (did you mean input?)"),
        ("keys: {a: {key: k, budgets: [{usd: 1, per: day, share_: 1}]}}", "1:49: keys.a.budgets[0].share_: unknown field (did you mean share?)"),
        ("providers: {a b: {kind: openai}}", '1:13: providers."a b": is no usable name: letters, digits, dot, dash and underscore, at most 64'),
        ('models: {"a b": x}', '1:10: models."a b": must be a name without spaces'),
        # kinds of value
        ("listen: 5", f"1:9: listen: {MAPPING}"),
        ("providers: [a]", f"1:12: providers: {MAPPING}"),
        ("routes: {}", "1:9: routes: must be a list"),
        ('listen: {port: "8655"}', f"1:16: listen.port: {WHOLE}"),
        ("listen: {port: 1.5}", f"1:16: listen.port: {WHOLE}"),
        ("listen: {port: 70000}", "1:16: listen.port: must be at most 65535"),
        ("listen: {port: -1}", "1:16: listen.port: must be at least 0"),
        ("listen: {host: 5}", "1:16: listen.host: must be text; put it in quotes"),
        ("listen: {host: a b}", "1:16: listen.host: must be an address to listen on, such as 127.0.0.1, ::1 or 0.0.0.0"),
        ("listen: {socket: ''}", "1:18: listen.socket: must be the path of a socket, at most 107 bytes long"),
        ("listen:\n  socket: /x\n  port: 1", "2:3: listen: socket stands instead of host and port; remove one or the other"),
        ("listen: {hosts: [http://x]}", "1:18: listen.hosts[0]: must be a host name such as proxy.example.org, with :port if it is not the usual one"),
        ("listen: {origins: [x.org]}", "1:20: listen.origins[0]: must be an origin such as https://app.example.org, without a path"),
        ("listen: {origins: ['*']}", "1:20: listen.origins[0]: must be an origin such as https://app.example.org, without a path"),
        ("metrics: {gen_ai: yes}", "1:19: metrics.gen_ai: must be true or false, without quotes"),
        ("state_dir: ''", "1:12: state_dir: must be the path of a directory"),
        ("providers: {a: {kind: openai, base_url: 'https://api..example.org/v1'}}", "1:41: providers.a.base_url: must be an address such as https://host/v1: http or https, nothing after the path"),
        (f"providers: {{a: {{kind: openai, base_url: 'https://{'a' * 64}.org/v1'}}}}", "1:41: providers.a.base_url: must be an address such as https://host/v1: http or https, nothing after the path"),
        ("state_dir: ' '", "1:12: state_dir: must be the path of a directory"),
        ("state_dir: ~me/state", "1:12: state_dir: must not begin with ~, but as ~/ for your own home; write the whole path"),
        ("master_key_file: ''", "1:18: master_key_file: must be the path of a file"),
        ("max_body: 64Foo", "1:11: max_body: must be a size such as 64MiB (B, KB, MB, GB, KiB, MiB, GiB) or a whole number of bytes"),
        ("catalogue: {refresh: forever}", f"1:22: catalogue.refresh: {DURATION}"),
        ("catalogue: {refresh: 0}", "1:22: catalogue.refresh: must be at least 1 s, and at most a hundred years"),
        ("ledger: {keep: never}", f"1:16: ledger.keep: {DURATION}"),
        ("shutdown: {drain: -1}", f"1:19: shutdown.drain: {DURATION}"),
        ("retries: {attempts: 0}", "1:21: retries.attempts: must be at least 1"),
        ("retries: {attempts: 11}", "1:21: retries.attempts: must be at most 10"),
        ("unknown_models: rejetc", "1:17: unknown_models: must be reject or pass (did you mean reject?)"),
        ("log: {level: warn}", "1:14: log.level: must be debug, info, warning or error (did you mean warning?)"),
        ("log: {format: 1}", "1:15: log.format: must be auto, json or pretty"),
        ("budget_policy: {on_disconnect: never}", "1:32: budget_policy.on_disconnect: must be auto"),
        ("default_model: 5", "1:16: default_model: must be text; put it in quotes"),
        # providers
        ("providers:\n  local: {base_url: http://x/v1}", "2:10: providers.local.kind: is missing: write kind: openrouter, openai, anthropic or mock (openai fits every compatible server)"),
        ("providers: {a: {kind: opnai}}", "1:23: providers.a.kind: must be openrouter, openai, anthropic or mock (did you mean openai?)"),
        ("providers: {a: 5}", f"1:16: providers.a: {MAPPING}"),
        ("providers: {openai: {base_url: ftp://x}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://x/v1?a=b'}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://x/v1#a'}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://[x'}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://x:99999'}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://'}}", f"1:32: providers.openai.base_url: {BASE_URL}"),
        ("providers: {openai: {base_url: 'http://u:p@x'}}", "1:32: providers.openai.base_url: must not hold a user name or password; the credential is api_key"),
        ("providers: {openai: {proxy: nonsense}}", "1:29: providers.openai.proxy: must be the URL of an HTTP proxy, or environment, or null for a direct connection"),
        ("providers: {openai: {api_key: ''}}", "1:31: providers.openai.api_key: is empty"),
        ("providers: {openai: {api_key: 12}}", "1:31: providers.openai.api_key: must be text; put it in quotes"),
        ("providers: {openai: {api_key: a b}}", "1:31: providers.openai.api_key: holds a space, a line break or a character outside ASCII; a key cannot"),
        ("providers: {openai: {api_key: é}}", "1:31: providers.openai.api_key: holds a space, a line break or a character outside ASCII; a key cannot"),
        ("providers: {openai: {timeouts: {connect: 0}}}", "1:42: providers.openai.timeouts.connect: must be more than 0"),
        ("providers: {openai: {timeouts: {connect: never}}}", f"1:42: providers.openai.timeouts.connect: {DURATION}"),
        ('providers: {openai: {headers: {X: "a\\nb"}}}', "1:31: providers.openai.headers: holds a name or value that cannot be an HTTP header (ASCII, no line breaks)"),
        ("providers: {openai: {headers: {a b: x}}}", "1:31: providers.openai.headers: holds a name or value that cannot be an HTTP header (ASCII, no line breaks)"),
        ("providers: {openai: {headers: {Host: x}}}", "1:31: providers.openai.headers: cannot set host: it belongs to the connection, not to the call"),
        ("providers: {openai: {headers: {X-A: x, x-a: y}}}", "1:31: providers.openai.headers: sets x-a twice; case makes no difference"),
        ("providers: {openai: {headers: {X: 5}}}", "1:35: providers.openai.headers.X: must be text; put it in quotes"),
        ("providers: {openai: {base_url: 'http://127.0.0.1:8655/v1'}}", "1:32: providers.openai.base_url: is our own address: calls would go round in circles"),
        ("providers: {openai: {base_url: 'http://localhost:8656/v1'}}", "1:32: providers.openai.base_url: is our own address: calls would go round in circles"),
        # routes and models
        ("routes: [{match: a}]", "1:10: routes[0].provider: is missing"),
        ("routes: [{match: a, provider: openruoter}]", "1:31: routes[0].provider: names no provider of this configuration (did you mean openrouter?)"),
        ("routes: [{match: a, provider: zzz}]", "1:31: routes[0].provider: names no provider of this configuration; known are: openrouter"),
        ("models: {a: 5}", "1:13: models.a: must be the model it goes to, or a mapping with target"),
        ("models: {a: ''}", "1:13: models.a.target: must be a name without spaces"),
        ("models: {a: {}}", "1:13: models.a: must have exactly one of target and candidates"),
        ("models: {a: {target: b, price: {}}}", "1:32: models.a.price: names no price; give input, output, cached_input, web_search or file_search"),
        ("models: {a: {target: b, price: 5}}", f"1:32: models.a.price: {MAPPING}"),
        ("models: {a: {target: b, price: {input: -1}}}", "1:40: models.a.price.input: must be at least 0"),
        ("models: {a: {target: b, defaults: {model: x}}}", "1:35: models.a.defaults: cannot hold model; that is what target says"),
        ("models: {a: {target: b, defaults: {x: [{y: .nan}]}}}", "1:35: models.a.defaults: holds .inf or .nan, which JSON cannot carry"),
        # keys
        ("keys: {alice: }", "1:15: keys.alice: must have exactly one of key and key_hash, or a uid"),
        ("keys: {alice: {uid: 1000}, bob: {uid: 1000, key: a}}", "1:39: keys.bob.uid: is the same user as that of alice; every user is one key"),
        ("experiments: {a: {model: m, arms: [{target: x, share: 60}, {target: y, share: 41}]}}", "1:18: experiments.a: has arms whose shares do not come to 100 together"),
        ("experiments: {a: {model: m, arms: &x [{target: x, share: 60}, {target: y, share: 40}]}, b: {model: m, arms: *x}}", "1:100: experiments.b.model: has an experiment already, a; a name has one at a time"),
        ("keys: {alice: {uid: -1}}", "1:21: keys.alice.uid: must be at least 0"),
        ("keys: {alice: {uid: bob}}", "1:21: keys.alice.uid: must be a whole number, without quotes"),
        ("budgets: [{usd: 1, per: day, for: {modl: x}}]", "1:36: budgets[0].for.modl: unknown field (did you mean model?)"),
        ("budgets: [{usd: 1, per: day, for: {}}]", "1:35: budgets[0].for: names nothing; give model, provider, key, tag or tenant"),
        ("budgets: [{usd: 1, per: day, each: sesion}]", "1:36: budgets[0].each: must be session, key or tag (did you mean session?)"),
        ("budgets: [{usd: 1, per: day, each: tag, alerts: [50%]}]", "1:11: budgets[0]: alerts do not go with each: nobody is told of every session, key or tag"),
        ("sessions: {loops: {}}", "1:19: sessions.loops: names nothing; give same_tool_call or usd_per_minute"),
        ("sessions: {loops: {same_tool_call: 1}}", "1:19: sessions.loops: same_tool_call must be 2 or more: once is no loop"),
        ("keys: {alice: {key: a, key_hash: sha256:" + "0" * 64 + "}}", "1:15: keys.alice: must have exactly one of key and key_hash"),
        ("keys: {alice: {key_hash: sha256:12}}", "1:26: keys.alice.key_hash: must be sha256: followed by 64 hexadecimal digits, as `tollkeeper keys create` prints it"),
        ("keys: {alice: {key: abc}, bob: {key: abc}}", "1:38: keys.bob.key: is the same secret as that of alice; every key needs its own"),
        (
            "keys: {alice: {key: abc}, bob: {key_hash: 'sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD'}}",
            "1:43: keys.bob.key_hash: is the same secret as that of alice; every key needs its own",
        ),
        ("limits: [{requests: 0, per: minute}]", "1:21: limits[0].requests: must be more than 0"),
        ("limits: [{requests: 1}]", "1:10: limits[0]: per is missing: minute, hour, day, week or month"),
        ("limits: [{concurrent: 1, per: day}]", "1:10: limits[0]: per does not go with concurrent, which counts calls at the same time"),
        ("limits: [{requests: 1, tokens: 1, per: day}]", "1:10: limits[0]: must have exactly one of requests, tokens and concurrent"),
        ("limits: [{per: day}]", "1:10: limits[0]: must have exactly one of requests, tokens and concurrent"),
        ("limits: [{requests: 1, per: minuet}]", "1:29: limits[0].per: must be minute, hour, day, week or month (did you mean minute?)"),
        ("budgets: [{usd: -1, per: day}]", "1:17: budgets[0].usd: must be at least 0"),
        ("budgets: [{usd: .inf, per: day}]", "1:17: budgets[0].usd: must be an amount in US dollars such as 5 or 0.25"),
        ("budgets: [{usd: 1e300, per: day}]", "1:17: budgets[0].usd: is not an amount of money anybody could mean"),
        ("budgets: [{usd: 5}]", "1:11: budgets[0].per: is missing"),
        ("budgets: [{usd: 5, per: dayly}]", "1:25: budgets[0].per: must be minute, hour, day, week, month or total (did you mean day?)"),
        ("budgets: [{usd: 5, per: day, tz: Europe/Berln}]", "1:34: budgets[0].tz: must be a time zone such as Europe/Berlin"),
        ("budgets: [{usd: 5, per: day, tz: ../../etc/passwd}]", "1:34: budgets[0].tz: must be a time zone such as Europe/Berlin"),
        ("budgets: [{usd: 5, per: day, share: 1.5}]", "1:37: budgets[0].share: must be a number above 0 and at most 1"),
        ("budgets: [{usd: 5, per: day, alerts: [80]}]", f"1:39: budgets[0].alerts[0]: {PERCENT}"),
        ("budget_alerts: [80%, 0%]", f"1:22: budget_alerts[1]: {PERCENT}"),
        ("budget_alerts: 80%", "1:16: budget_alerts: must be a list"),
        ("alerts: [{url: 'https://x'}]", "1:10: alerts[0]: needs a secret that signs what is sent, or the form of a chat: slack, discord or ntfy"),
        ("alerts: [{url: hooks.example.org, secret: s}]", f"1:16: alerts[0].url: {HOOK}"),
        ("alerts: [{url: 'https://x/a#b', secret: s}]", f"1:16: alerts[0].url: {HOOK}"),
        ("alerts: [{url: 'https://x', secret: ''}]", "1:37: alerts[0].secret: is empty"),
        ("alerts: [{url: 'https://x', secret: 'whsec_?'}]", "1:37: alerts[0].secret: begins with whsec_, and no base64 follows"),
        # addresses
        ("listen: {host: 0.0.0.0}", f"1:16: listen.host: {OUTSIDE}, and without keys anybody there could spend your money; add an entry under keys:, or listen on 127.0.0.1"),
        ("admin: {host: 10.0.0.1}", f"1:15: admin.host: {OUTSIDE}; set admin.token or admins, or listen on 127.0.0.1"),
        ("admin: {port: 8655}", "1:15: admin.port: listen and admin cannot have the same address"),
        ("listen: {port: 8656}", "1:16: listen.port: listen and admin cannot have the same address"),
        ("journal: {max_bytes: 256}", "1:22: journal.max_bytes: must be at least 1 MiB: calls that cost money stop where the journal has no room"),
        # variables
        ("state_dir: ${NOWHERE}", "1:12: state_dir: the environment variable NOWHERE is not set"),
        ("state_dir: ${OPENROUTER_APIKEY}", "1:12: state_dir: the environment variable OPENROUTER_APIKEY is not set (did you mean OPENROUTER_API_KEY?)"),
        ("models: {a: '${NOWHERE}'}", "1:13: models.a: the environment variable NOWHERE is not set"),
        ("listen: {port: '${NOWHERE}'}", "1:16: listen.port: the environment variable NOWHERE is not set"),
        ("state_dir: ${1x}", "1:12: state_dir: a ${…} that is neither ${NAME} nor ${NAME:-default}; write $${ for a plain ${"),
        ("providers: {openai: {api_key_file: /nowhere/at/all}}", "1:36: providers.openai.api_key_file: there is no such file"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place_and_its_sentence(text: str, expected: str) -> None:
    assert problems(text) == [f"c.yaml:{expected}"]


@pytest.mark.parametrize(
    "text",
    [
        "listen: {host: '[::1]'}",
        "listen: {host: localhost}",
        "listen: {host: 127.8.9.1}",
        "listen: {host: 0.0.0.0}\nkeys: {a: {key: b}}",
        "listen: {socket: /run/x.sock}\nadmin: {socket: /run/y.sock, port: }",
        "admin: {host: 0.0.0.0, token: secret}",
        "listen: {port: 0}\nadmin: {port: 0}",
        "listen: {hosts: [Proxy.example.org, 'x:80', '[::1]:80'], origins: ['https://App.example.org/', 'app://obsidian.md']}",
        "providers: {openai: {proxy: environment}, anthropic: {proxy: 'http://u:p@p:3128'}}",
        "providers: {mock: , m: {kind: mock}}",
        "providers:\nkeys:\nmodels:\nlisten:\n",
        "models: {a: {target: b, price: {input: 0, output: 0}}}",
        "listen: {port: '${PORT:-8000}'}\nmetrics: {gen_ai: '${X:-true}'}\nlog: {level: '${L:-debug}'}",
    ],
)
def test_what_is_fine_is_fine(text: str) -> None:
    assert problems(text) == []


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = (
        "zzz: 1\n"
        "listen: {host: 0.0.0.0, port: x}\n"
        "providers: {openai: {api_key_file: /nowhere}}\n"
        "routes: [{match: a, provider: nobody}]\n"
        "models: {a: '${NOWHERE}', a: b}\n"
    )
    places = [line.split(": ")[:2] for line in problems(text)]
    assert places == [
        ["c.yaml:1:1", "zzz"],
        ["c.yaml:2:16", "listen.host"],
        ["c.yaml:2:31", "listen.port"],
        ["c.yaml:3:36", "providers.openai.api_key_file"],
        ["c.yaml:4:31", "routes[0].provider"],
        ["c.yaml:5:13", "models.a"],
        ["c.yaml:5:27", "models.a"],
    ]


def test_a_variable_with_broken_bytes_is_named() -> None:
    assert problems("state_dir: ${BROKEN}", {"BROKEN": "a\udcff"}) == [
        "c.yaml:1:12: state_dir: the environment variable BROKEN does not hold readable text"
    ]


def test_a_key_of_the_environment_that_cannot_travel_is_named() -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_text("", None, {"OPENAI_API_KEY": "sk canary"})
    assert str(caught.value) == (
        "OPENAI_API_KEY: holds a space, a line break or a character outside ASCII; a key cannot"
    )


def test_the_same_problem_is_told_once() -> None:
    problem = Problem("f", 2, 1, "a", "is wrong")
    earlier = Problem("f", 1, 5, "", "is wrong")
    assert ConfigProblems([problem, problem, earlier]).problems == (earlier, problem)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b", 0, "c"), "a.b[0].c"),
        (("models", "gpt-4.1"), "models.gpt-4.1"),
        (("models", "a b"), 'models."a b"'),
        (("models", ""), 'models.""'),
        (("models", "a\x1b[1m"), 'models."a\\u001b[1m"'),
        (("keys", "🐱 cat"), 'keys."🐱 cat"'),
        (("keys", "a\u202eb"), 'keys."a\\u202eb"'),
    ],
)
def test_a_path_reads_like_the_file(path: tuple[str | int, ...], text: str) -> None:
    assert path_text(path) == text


def test_a_suggestion_ignores_case_and_needs_some_likeness() -> None:
    assert suggestion("PORT", ["port", "host"]) == " (did you mean port?)"
    assert suggestion("zzz", ["port", "host"]) == ""


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 models"), (1, "1 model"), (2, "2 models"), (31_000, "31,000 models")]
)
def test_what_is_counted_is_one_or_several(count: int, expected: str) -> None:
    assert number_of(count, "model") == expected
