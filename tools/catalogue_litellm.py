"""Reads the model table inside the litellm package, as data: nothing of the package is imported."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tools.catalogue_rows import Prices, Row
from tools.catalogue_words import ENDPOINTS, FREE, GIVEN_AWAY, MODES, TAKES, TIERS, TOKENS, UNITS, VENDORS, WRITES

_TABLE = "litellm/model_prices_and_context_window_backup.json"

_SUFFIX = re.compile(r"(?P<base>.+?)(?:_above_(?P<k>\d+)k_tokens)?(?:_(?P<tier>priority|flex|batches|ultrafast))?")
_PICTURE = re.compile(r"(?:(?P<quality>[a-z]+)/)?(?P<width>\d+)-x-(?P<height>\d+)/(?P<model>.+)")
_CLASSES = re.compile(r"(together-ai|fireworks-ai)-")
_REGIONS = re.compile(r"(?:eu|us|global)[/.]")


def table() -> tuple[str, dict[str, dict[str, Any]]]:
    """The package's version, and its rows by their id there; numbers are exact."""
    package = distribution("litellm")
    data = Path(str(package.locate_file(_TABLE))).read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = json.loads(data, parse_float=Decimal)
    rows.pop("sample_spec", None)
    return package.version, {name: row for name, row in rows.items() if isinstance(row, dict)}


def vendors_rows(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Row]]:
    """What the table says, by vendor and the id the vendor knows."""
    found: dict[str, dict[str, Row]] = {}
    pictures: dict[tuple[str, str], dict[str, Decimal]] = {}
    for name, row in sorted(rows.items(), key=lambda item: "/" not in item[0]):  # the prefixed spelling first
        vendor, prefix = VENDORS.get(str(row.get("litellm_provider")), ("", ""))
        model = name.removeprefix(prefix)
        if not vendor or _CLASSES.match(model) or _REGIONS.match(model) or model == "container":
            continue
        if sized := _PICTURE.fullmatch(model):
            pictures.setdefault((vendor, sized["model"]), {})[_picture_name(sized)] = _picture_usd(row, sized)
        else:
            found.setdefault(vendor, {}).setdefault(model, _row(row, vendor, model))
    _add_aliases(rows, found)
    for (vendor, model), prices in pictures.items():
        found[vendor].setdefault(model, Row(modes=("image",))).prices.pictures |= prices
    session = rows.get("openai/container", {}).get("code_interpreter_cost_per_session")
    for openai in found["openai"].values() if session is not None else ():
        if {"chat", "responses"} & set(openai.modes):
            openai.prices.keys["code_session"] = Decimal(str(session))
    _tell_previews(found["openai"])
    return found


def _tell_previews(rows: dict[str, Row]) -> None:
    """The fee of a search of a model that does not reason is that of the tool `web_search_preview`, and of all such models."""
    keys = [
        row.prices.keys
        for name, row in rows.items()
        if "tools" in row.takes and "reasoning" not in row.takes and "-search-" not in name
    ]
    fees = [one.pop("web_search") for one in keys if "web_search" in one]
    for one in keys if fees else ():
        one["web_search_preview"] = max(fees)


def _add_aliases(rows: dict[str, dict[str, Any]], found: dict[str, dict[str, Row]]) -> None:
    """`alias_of` names another row of the table: `xai/grok-latest`."""
    for name, row in rows.items():
        meant = row.get("alias_of")
        vendor, prefix = VENDORS.get(str(rows.get(str(meant), {}).get("litellm_provider")), ("", ""))
        is_here = name.startswith(prefix) if prefix and str(meant).startswith(prefix) else "/" not in name
        if vendor and is_here and (known := found[vendor].get(str(meant).removeprefix(prefix))):
            found[vendor].setdefault(name.removeprefix(prefix), known)


