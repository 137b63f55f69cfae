"""Alert rules as Prometheus has them, as far as its series say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from proxy.policy.alerting.rules import AlertRule

_PIECES = re.compile(r"\[!?[^\]]+\]|.", re.DOTALL)
_DURATIONS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration(seconds: float) -> str:
    """`90m`, as Prometheus and people write it; whole seconds."""
    left = max(1, round(seconds))
    unit, size = next((unit, size) for unit, size in _DURATIONS if left % size == 0)
    return f"{left // size}{unit}"


def why_not(rule: AlertRule) -> str:
    """Why a rule cannot be one of Prometheus; "" where it can."""
    if not rule.enabled:
        return "it is not enabled"
    if not rule.measure.query:
        return f"there is no series for {rule.metric}"
    names = [*rule.only, *([rule.each] if rule.each else [])]
    missing = [name for name in names if name not in rule.measure.labels]
    return f"the series of {rule.metric} has no label {missing[0]}" if missing else ""


def rules_file(rules: Iterable[AlertRule]) -> str:
    """A file for `rule_files:`; a rule that cannot be said so is a comment that says why."""
    every = list(rules)
    said = [rule for rule in every if not why_not(rule)]
    lines = [f"# {rule.name}: {why}" for rule in every if (why := why_not(rule))]
    lines += ["groups:", "  - name: tollkeeper-own", "    rules:" if said else "    rules: []"]
    return "\n".join([*lines, *(line for rule in said for line in _rule(rule)), ""])


def _rule(rule: AlertRule) -> list[str]:
    compared = ">" if rule.above is not None else "<"
    each = f" ({rule.each} {{{{ $labels.{rule.each} }}}})" if rule.each else ""
    return [
        f"      - alert: {json.dumps(rule.name)}",
        f"        expr: {json.dumps(f'{_query(rule)} {compared} {rule.limit:.12g}')}",
        *([f"        for: {duration(rule.for_seconds)}"] if rule.for_seconds else []),
        "        labels:",
        f"          severity: {rule.severity}",
        "        annotations:",
        f"          summary: {json.dumps(f'{rule.metric} of {rule.name}{each}: {{{{ $value }}}}')}",
    ]


def _query(rule: AlertRule) -> str:
    by = [rule.each] if rule.each else []
    where = [f"{label}{_matching(pattern)}" for label, pattern in rule.only.items()]
    text = rule.measure.query.replace("{over}", duration(rule.over_seconds))
    text = text.replace("{by,le}", f" by ({', '.join([*by, 'le'])})")
    text = text.replace("{by}", f" by ({', '.join(by)})" if by else "")
    return re.sub(r"\{where((?:,[^}]*)?)\}", lambda found: _braced([*where, *_more(found[1])]), text)


def _more(text: str) -> list[str]:
    return [text[1:]] if text else []


def _braced(matchers: list[str]) -> str:
    return f"{{{','.join(matchers)}}}" if matchers else ""


def _matching(pattern: str) -> str:
    """A pattern as a matcher; Prometheus' expressions are anchored, and of RE2."""
    if not set(pattern) & set("*?["):
        return f"={json.dumps(pattern)}"
    return f"=~{json.dumps(''.join(_piece(one) for one in _PIECES.findall(pattern)))}"


def _piece(text: str) -> str:
    """A part of an fnmatch pattern as an expression of RE2, which has no atomic groups as Python's own translation has."""
    if len(text) > 1:
        return f"[^{text[2:]}" if text[1] == "!" else text
    return {"*": ".*", "?": "."}.get(text, re.escape(text))
