"""What several lists say of one model, made one: fact by fact, so that a poorer row hides nothing a richer one knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from proxy.policy.money.pricelist import completed
from proxy.policy.names.catalogue import Model
from proxy.policy.names.vendors import HOSTED_BY_OTHERS

_FEES_OF_TOOLS = ("web_search", "web_search_preview", "file_search", "code_session")
_FACTS = ("context_length", "max_output", "modes", "takes")


def merged(entries: Iterable[Model], *, is_resold: bool = False) -> Model | None:
    """One entry of all, best first, each fact from the first that states it; None where there are none.

    `is_resold`: the first is a reseller's, whose other hosts may write more than the author's own list says, and have not
    the author's tools.
    """
    found = list({id(entry): entry for entry in entries}.values())
    if not found:
        return None
    first, *others = found
    pricing: Mapping[str, Any] = first.pricing
    sources = _said(first)
    told = {fact for facts in sources.values() for fact in facts}
    is_elsewhere = is_resold and _is_hosted_by_others(first)
    for other in others:
        foreign = _FEES_OF_TOOLS if is_elsewhere else ()
        pricing = completed(pricing, {key: usd for key, usd in other.pricing.items() if key not in foreign})
        for source, facts in _said(other).items():
            new = [fact for fact in facts if fact not in told and (fact in pricing or fact in _FACTS)]
            sources[source] = (*sources.get(source, ()), *new)
            told.update(new)
    sized = found[:1] if is_elsewhere else found
    return msgspec.structs.replace(
        first,
        pricing=pricing,
        context_length=next((m.context_length for m in found if m.context_length is not None), None),
        max_output=next((m.max_output for m in sized if m.max_output is not None), None),
        modes=next((m.modes for m in found if m.modes), ()),
        takes=next((m.takes for m in found if m.takes), ()),
        page=next((m.page for m in found if m.page), None),
        sources={source: facts for source, facts in sources.items() if facts},
    )


def _is_hosted_by_others(model: Model) -> bool:
    author, slash, _ = model.id.lstrip("~").partition("/")
    return bool(slash) and author in HOSTED_BY_OTHERS


def _said(model: Model) -> dict[str, tuple[str, ...]]:
    """Which facts an entry's sources said, every price by its key."""
    keys = tuple(key for key in model.pricing if key not in ("hold", "discount"))
    return {
        source: tuple(key for fact in facts for key in (keys if fact == "pricing" else (fact,)))
        for source, facts in model.sources.items()
    }
