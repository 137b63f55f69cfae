"""Writes the lists of models shipped in proxy/data from the packages genai-prices and litellm (`make catalogue`).

The same versions always write the same bytes. Each file has the shape of OpenRouter's /models, so that one parser
reads them and the live feed: openrouter.json (names, and OpenRouter's prices), and one file a vendor (ids as the vendor
spells them); images.json is what `catalogue_images.py` holds. Costs are counted by the vendor's own prices
(genai-prices; else litellm), holds are taken at the
dearer ones, which stand under `hold` where the two disagree; every disagreement is printed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from tools import catalogue_genai as genai
from tools import catalogue_litellm as litellm
from tools.catalogue_images import write_images
from tools.catalogue_rows import Prices, Row, agree, as_json, merged, without_repetitions

DATA = Path(__file__).parent.parent / "proxy" / "data"
FIRST, SECOND = "genai-prices", "litellm"

# genai-prices still has last year's price of these; the second source names the vendor's page for this year's.
STALE = {("deepseek", "deepseek-chat"), ("deepseek", "deepseek-reasoner"), ("mistral", "mistral-large-latest")}

# What neither source tells, and the vendor's page does: the fee of each search that Moonshot's `$web_search` asks for.
FEES = {"moonshot": ("platform.kimi.ai", {"web_search": "0.005"})}
READ = {"moonshot": {"platform.kimi.ai": "docs/pricing/tools"}}

Entry = dict[str, object]


def main() -> None:
    """Write every file; print what the sources disagree about, and what of them has no place here."""
    version, table = litellm.table()
    versions = {FIRST: genai.package(), SECOND: version}
    today = made(DATA / "openrouter.json", versions)
    first, second, hosted = genai.vendors_rows(today), litellm.vendors_rows(table), litellm.elsewhere(table)
    for vendor in sorted({*first, *second}):
        own, other = first.get(vendor, {}), second.get(vendor, {})
        names = [name for name in dict.fromkeys([*own, *other]) if is_name(name)]
        told: list[str] = []
        entries = []
        for name in names:
            one = own.get(name) or undated(name, own, other)
            rows = one, other.get(name) or relative(name, one, (other, hosted))
            found = entry(name, rows, told, stale=(vendor, name) in STALE)
            entries.append((name not in other, with_fees(vendor, found)))
        write(DATA / f"{vendor}.json", folded(entries), (versions | READ.get(vendor, {}), today))
        for line in told:
            print(f"{vendor}: {line}")
    listed = genai.openrouter_rows(today)
    models = ({"id": name, "canonical_slug": slug} | entry(name, (row, None), []) for name, slug, row in listed)
    write(DATA / "openrouter.json", models, (versions, today))
    write_images(DATA / "images.json")
    for key, count in sorted(Counter(litellm.left_out(table)).items()):
        print(f"left out: {key} ({count} models)")


def made(path: Path, versions: dict[str, str]) -> date:
    """The day these versions came into the files: today, unless they are there already."""
    source = json.loads(path.read_bytes())["source"] if path.exists() else {}
    known = {package["package"]: package["version"] for package in source.get("packages", ())}
    return date.fromisoformat(source["made"]) if known == versions else datetime.now(UTC).date()


def is_name(name: str) -> bool:
    """Whether a client could send it."""
    return name.isprintable() and " " not in name and not name.endswith("*")


def undated(name: str, own: dict[str, Row], other: dict[str, Row]) -> Row | None:
    """The first source's row of the same model without its date, unless the second knows this date to cost otherwise."""
    plain = own.get(genai.DATED.sub("", name))
    return plain if plain and name in other and agree(plain.prices, other[name].prices) else None


def relative(name: str, one: Row | None, lists: tuple[dict[str, Row], dict[str, Row]]) -> Row | None:
    """What the second source says of the same model under another of its names: without its date, with one, as
    another vendor's. Prices only where they are the same."""
    main = one.main if one else name
    spelled = dict.fromkeys([name, genai.DATED.sub("", name), name.removesuffix("-latest"), main, f"{main}-latest"])
    for rows in lists:
        dated = [known for known in sorted(rows, reverse=True) if genai.DATED.sub("", known) in spelled]
        for found in (rows[known] for known in (*spelled, *dated) if known in rows):
            return found if one is None or agree(one.prices, found.prices) else replace(found, prices=Prices())
    return None


def entry(name: str, rows: tuple[Row | None, Row | None], told: list[str], *, stale: bool = False) -> Entry:
    """One member of `data`, fact by fact; what the sources disagree about goes into `told`."""
    one, two = (row or Row() for row in rows)
    cost, hold, words = merged(two.prices, one.prices) if stale else merged(one.prices, two.prices)
    told += [f"{name}: {word}" for word in words]
    context = max(one.context or 0, two.context or 0) or None
    if one.context and two.context and one.context != two.context:
        told.append(f"{name}: window {one.context} or {two.context}")
    found: Entry = {"id": name}
    if one.name and one.name.lower() != name:
        found["name"] = one.name
    found |= {"context_length": context} if context else {}
    if two.max_output:  # what answers in a chat is part of its window
        found["max_output"] = min(two.max_output, context or two.max_output) if "chat" in two.modes else two.max_output
    found["pricing"] = pricing(cost, hold)
    found |= {"modes": two.modes} if two.modes else {}
    found |= {"takes": two.takes} if two.takes else {}
    found["sources"] = sources(found, *((Row(), two) if stale else (one, two)))
    if two.page:
        found["page"] = two.page
    return found