def _row(row: dict[str, Any], vendor: str, model: str) -> Row:
    modes = [MODES[row["mode"]]] if row.get("mode") in MODES else []
    if vendor in ("openai", "xai"):
        modes += [ENDPOINTS[path] for path in row.get("supported_endpoints", ()) if path in ENDPOINTS]
    return Row(
        context=_whole(row.get("max_input_tokens")),
        max_output=_whole(row.get("max_output_tokens")) if WRITES & set(modes) else None,
        modes=tuple(dict.fromkeys(modes)),
        takes=_takes(row),
        prices=GIVEN_AWAY if (vendor, model) in FREE else _prices(row, vendor, modes),
        page=row.get("source") if str(row.get("source", "")).startswith("https://") else None,
    )


def _takes(row: dict[str, Any]) -> tuple[str, ...]:
    given = {name for name, marks in TAKES.items() if any(row.get(mark) is True for mark in marks)}
    modalities = {"image": "pictures", "audio": "audio", "video": "video"}
    given |= {modalities[name] for name in row.get("supported_modalities", ()) if name in modalities}
    return tuple(name for name in TAKES if name in given)


def _whole(value: object) -> int | None:
    number = int(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else 0
    return number if number > 0 else None


def _prices(row: dict[str, Any], vendor: str, modes: list[str]) -> Prices:
    found = Prices()
    for key, usd in row.items():
        parts = _SUFFIX.fullmatch(key)
        if parts is None or parts["base"] not in TOKENS or not isinstance(usd, int | Decimal):
            continue
        _put(found, (TOKENS[parts["base"]], int(parts["k"] or 0) * 1000 or None, parts["tier"]), Decimal(usd))
    _tell_long_prompts(found, row)
    _leave_out_nothings(found, modes)
    if not found.keys.get("prompt") and not found.keys.get("completion"):
        units = {ours: Decimal(row[theirs]) for theirs, ours in UNITS.items() if row.get(theirs)}
        found.keys = (found.keys if "embedding" in modes or "moderation" in modes else {}) | units
        if "output_cost_per_second" in row and not units:
            found.keys["output_second"] = Decimal(row["output_cost_per_second"])
    _tell_pictures(found, row, modes)
    _tell_searches(found, row, vendor)
    special = row.get("provider_specific_entry", {})
    if "us" in special:
        found.factors["inference_geo", "us"] = Decimal(special["us"])
    if "fast" in special:
        found.factors["speed", "fast"] = Decimal(special["fast"])
    return found


def _put(found: Prices, where: tuple[str, int | None, str | None], usd: Decimal) -> None:
    key, long, tier = where
    prices = found if tier is None else found.variants.setdefault(TIERS[tier], Prices())
    keys = prices.keys if long is None else prices.overrides.setdefault((long, None, None), {})
    keys[key] = usd


def _tell_long_prompts(found: Prices, row: dict[str, Any]) -> None:
    """`tiered_pricing` by the length of the prompt, `off_peak_pricing` by the hour: its weekends are left out, so that
    they are never too cheap."""
    for tier in row.get("tiered_pricing", ()):
        start = int(tier.get("range", [0])[0])
        keys = {ours: Decimal(tier[theirs]) for theirs, ours in TOKENS.items() if theirs in tier}
        if start:
            found.overrides.setdefault((start, None, None), {}).update(keys)
        else:
            found.keys.update(keys)
    cheap = row.get("off_peak_pricing", {})
    for window in cheap.get("windows", ()):
        for hours in window["hours_utc"] if isinstance(window["hours_utc"], list) else ():
            start, end = (int(clock.replace(":", "")) for clock in hours.split("-"))
            keys = {ours: Decimal(cheap[theirs]) for theirs, ours in TOKENS.items() if theirs in cheap}
            found.overrides[None, start, end or 2400] = keys


def _leave_out_nothings(found: Prices, modes: list[str]) -> None:
    """A cache price of 0 says that there is none, and what equals the plain price says nothing new. No model that
    writes is free at a vendor: 0 there is a price nobody filled in."""
    for prices in (found, *found.variants.values()):
        for keys in (prices.keys, *prices.overrides.values()):
            for key in [key for key, usd in keys.items() if not usd and key not in ("prompt", "completion")]:
                del keys[key]
            for key, base in (("internal_reasoning", "completion"), ("image_token", "prompt"), ("audio", "prompt")):
                if key in keys and keys[key] == keys.get(base):
                    del keys[key]
        prices.overrides = {when: keys for when, keys in prices.overrides.items() if keys}
    writes = {"chat", "responses", "completion"} & set(modes)
    if writes and not found.keys.get("prompt") and not found.keys.get("completion"):
        found.keys.clear()
    for prices in (found, *found.variants.values()):
        if not writes and not prices.keys.get("completion", 1):
            del prices.keys["completion"]


def _tell_pictures(found: Prices, row: dict[str, Any], modes: list[str]) -> None:
    draws = "image" in modes
    for key, usd in row.items():
        if key.startswith("output_cost_per_image") and not key.startswith("output_cost_per_image_token"):
            found.pictures["/" + key.removeprefix("output_cost_per_image").strip("_")] = Decimal(usd)
    each = row.get("input_cost_per_image")
    if each and draws and not found.pictures and "prompt" not in found.keys:
        found.pictures["/"] = Decimal(each)
    elif each and "image_token" not in found.keys and not draws:
        found.keys["image"] = Decimal(each)


def _tell_searches(found: Prices, row: dict[str, Any], vendor: str) -> None:
    by_context = row.get("search_context_cost_per_query") or {}
    sizes = {size: Decimal(by_context.get(f"search_context_size_{size}", 0)) for size in ("low", "medium", "high")}
    if not any(sizes.values()):
        return
    if vendor == "perplexity":  # every call searches: a fee for the call
        found.keys["request"] = max(sizes.values())
        return
    found.keys["web_search"] = sizes["medium"] or max(sizes.values())
    for size in ("low", "high"):
        if sizes[size] and sizes[size] != found.keys["web_search"]:
            found.keys[f"web_search_{size}"] = sizes[size]


def _picture_name(sized: re.Match[str]) -> str:
    return f"{sized['quality'] or ''}/{sized['width']}x{sized['height']}"


def _picture_usd(row: dict[str, Any], sized: re.Match[str]) -> Decimal:
    """A price per picture, or per pixel; litellm's old rows say `input` where they mean what is drawn."""
    for each in ("output_cost_per_image", "input_cost_per_image"):
        if each in row:
            return Decimal(row[each])
    pixels = int(sized["width"]) * int(sized["height"])
    per_pixel = max(Decimal(row.get(key, 0)) for key in ("input_cost_per_pixel", "output_cost_per_pixel"))
    return (per_pixel * pixels).quantize(Decimal("0.0001"))


def elsewhere(rows: dict[str, dict[str, Any]]) -> dict[str, Row]:
    """Sizes and abilities by a model's bare name, as the clouds say that OpenAI and Anthropic serve from, else as most others
    do: for models that have no row of their vendor's any more."""
    told: dict[str, Counter[tuple[int | None, int | None, str, tuple[str, ...]]]] = {}
    for name, row in rows.items():
        is_cloud = str(row.get("litellm_provider")).startswith(("bedrock", "vertex_ai", "azure"))
        vendors_own = is_cloud and ("claude" in name or "gpt" in name)
        if row.get("mode") in MODES:
            bare = re.sub(r"(-v\d)?(:\d+)?$", "", name.rpartition("/")[2].rpartition("anthropic.")[2]).replace("@", "-")
            facts = _whole(row.get("max_output_tokens")), _whole(row.get("max_input_tokens")), row["mode"], _takes(row)
            told.setdefault(bare, Counter())[facts] += 100 if vendors_own else 1
    found = {}
    for bare, hosts in told.items():
        largest, window, mode, takes = max(hosts, key=lambda facts: (facts[0] is not None, hosts[facts], str(facts)))
        largest = largest if MODES[mode] in WRITES else None
        found[bare] = Row(context=window, max_output=largest, modes=(MODES[mode],), takes=takes)
    return found


def left_out(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Prices of our vendors' rows that no key of ours takes: film by its size, half-days in a cache, maps …"""
    for row in rows.values():
        for key in row if row.get("litellm_provider") in VENDORS else ():
            parts = _SUFFIX.fullmatch(key)
            is_known = parts is not None and parts["base"] in {*TOKENS, *UNITS}
            if "cost" in key and not is_known and not key.startswith(("output_cost_per_image", "input_cost_per_image")):
                yield key
