"""Our configuration as text: sections in the order of config.example.yaml, small things on one line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml

from proxy.config.scalars import plain_scalar

_ORDER = ("providers", "routes", "models", "default_model", "retries", "keys", "limits", "budgets", "log")
_ON_ONE_LINE = frozenset(("timeouts", "price", "defaults", "retries", "log"))
_WIDTH = 120


class _Line(dict[str, Any]):
    """A mapping to stand on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes scalars that our loader reads as they were meant, and everything where it counts: nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        """No `&id001`, whatever is the same object."""
        return True


def _line(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


def _decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    return _number(dumper, format(value, "f"))


def _number(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = None if isinstance(plain_scalar(value), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style=style)


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    return _number(dumper, format(Decimal(getattr(value, "text", None) or repr(value)), "f"))


_Dumper.add_representer(_Line, _line)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(float, _float)


def config_text(config: dict[str, Any], heading: str) -> str:
    """The whole file; sections that say nothing are left out."""
    parts = [f"# {heading}\n"]
    for name in _ORDER:
        if not config.get(name):
            continue
        if name == "routes":  # a row a line, as the first that matches wins
            parts.append("routes:\n" + "".join(f"  - {_dumped(_Line(row))}\n" for row in config[name]))
        else:
            parts.append(_dumped(_lined({name: config[name]})) + "\n")
    return "\n".join(parts)


def _lined(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _Line(item) if key in _ON_ONE_LINE and isinstance(item, dict) else _lined(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_Line(item) if isinstance(item, dict) else item for item in value]
    return value


def _dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text.rstrip("\n")
