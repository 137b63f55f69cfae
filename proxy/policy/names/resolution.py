"""From the model name a client sends to the providers that may serve it, and the name each of them reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import islice

from msgspec import Struct

from proxy.errors import InvalidValue, ModelNotFound
from proxy.policy.names.catalogue import Catalogue, closest, is_author_slug
from proxy.policy.names.families import FAMILIES, anthropic_claude
from proxy.policy.names.spelling import Spelling, known_name, spell
from proxy.policy.names.vendors import direct_providers, serves_bare, serves_others
from proxy.policy.values import Plan, Provider, Settings, Target

# Names resolved once are remembered; a client that invents names must not fill the memory.
MOST_REMEMBERED = 4096
LONGEST_REMEMBERED = 200
_TUNED = "openai/ft:"


class Resolution(Struct, frozen=True):
    """A plan, and the `author/slug` (else `provider/rest`) of its first target, which allow-lists judge.

    `is_guess`: only that provider can say whether there is such a model.
    """

    plan: Plan
    slug: str
    is_guess: bool = False


class _Way(Struct, frozen=True):
    """One target and its `author/slug`. `is_guess`: it takes names that mean nothing here."""

    target: Target
    slug: str
    is_guess: bool = False


class Names:
    """Every name that means something under one configuration, catalogue and set of providers' lists.

    `listed` holds what each direct provider answers at /models. A change of any of the three
    makes a new Names.
    """

    __slots__ = (
        "_authors",
        "_catalogue",
        "_direct",
        "_labels",
        "_listed",
        "_listers",
        "_offered",
        "_openrouter",
        "_providers",
        "_remembered",
        "_settings",
    )

    def __init__(self, settings: Settings, catalogue: Catalogue, listed: Mapping[str, frozenset[str]]) -> None:
        """Work out once what every call needs."""
        self._settings = settings
        self._providers = settings.providers
        self._catalogue = catalogue
        self._openrouter = next((p.name for p in settings.providers.values() if p.kind == "openrouter"), None)
        self._authors = catalogue.authors.union(FAMILIES.values())
        self._direct = direct_providers(settings.providers)
        self._listed = {
            name: listed[name] for name, p in settings.providers.items() if p.kind != "openrouter" and name in listed
        }
        self._listers = _listers(self._listed)
        self._labels = frozenset(_way(one, name).slug for name, all_ in self._listers.items() for one in all_)
        self._remembered: dict[str | None | tuple[str, str | None], Resolution] = {}
        self._offered: tuple[str, ...] = ()

    def look_up(self, model: str | None, at: str | None = None) -> Resolution:
        """Return the plan for a name, None being a call that names none; raises ModelNotFound.

        `at` is the provider, a configured one, that the call wants to be served by; then InvalidValue as well.
        """
        asked = model if at is None else (at, model)
        found = self._remembered.get(asked)
        if found is None:
            found = self._resolve(model) if at is None else self._resolve_at(at, model)
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            if model is None or len(model) <= LONGEST_REMEMBERED:
                self._remembered[asked] = found
        return found

    @property
    def providers(self) -> Collection[str]:
        """The providers a call may name."""
        return self._providers.keys()

    def slug_of(self, name: str) -> str:
        """Return the `author/slug` OpenRouter would take `name` for, aliases and routes aside;
        this is how a name inside the body's `models` or `fallbacks` is read."""
        spelling = spell(self._catalogue, name)
        return name if spelling is None else spelling.slug

    def is_listed(self, label: str) -> bool:
        """Whether `label` is what a model that a direct provider lists is called in a plan."""
        return label in self._labels

    def offered(self) -> tuple[str, ...]:
        """Return the names to list: aliases, then the catalogue's, then those only a direct provider has."""
        if not self._offered:
            names = dict.fromkeys(self._settings.aliases)
            names |= dict.fromkeys(model.id for model in self._catalogue.models if self._reaches(model.id))
            names |= dict.fromkeys(self._listed_names())
            self._offered = tuple(names)
        return self._offered

    def _reaches(self, slug: str) -> bool:
        """Whether a model of the catalogue can be had; a direct provider's own list knows better."""
        if self._openrouter is not None:
            return "/" in slug
        provider = self._direct.get(slug.partition("/")[0])
        return provider is not None and ":" not in slug and not self._listed.get(provider)

    def _listed_names(self) -> Iterable[str]:
        """Yield what direct providers list, spelled so that it reaches them."""
        for provider, ids in self._listed.items():
            for spelled in sorted(ids):
                names = (spelled, f"{provider}/{spelled}")
                reaching = (n for n in names if (way := self._place(n)) and way.target == Target(provider, spelled))
                yield from islice(reaching, 1)

    def _resolve(self, model: str | None) -> Resolution:
        name = self._settings.default_model if model is None else model
        if name is None:
            return self._unnamed()
        ways = self._expand(name, set())
        if not ways:
            raise model_not_found(name, self.offered())
        return self._planned(name, ways)

    def _resolve_at(self, provider: str, model: str | None) -> Resolution:
        """Plan a call that names its provider; the default model counts where that has it."""
        name = self._settings.default_model if model is None else model
        ways = [] if name is None else self._expand(name, set(), provider)
        if ways and name is not None:
            return self._planned(name, ways)
        if model is None:
            return self._unnamed(provider)
        elsewhere = None if model in self._settings.aliases else self._at_provider(model)
        if elsewhere is not None:
            raise InvalidValue("The model's name begins with another provider than the call names.", param="model")
        raise model_not_found(model, self.offered())

    def _planned(self, name: str, ways: list[_Way]) -> Resolution:
        targets = tuple(dict.fromkeys(way.target for way in ways))
        is_alias = name in self._settings.aliases
        plan = Plan(targets, name if is_alias else ways[0].slug, self._defaults(name))
        return Resolution(plan, ways[0].slug, ways[0].is_guess and not is_alias)

    def _unnamed(self, at: str | None = None) -> Resolution:
        """Plan a call that names no model where no default is set: the provider's own default serves it."""
        provider = at or self._openrouter or next(iter(self._providers), None)
        if provider is None:
            raise model_not_found("", ())
        label = f"{provider}/default"
        return Resolution(Plan((Target(provider, ""),), label, rewrite=False), label)

    def _expand(self, name: str, seen: set[str], at: str | None = None) -> list[_Way]:
        """Follow aliases; one already followed stands for the model of that name, so that none loops."""
        alias = None if name in seen else self._settings.aliases.get(name)
        if alias is None:
            way = self._place(name) if at is None else self._place_at(at, name, is_ours=bool(seen))
            return [] if way is None else [way]
        seen.add(name)
        return [way for follow in (alias.target, *alias.fallbacks) for way in self._expand(follow, seen, at)]

    def _place_at(self, at: str, name: str, *, is_ours: bool) -> _Way | None:
        """What `name` is called at a provider; None for another's, and for what OpenRouter cannot have.

        `is_ours`: an alias names it, and nobody asked a vendor for the model of another.
        """
        if (way := self._at_provider(name)) is not None:
            return way if way.target.provider == at else None
        spelling, provider = spell(self._catalogue, name), self._providers[at]
        if spelling is None:
            takes_any = provider.kind != "openrouter" or self._settings.unknown_models == "pass"
            return _way(at, name) if takes_any else None
        if is_ours and not serves_others(provider, spelling.author):
            return None
        return _Way(Target(at, self._spelled_for(provider, spelling)), spelling.slug)

    def _defaults(self, name: str) -> tuple[tuple[str, bytes], ...]:
        """Collect the defaults along a chain of aliases; the one the client named wins."""
        merged: dict[str, bytes] = {}
        seen: set[str] = set()
        while name not in seen and (alias := self._settings.aliases.get(name)) is not None:
            merged = dict(alias.defaults) | merged
            seen.add(name)
            name = alias.target
        return tuple(merged.items())

    def _place(self, name: str) -> _Way | None:
        """Apply the rules below aliases, in their order."""
        way = self._at_provider(name)
        if way is None and (spelling := spell(self._catalogue, name)) is not None:
            way = self._by_author(spelling)
        if way is not None:
            return way
        if (provider := self._routed(name) or self._only_lister(name)) is not None:
            return _way(provider, name)
        provider = self._any_taker()
        return None if provider is None else _way(provider, name, is_guess=True)

    def _at_provider(self, name: str) -> _Way | None:
        """`<provider>/<rest>`, unless the provider's name is an author's and the rest one of its slugs."""
        head, _, rest = name.partition("/")
        if not rest:
            return None
        provider = self._providers.get(head)
        if provider is None and head == "openrouter" and self._openrouter is not None:
            provider = self._providers[self._openrouter]
        if provider is None:
            return None
        if provider.kind == "openrouter":
            model = rest if "/" in rest else f"openrouter/{rest}"
            return _Way(Target(provider.name, model), known_name(self._catalogue, model) or model)
        if head in self._authors and is_author_slug(name):
            return None
        return _Way(Target(head, rest), name)

    def _by_author(self, spelling: Spelling) -> _Way | None:
        """Routes, else OpenRouter, else the author's direct provider. What the catalogue does not
        know and one direct provider lists is that provider's; fine-tunes are on no other account."""
        provider = self._routed(spelling.authored) or self._routed(spelling.slug)
        if provider is None and known_name(self._catalogue, spelling.slug) is None:
            provider = self._only_lister(spelling.sent)
        if provider is None and not spelling.slug.startswith(_TUNED):
            provider = self._openrouter
        if provider is None:
            provider = self._direct.get(spelling.author)
        if provider is None:
            return None
        is_own = spelling.slug.startswith(_TUNED) and provider != self._openrouter
        sent = self._spelled_for(self._providers[provider], spelling)
        return _Way(Target(provider, sent), spelling.slug, is_guess=is_own)

    def _spelled_for(self, provider: Provider, spelling: Spelling) -> str:
        """Spell a model as its provider does: what it lists is beyond doubt, a vendor drops the author."""
        if provider.kind == "openrouter":
            return spelling.openrouter
        listed = self._listed.get(provider.name, frozenset())
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
        is_only = len(self._providers) == 1 and self._openrouter is None
        takes_any = is_only or self._settings.unknown_models == "pass"
        return next(iter(self._providers), None) if takes_any else None


def resolve(names: Names, model: str | None) -> Plan:
    """Return what a call for `model` will try; raises ModelNotFound naming what is nearest."""
    return names.look_up(model).plan


def model_not_found(name: str, candidates: Iterable[str]) -> ModelNotFound:
    """Build the one answer for names unknown and not allowed alike."""
    near = closest(name, (candidate for candidate in candidates if candidate != name))
    hint = f"The nearest names are {', '.join(near)}." if near else "GET /v1/models lists the names that work."
    return ModelNotFound(f"No model of this name is available here. {hint}", param="model")


def _way(provider: str, name: str, *, is_guess: bool = False) -> _Way:
    """Send a name as it is."""
    return _Way(Target(provider, name), name if is_author_slug(name) else f"{provider}/{name}", is_guess)


def _listers(listed: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Map each listed name to who lists it; Ollama's `:latest` may be left out."""
    listers: dict[str, list[str]] = {}
    for provider, ids in listed.items():
        for name in {*ids, *(listed_id.removesuffix(":latest") for listed_id in ids)}:
            listers.setdefault(name, []).append(provider)
    return listers