def with_fees(vendor: str, found: Entry) -> Entry:
    """The entry with what only the vendor's page tells."""
    if vendor not in FEES:
        return found
    (page, fees), prices, said = FEES[vendor], dict(found["pricing"]), dict(found["sources"])  # type: ignore[call-overload]
    for source, facts in said.items():
        if "pricing" in facts:
            said[source] = [*(key for key in prices if key != "hold"), *(fact for fact in facts if fact != "pricing")]
    return {**found, "pricing": {**prices, **fees}, "sources": {**said, page: [*fees]}}


def pricing(cost: Prices, hold: Prices) -> Entry:
    """The `pricing` member. "-1": what a token costs is unknown, or not charged by the token at all. What is charged by the call
    and by nothing else has tokens for nothing."""
    tidy = without_repetitions(cost)
    found = as_json(tidy)
    if not {"prompt", "completion", "request"} & cost.keys.keys():
        found = {"prompt": "-1", "completion": "-1", **found}
    found.setdefault("prompt", "0")
    found.setdefault("completion", "0")
    if hold:
        found["hold"] = as_json(hold)
    return found


def sources(found: Entry, one: Row, two: Row) -> dict[str, list[str]]:
    """Which facts come from where: all of `pricing` in a word where one source has said it all."""
    keys = [key for key in found["pricing"] if key != "hold"]  # type: ignore[attr-defined]
    said = {*one.prices.keys} | {
        name for name in ("overrides", "variants", "factors", "pictures") if getattr(one.prices, name)
    }
    said |= {"prompt", "completion"} if one.prices else set()
    firsts, seconds = [key for key in keys if key in said], [key for key in keys if key not in said]
    by = {FIRST: firsts if seconds else ["pricing"], SECOND: seconds if firsts else ["pricing"]}
    by = {FIRST: by[FIRST] if firsts else [], SECOND: by[SECOND] if seconds else []}
    if "context_length" in found:
        by[FIRST if (one.context or 0) >= (two.context or 0) else SECOND].append("context_length")
    by[SECOND] += [fact for fact in ("max_output", "modes", "takes") if fact in found]
    return {source: facts for source, facts in by.items() if facts}


def folded(entries: list[tuple[bool, Entry]]) -> Iterator[Entry]:
    """Names of which all the same is said become `aliases` of the shortest of them without a date, rather of one that
    is no mere spelling (the flag beside each)."""
    groups: dict[str, list[Entry]] = {}
    spellings = {str(found["id"]) for is_spelling, found in entries if is_spelling}
    for _, found in entries:
        facts = {key: value for key, value in found.items() if key not in ("id", "name")}
        groups.setdefault(json.dumps([facts, genai.DATED.sub("", family(str(found["id"])))]), []).append(found)
    for group in groups.values():
        group.sort(key=lambda found: rank(str(found["id"]), spellings))
        first, *others = group
        named = next((found["name"] for found in group if "name" in found), None)
        aliases = [str(found["id"]) for found in others]
        yield {
            "id": first["id"],
            **({"name": named} if named else {}),
            **({"aliases": aliases} if aliases else {}),
            **first,
        }


def rank(name: str, spellings: set[str]) -> tuple[bool, bool, int, str]:
    """The first in this order is the name that others are aliases of."""
    return genai.DATED.search(name) is not None, name in spellings, len(name), name


def family(name: str) -> str:
    """What two names of one model share: their words, in any order and spelling of versions."""
    return " ".join(sorted(genai.DATED.sub("", name).removesuffix("-latest").replace(".", "-").lower().split("-")))


def write(path: Path, entries: Iterable[Entry], made_from: tuple[dict[str, str], date]) -> None:
    """Write one file, one entry a line, sorted; the first entry of an id wins. Pages are numbered in the head."""
    versions, today = made_from
    unique: dict[str, Entry] = {}
    for item in entries:
        unique.setdefault(str(item["id"]), item)
    pages = sorted({str(item["page"]) for item in unique.values() if "page" in item})
    packages = [
        {"package": name, "version": version, **({"licence": "MIT"} if name in (FIRST, SECOND) else {})}
        for name, version in versions.items()
    ]
    source = json.dumps({"made": today.isoformat(), "packages": packages, "pages": pages})
    lines = []
    for name in sorted(unique):
        item = unique[name]
        if "page" in item:
            item = {**item, "page": pages.index(str(item["page"]))}
        if item.get("canonical_slug") == name:
            item = {key: value for key, value in item.items() if key != "canonical_slug"}
        lines.append(json.dumps(item, separators=(",", ":"), ensure_ascii=False))
    body = ",\n".join(lines)
    path.write_text(f'{{"source":{source},\n"data":[\n{body}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
