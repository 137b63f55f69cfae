"""The parameters of the admin port's queries, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

_QUERY: dict[str, dict[str, Any]] = {
    "interval": {"type": "string", "description": "minute, hour, day or month; none: one row for all the time."},
    "endpoint": {"type": "string", "description": "Only of this endpoint, such as chat/completions, or of a pattern."},
    "flag": {"type": "string", "description": "Only calls whose replies had this flag, or of a pattern."},
    "format": {"type": "string", "description": "json or csv; an Accept header of text/csv asks for the same."},
    "action": {"type": "string", "description": "Only what is called so, such as key.create, or key.*."},
    "actor": {"type": "string", "description": "Only what they did, such as 'uid 1000', or a pattern."},
    "after": {"type": "string", "description": "The id of the event that was read last."},
    "before": {"type": "string", "description": "Only rows before this one: `next` of the answer before."},
    "error": {"type": "string", "description": "Only calls that ended with this code, or a pattern."},
    "outcome": {"type": "string", "description": "ok, failed or refused."},
    "tag": {"type": "string", "description": "Only calls with this tag."},
    "query": {"type": "string", "description": "A part of the name; a whole name tells what is known of it."},
    "author": {"type": "string", "description": "Only of this author, such as anthropic."},
    "takes": {"type": "string", "description": "Only what takes all of these: tools,images,files,audio,json_schema …"},
    "makes": {"type": "string", "description": "Only what makes all of these: text,images,embeddings,speech …"},
    "max_input_usd": {"type": "string", "description": "Only up to this many USD per million input tokens."},
    "max_output_usd": {"type": "string", "description": "Only up to this many USD per million output tokens."},
    "metric": {"type": "string", "description": "cost, first_token, total, errors, flags, judge or feedback."},
    "only": {"type": "string", "description": "Only calls of models of this name, or of a pattern such as gpt-*."},
    "min_context": {"type": "integer", "description": "Only from this context window on, in tokens."},
    "min_output": {"type": "integer", "description": "Only what may write at least so many tokens."},
    "free": {"type": "boolean", "description": "Only what costs nothing."},
    "released": {"type": "string", "description": "Only from this day on; as since."},
    "off": {"type": "boolean", "description": "Those switched off for everybody."},
    "sort": {
        "type": "string",
        "description": "name, input, output, context, largest_output, released, first_token or speed.",
    },
    "max_first_token": {"type": "number", "description": "Only what says its first token within so many seconds."},
    "min_speed": {"type": "number", "description": "Only what says at least so many tokens a second."},
    "by": {
        "type": "string",
        "default": "day",
        "description": "day, month, model, key, provider, tenant, session, flag; several: key,day.",
    },
    "limit": {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000, "description": "So many rows."},
    "key": {"type": "string", "description": "Only keys of this name, or of a pattern such as ci-*."},
    "model": {"type": "string", "description": "Only models of this name, or of a pattern such as openai/*."},
    "provider": {"type": "string", "description": "Only providers of this name, or of a pattern."},
    "session": {"type": "string", "description": "Only the session of this id, or of a pattern."},
    "tenant": {"type": "string", "description": "Only tenants of this name, or of a pattern."},
    "since": {"type": "string", "description": "2026-11-21, 2026-11-21T08:00, today, yesterday or 7d, 6h, 30m (ago)."},
    "until": {"type": "string", "description": "As since; a day counts to its end."},
    "dry_run": {"type": "string", "description": "There, though empty: only say what would change."},
    "section": {"type": "string", "description": "Only changes of this section."},
    "name": {"type": "string", "description": "Only changes of this entry."},
    "yes": {"type": "string", "description": "There, though empty: every provider or budget may be dropped."},
    "target": {"type": "string", "description": "Only what was done to this, such as keys.bob, or a pattern."},
    "tz": {"type": "string", "description": "The zone of days, such as Europe/Berlin. Default: the machine's."},
}

_ANALYTICS_BY = {
    "type": "string",
    "description": "key, tenant, provider, model, endpoint, session, flag; several: key,model. Default: one row an interval.",
}
# what a name means at some paths alone
_AT: dict[str, dict[str, dict[str, Any]]] = {
    **{f"/analytics/{name}": {"by": _ANALYTICS_BY} for name in ("usage", "performance", "costs")},
    "/calls/past": {"limit": {**_QUERY["limit"], "default": 50, "maximum": 500}},
    "/models": {"limit": {"type": "integer", "minimum": 1, "description": "So many models. Default: all."}},
}


def query_schema(path: str, name: str) -> dict[str, Any]:
    """What a parameter of a query may be at this path."""
    return _AT.get(path, {}).get(name, _QUERY[name])
