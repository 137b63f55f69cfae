"""Where a model is to be had: which provider serves a name, and what it is called there. Aliases and switches aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import islice

from msgspec import Struct

from proxy.policy.names.catalogue import Catalogue, is_author_slug
from proxy.policy.names.families import FAMILIES, anthropic_claude
from proxy.policy.names.spelling import Spelling, known_name, spell
from proxy.policy.names.vendors import direct_providers, serves_bare, serves_others
from proxy.policy.values import Provider, Settings, Target

_TUNED = "openai/ft:"


class Way(Struct, frozen=True):
    """One target and its `author/slug`. `is_guess`: it takes names that mean nothing here."""

    target: Target
    slug: str
    is_guess: bool = False


class Places:
    """The rules below aliases, under one configuration, catalogue and set of providers' lists."""

    __slots__ = (
        "_authors",
        "_catalogue",
        "_direct",
        "_listers",
        "_providers",
        "_settings",
        "labels",
        "listed",
        "openrouter",
    )

    def __init__(self, settings: Settings, catalogue: Catalogue, listed: Mapping[str, frozenset[str]]) -> None:
        """Work out once what every call needs. `labels` are what models only a direct provider lists are called in a plan,
        `listed` what each of them lists; `openrouter` is the name of its provider."""
        self._settings = settings
        self._providers = settings.providers
        self._catalogue = catalogue
        self.openrouter = next((p.name for p in settings.providers.values() if p.kind == "openrouter"), None)
        self._authors = catalogue.authors.union(FAMILIES.values())
        self._direct = direct_providers(settings.providers)
        self.listed = {
            name: listed[name] for name, p in settings.providers.items() if p.kind != "openrouter" and name in listed
        }
        self._listers = _listers(self.listed)
        self.labels = frozenset(_way(one, name).slug for name, all_ in self._listers.items() for one in all_)

    def reaches(self, slug: str) -> bool:
        """Whether a model of the catalogue can be had; a direct provider's own list knows better."""
        if self.openrouter is not None:
            return "/" in slug
        provider = self._direct.get(slug.partition("/")[0])
        return provider is not None and ":" not in slug and not self.listed.get(provider)

    def listed_names(self) -> Iterable[str]:
        """Yield what direct providers list, spelled so that it reaches them."""
        for provider, ids in self.listed.items():
            for spelled in sorted(ids):
                names = (spelled, f"{provider}/{spelled}")
                reaching = (n for n in names if (way := self.place(n)) and way.target == Target(provider, spelled))
                yield from islice(reaching, 1)

    def place_at(self, at: str, name: str, *, is_ours: bool) -> Way | None:
        """What `name` is called at a provider; None for another's, and for what OpenRouter cannot have.

        `is_ours`: an alias names it, and nobody asked a vendor for the model of another.
        """
        if (way := self.at_provider(name)) is not None:
            return way if way.target.provider == at else None
        spelling, provider = spell(self._catalogue, name), self._providers[at]
        if spelling is None:
            takes_any = provider.kind != "openrouter" or self._settings.unknown_models == "pass"
            return _way(at, name) if takes_any else None
        if is_ours and not serves_others(provider, spelling.author):
            return None
        return Way(Target(at, self._spelled_for(provider, spelling)), spelling.slug)

    def place(self, name: str) -> Way | None:
        """Apply the rules below aliases, in their order."""
        way = self.at_provider(name)
        if way is None and (spelling := spell(self._catalogue, name)) is not None:
            way = self._by_author(spelling)
        if way is not None:
            return way
        if (provider := self._routed(name) or self._only_lister(name)) is not None:
            return _way(provider, name)
        provider = self._any_taker()
        return None if provider is None else _way(provider, name, is_guess=True)

    def at_provider(self, name: str) -> Way | None:
        """`<provider>/<rest>`, unless the provider's name is an author's and the rest one of its slugs."""
        head, _, rest = name.partition("/")
        if not rest:
            return None
        provider = self._providers.get(head)
        if provider is None and head == "openrouter" and self.openrouter is not None:
            provider = self._providers[self.openrouter]
        if provider is None:
            return None
        if provider.kind == "openrouter":
            model = rest if "/" in rest else f"openrouter/{rest}"
            return Way(Target(provider.name, model), known_name(self._catalogue, model) or model)
        if head in self._authors and is_author_slug(name):
            return None
        return Way(Target(head, rest), name)

    def _by_author(self, spelling: Spelling) -> Way | None:
        """Routes, else OpenRouter, else the author's direct provider. What the catalogue does not
        know and one direct provider lists is that provider's; fine-tunes are on no other account."""
        provider = self._routed(spelling.authored) or self._routed(spelling.slug)
        if provider is None and known_name(self._catalogue, spelling.slug) is None:
            provider = self._only_lister(spelling.sent)
        if provider is None and not spelling.slug.startswith(_TUNED):
            provider = self.openrouter
        if provider is None:
            provider = self._direct.get(spelling.author)
        if provider is None:
            return None
        is_own = spelling.slug.startswith(_TUNED) and provider != self.openrouter
        sent = self._spelled_for(self._providers[provider], spelling)
        return Way(Target(provider, sent), spelling.slug, is_guess=is_own)

    def _spelled_for(self, provider: Provider, spelling: Spelling) -> str:
        """Spell a model as its provider does: what it lists is beyond doubt, a vendor drops the author."""
        if provider.kind == "openrouter":
            return spelling.openrouter
        listed = self.listed.get(provider.name, frozenset())
        plain = spelling.authored.partition("/")[2]
        if spelling.sent in listed or (plain not in listed and not serves_bare(provider, spelling.author)):
            return spelling.sent
        return anthropic_claude(plain) if spelling.author == "anthropic" and plain not in listed else plain

    def _routed(self, name: str) -> str | None:
        """Return the provider of the first route that matches."""
        return next((row.provider for row in self._settings.routes if fnmatchcase(name, row.match)), None)

    def _only_lister(self, name: str) -> str | None:
        """Return the one direct provider that lists a name."""
        listers = self._listers.get(name, ())
        return listers[0] if len(listers) == 1 else None

    def _any_taker(self) -> str | None:
        """Return the provider that takes any name as it is: an only one, or the first where unknown names pass."""
        is_only = len(self._providers) == 1 and self.openrouter is None
        takes_any = is_only or self._settings.unknown_models == "pass"
        return next(iter(self._providers), None) if takes_any else None


def _way(provider: str, name: str, *, is_guess: bool = False) -> Way:
    """Send a name as it is."""
    return Way(Target(provider, name), name if is_author_slug(name) else f"{provider}/{name}", is_guess)


def _listers(listed: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Map each listed name to who lists it; Ollama's `:latest` may be left out."""
    listers: dict[str, list[str]] = {}
    for provider, ids in listed.items():
        for name in {*ids, *(listed_id.removesuffix(":latest") for listed_id in ids)}:
            listers.setdefault(name, []).append(provider)
    return listers
