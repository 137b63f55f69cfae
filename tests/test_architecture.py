"""The house rules as tests: layers, purity, sizes, names. What breaks one is named with its place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from measures import (
    FILES,
    PACKAGE,
    TREES,
    Function,
    depth_of,
    functions,
    layer_of,
    lines_of,
    modules_named,
    parameters_of,
    place,
)

# each row may import the rows above it; names of one row do not know each other
ROWS = (
    ("errors", "secret", "__version__"),
    ("wire",),
    ("translate",),
    ("policy", "data"),
    ("dialects",),
    ("mock",),
    ("presets",),
    ("config",),
    ("stores", "observe"),
    ("exchange",),
    ("web",),
    ("telemetry", "changes", "watching", "listeners", "alerts", "doctor", "jobs", "compare", "mocks"),
    ("shutdown", "reloading", "model_news", "experiments", "reconciling"),
    ("app",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}

PURE = ("wire", "translate", "policy", "dialects")
EFFECTS = frozenset({"aiohttp", "asyncio", "logging", "os", "random", "socket", "sqlite3", "structlog", "time"})

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 39
MOST_PARAMETERS = 5
DEEPEST = 3
MOST_LINES_OF_SERVE = 20

# the top of a call, where a bug of ours becomes a 500 and a traceback in the log; the top of the writer's
# thread, and its one record the tables refuse, which must not hold up the others; nor must one response in the background
MAY_CATCH_EVERYTHING = frozenset(
    {
        "web/client/api.py",
        "web/operator/admin.py",
        "stores/ledger/writer.py",
        "stores/ledger/link.py",
        "exchange/background/responses.py",
    }
)

# money is counted in integers and Decimals; these names are where it passes through
MONEY = re.compile(r"policy/money/\w+\.py|stores/(\w+/)?\w+\.py")

# where a call's `stream` may be asked for outside wire/ and dialects/, and why
MAY_ASK_FOR_STREAM = {
    "exchange/upstream.py": "the first byte of a stream has a timeout of its own; a failure may be one after its head",
    "exchange/attempt.py": "the usage flag is refused where nothing streams",
    "exchange/translating.py": "who asked for a stream is answered with one in the other protocol, too",
    "exchange/routing/router.py": "streams and whole replies are measured apart",
    "exchange/reporting/observing.py": "streams and whole replies are measured apart",
    "web/operator/routing_orders.py": "a rehearsal is of a stream where the request asks for one",
    "web/operator/spending/simulating.py": "so is a call that is decided anew",
    "exchange/record.py": "whether to give up ends the bill is another question of a stream",
    "exchange/reporting/lines.py": "the log line says whether the call streamed",
    "observe/metrics.py": "time to the first token is a measure of streams",
    "observe/gen_ai.py": "time to the first token is a measure of streams",
    "web/operator/admin_api.py": "an answer says whether the call streamed",
    "web/operator/live/traffic.py": "an answer says whether the call streams",
    "web/operator/calls/past_calls.py": "an answer says whether the call streamed",
    "compare/asking.py": "a comparison can be told as it streams",
    "compare/judging.py": "a stream takes its time otherwise than a reply in one piece",
    "web/client/api.py": "the log line says whether the call streamed",
    "web/client/first_of_kind.py": "the log line says whether the call streamed",
    "jobs/jobs.py": "a stream cannot be answered later",
    "jobs/messages.py": "nor be a request of a batch",
    "exchange/reckoning.py": "a cut stream is settled otherwise than a cut reply",
    "exchange/reporting/rows.py": "the ledger says whether the call streamed",
    "stores/ledger/alike.py": "attempts are alike where both streamed, or neither",
    "exchange/hold_terms.py": "the hold says whether the call streams",
    "exchange/reporting/metering.py": "the time to the first token is a stream's",
    "mock/calls.py": "the built-in upstream plays both sides of the protocol",
}

FORBIDDEN = re.compile(r"(?:^|_)(?:utils?|helpers?|managers?|base|common|v2)(?:_|$)")
FORBIDDEN_CLASS = re.compile(r"Utils?|Helpers?|Manager|Base(?![a-z])|Common")
# names that other people's interfaces or our own config file give
GIVEN = frozenset({"base_url", "_base_url"})


def own_layers_named(path: Path, tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    for node, module in modules_named(path, tree):
        top, _, rest = module.partition(".")
        if top == "proxy":
            yield node, rest.partition(".")[0] or "__version__"


def broken_layers(path: Path, tree: ast.AST) -> list[str]:
    layer = layer_of(path)
    return [
        f"{place(path, node)}: {layer} imports {named}"
        for node, named in own_layers_named(path, tree)
        if named != layer and RANK[named] >= RANK[layer]
    ]


def test_every_file_belongs_to_a_layer() -> None:
    assert {layer_of(path) for path in FILES} <= set(RANK)
    assert len(FILES) > 50


def test_imports_point_down_only() -> None:
    assert [broken for path, tree in TREES.items() for broken in broken_layers(path, tree)] == []


def test_pure_layers_touch_nothing() -> None:
    found = [
        f"{place(path, node)}: {module}"
        for path, tree in TREES.items()
        if layer_of(path) in PURE
        for node, module in modules_named(path, tree)
        if module.partition(".")[0] in EFFECTS
    ]
    assert found == []


def test_pure_layers_ask_no_clock() -> None:
    found = [
        place(path, node)
        for path, tree in TREES.items()
        if layer_of(path) in PURE
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
    ]
    assert found == []


def test_no_dialect_knows_of_another() -> None:
    known = [
        f"{place(path, node)}: {module}"
        for path, tree in TREES.items()
        if layer_of(path) == "dialects" and path.stem != "__init__"
        for node, module in modules_named(path, tree)
        if module.startswith("proxy.dialects.") and module != "proxy.dialects.contract"
    ]
    assert known == []


def test_connections_know_of_no_call() -> None:
    known = [
        f"{place(path, node)}: {module}"
        for path, tree in TREES.items()
        if place(path).startswith("exchange/io/")
        for node, module in modules_named(path, tree)
        if module.startswith("proxy.exchange.") and not module.startswith("proxy.exchange.io.")
    ]
    assert known == []


def test_no_file_outgrows_its_subject() -> None:
    sizes = {place(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_no_function_outgrows_a_screen() -> None:
    sizes = {
        f"{place(path, node)} {node.name}": lines_of(node) for path, tree in TREES.items() for node in functions(tree)
    }
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_function_takes_more_than_five_parameters() -> None:
    counts = {
        f"{place(path, node)} {node.name}": parameters_of(node)
        for path, tree in TREES.items()
        for node in functions(tree)
    }
    assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


def test_no_block_stands_deeper_than_three() -> None:
    depths = {
        f"{place(path, node)} {node.name}": depth_of(node) for path, tree in TREES.items() for node in functions(tree)
    }
    assert {name: depth for name, depth in depths.items() if depth > DEEPEST} == {}


def test_the_way_through_fits_on_a_screen() -> None:
    tree = TREES[PACKAGE / "exchange" / "serve.py"]
    exchange = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Exchange")
    serve = next(node for node in functions(exchange) if node.name == "serve")
    assert lines_of(serve) <= MOST_LINES_OF_SERVE


def test_there_are_no_globals() -> None:
    found = [
        place(path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Global)
    ]
    assert found == []


def caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"everything"}
    return {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_nobody_catches_everything_but_the_named_places() -> None:
    """`BaseException` may be caught to clean up, if it goes on from there."""
    found = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = caught(node)
            swallowed = "BaseException" in names and not raises_again(node)
            everything = "Exception" in names and place(path) not in MAY_CATCH_EVERYTHING
            if "everything" in names or swallowed or everything:
                found.append(place(path, node))
    assert found == []


def test_money_is_no_float() -> None:
    money = {path: tree for path, tree in TREES.items() if MONEY.fullmatch(place(path))}
    assert money
    found = [
        place(path, node)
        for path, tree in money.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    assert found == []


def test_nothing_is_named_after_nothing() -> None:
    modules = [
        place(path)
        for path in FILES
        if any(FORBIDDEN.search(p.removesuffix(".py")) for p in path.relative_to(PACKAGE).parts)
    ]
    named = [
        f"{place(path, node)} {node.name}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, Function) and FORBIDDEN.search(node.name) and node.name not in GIVEN)
        or (isinstance(node, ast.ClassDef) and FORBIDDEN_CLASS.search(node.name))
    ]
    assert modules + named == []


def asks_for_stream(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "stream"


def test_nobody_branches_on_stream_but_the_named_places() -> None:
    asking = {
        place(path)
        for path, tree in TREES.items()
        if layer_of(path) not in ("wire", "translate", "dialects")
        if any(asks_for_stream(node) for node in ast.walk(tree))
    }
    assert asking - set(MAY_ASK_FOR_STREAM) == set()
    assert set(MAY_ASK_FOR_STREAM) - asking == set(), "an exception nobody needs any more"


def test_every_module_says_its_job_in_its_first_line() -> None:
    silent = [place(path) for path, tree in TREES.items() if not (ast.get_docstring(tree) or "").strip()]
    assert silent == []


# the measures themselves, on small pieces whose answer is known

BREACHES = [
    ("wire/x.py", "def f():\n    from proxy.policy import names\n", 1),
    ("wire/x.py", "import proxy.web.client.api\n", 1),
    ("wire/x.py", "from ..policy import names\n", 1),
    ("wire/x.py", "from proxy import policy\n", 1),
    ("wire/x.py", "from . import call\nfrom .call import Call\nfrom proxy.errors import InvalidJson\n", 0),
    ("policy/x.py", "from proxy.data import path\n", 1),
    ("web/x.py", "from proxy import policy, __version__\nimport proxy.wire.call as c\n", 0),
    ("secret.py", "from proxy.errors import ProxyError\n", 1),
]


@pytest.mark.parametrize(("path", "source", "breaches"), BREACHES)
def test_the_measure_of_layers_sees_every_kind_of_import(path: str, source: str, breaches: int) -> None:
    assert len(broken_layers(PACKAGE / path, ast.parse(source))) == breaches


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("utils", True),
        ("form_helper", True),
        ("base", True),
        ("base_for", True),
        ("database", False),
        ("commonly", False),
    ],
)
def test_the_measure_of_names_knows_words_from_letters(name: str, forbidden: bool) -> None:
    assert bool(FORBIDDEN.search(name)) is forbidden
