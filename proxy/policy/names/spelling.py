"""How one model name is read and respelled: as sent, with its author, as OpenRouter and the catalogue call it."""

from __future__ import annotations

from msgspec import Struct

from proxy.policy.names.catalogue import PRESET, Catalogue, is_author_slug, split_variant
from proxy.policy.names.families import author_of, openrouter_claude


class Spelling(Struct, frozen=True):
    """A model as the client sent it, as `author/…` in the client's spelling, as OpenRouter
    wants it sent, and as the catalogue calls it."""

    sent: str
    authored: str
    openrouter: str
    slug: str

    @property
    def author(self) -> str:
        """Who makes the model; `@preset` is nobody."""
        return self.slug.partition("/")[0].lstrip("~")


def spell(catalogue: Catalogue, name: str) -> Spelling | None:
    """Read a name as a model of OpenRouter's; None if it cannot be one."""
    if name.startswith(PRESET) and name != PRESET and name.isprintable():
        return Spelling(name, name, name, name)
    if not is_author_slug(name):
        return _spell_bare(catalogue, name)
    if (known := known_name(catalogue, name)) is not None:
        return Spelling(name, name, name, known)
    respelled = _known_claude(catalogue, name) or name
    return Spelling(name, name, respelled, respelled)


def known_name(catalogue: Catalogue, name: str) -> str | None:
    """Return the id, with the variant and preset of `name`, if the catalogue has the model."""
    plain, preset, preset_name = name.partition(PRESET)
    if (model := catalogue.get(plain)) is not None:
        return model.id + preset + preset_name
    plain, variant = split_variant(plain)
    model = catalogue.get(plain)
    return None if model is None else model.id + variant + preset + preset_name


def _known_claude(catalogue: Catalogue, name: str) -> str | None:
    """Return `anthropic/claude-3.5-sonnet` for `anthropic/claude-3-5-sonnet-20241022`."""
    author, _, slug = name.partition("/")
    return known_name(catalogue, f"{author}/{_respelled(slug)}") if author == "anthropic" else None


def _respelled(slug: str) -> str:
    """Spell a Claude as OpenRouter does, its variant and preset kept."""
    plain, preset, preset_name = slug.partition(PRESET)
    plain, variant = split_variant(plain)
    return openrouter_claude(plain) + variant + preset + preset_name


def _spell_bare(catalogue: Catalogue, name: str) -> Spelling | None:
    """Find the author of a bare name: by the catalogue, else by family."""
    plain = name.partition(PRESET)[0]
    family = author_of(plain)
    for slug in (plain, split_variant(plain)[0]):
        owners = catalogue.by_slug(slug)
        owner = next((m for m in owners if m.id.startswith(f"{family}/")), owners[0] if owners else None)
        if owner is not None:
            found = owner.id + name.removeprefix(slug)
            return Spelling(name, f"{owner.id.partition('/')[0]}/{name}", found, found)
    # A colon that starts no variant is a tag of Ollama's, or a fine-tune's of OpenAI's.
    is_tagged = ":" in split_variant(plain)[0] and not plain.startswith("ft:")
    if family is None or is_tagged or not is_author_slug(f"{family}/{name}"):
        return None
    found = f"{family}/{_respelled(name)}"
    return Spelling(name, f"{family}/{name}", found, found)
