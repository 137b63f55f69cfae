"""From the model name a client sends to the providers that may serve it, and the name each of them reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct

from proxy.errors import InvalidValue, ModelNotFound
from proxy.policy.experiments.values import switched_on
from proxy.policy.names.catalogue import Catalogue, closest
from proxy.policy.names.places import Places, Way
from proxy.policy.names.pools import AUTO, BUILT_IN, auto_seats, auto_strategy, pool_of
from proxy.policy.names.spelling import spell
from proxy.policy.names.switches import Switches, names_of
from proxy.policy.strategies import Pool
from proxy.policy.use_cases.chain import defaults_of, sharing_of, use_of
from proxy.policy.use_cases.values import UseCase
from proxy.policy.values import Plan, Settings, Target

# Names resolved once are remembered; a client that invents names must not fill the memory.
_OF_AUTO = 6
MOST_REMEMBERED = 4096
LONGEST_REMEMBERED = 200
_TUNED = "openai/ft:"


class Resolution(Struct, frozen=True):
    """A plan, and the `author/slug` (else `provider/rest`) of its first target, which allow-lists judge.

    `is_guess`: only that provider can say whether there is such a model. `slugs` are those of all targets.
    """

    plan: Plan
    slug: str
    is_guess: bool = False
    slugs: tuple[str, ...] = ()


class Names:
    """Every name that means something under one configuration, catalogue and set of providers' lists.

    `listed` holds what each direct provider answers at /models. A change of any of the three
    makes a new Names.
    """

    __slots__ = (
        "_catalogue",
        "_experiments",
        "_offered",
        "_places",
        "_providers",
        "_remembered",
        "_settings",
        "_switches",
        "_written",
    )

    def __init__(self, settings: Settings, catalogue: Catalogue, listed: Mapping[str, frozenset[str]]) -> None:
        """Work out once what every call needs."""
        self._settings = settings
        self._providers = settings.providers
        self._catalogue = catalogue
        self._places = Places(settings, catalogue, listed)
        self._remembered: dict[str | None | tuple[str, str | None], Resolution] = {}
        self._offered: tuple[str, ...] = ()
        self._written: frozenset[str] | None = None
        self._switches = Switches(settings.model_switches.values())
        trials = switched_on(settings.experiments, settings.features)
        self._experiments = {experiment.model: experiment.name for experiment in trials}

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

    def behind(self, name: str) -> Resolution | None:
        """What a name would lead to, whatever is switched off; None where that is nowhere."""
        ways = self._expand(name, set())
        return self._planned(name, ways) if ways else None

    @property
    def switched_keys(self) -> frozenset[str]:
        """The keys for which models are switched off or on."""
        return self._switches.keys

    def left_for(self, key: str, found: Resolution) -> Plan:
        """The plan less what is switched off for one key. Raises ModelNotFound where nothing is left."""
        plan, switches = found.plan, self._switches
        is_alias = plan.label in self._settings.aliases
        left = tuple(
            target
            for target, slug in zip(plan.targets, found.slugs, strict=False)
            if switches.is_on(names_of(target, slug), key)
        )
        if not left or (is_alias and not switches.is_on((plan.label,), key)):
            raise ModelNotFound("It is switched off for this key.")
        stages = tuple(
            (part, tuple(target for target in targets if switches.is_on(names_of(target, target.model), key)))
            for part, targets in plan.stages
        )
        return msgspec.structs.replace(plan, targets=left, stages=stages)

    def is_on(self, name: str, key: str | None = None) -> bool:
        """Whether a name that goes upstream as it is may be used."""
        slug = self.slug_of(name)
        return self._switches.is_on(names_of(Target("openrouter", slug), slug), key)

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
        return label in self._places.labels

    def is_written(self, label: str) -> bool:
        """Whether `label` is what a target that the configuration writes down is called in a plan, be it in a list or not."""
        if self._written is None:
            settings = self._settings
            arms = [target for experiment in settings.experiments.values() for target in experiment.targets]
            ways = [name for alias in settings.aliases.values() for name in (alias.target, *alias.fallbacks)]
            plans = [found.plan for name in dict.fromkeys((*arms, *ways)) if (found := self.behind(name)) is not None]
            self._written = frozenset(plan.label for plan in plans)
        return label in self._written

    def served_by(self, provider: str) -> frozenset[str]:
        """What a direct provider lists; nothing where it has not answered."""
        return self._places.listed.get(provider, frozenset())

    def offered(self) -> tuple[str, ...]:
        """Return the names to list: aliases, then the catalogue's, then those only a direct provider has."""
        if not self._offered:
            self._offered = tuple(name for name in self._all_names() if not self._switches or self._is_had(name))
        return self._offered

    def switched_off(self) -> tuple[str, ...]:
        """Return the names that would be offered, were they not switched off for everybody."""
        return tuple(name for name in self._all_names() if not self._is_had(name)) if self._switches else ()

    def _all_names(self) -> dict[str, None]:
        aliases = self._settings.aliases.items()
        names = dict.fromkeys(name for name, alias in aliases if alias.use is None or alias.use.name == name)
        names |= dict.fromkeys(model.id for model in self._catalogue.models if self._places.reaches(model.id))
        return names | dict.fromkeys(self._places.listed_names())

    def _is_had(self, name: str) -> bool:
        """Whether a name leads somewhere, or nowhere for another reason than a switch."""
        if name not in self._settings.aliases and not self._switches.is_on(names_of(Target("", name), name)):
            return False
        ways = self._expand(name, set())
        return not ways or bool(self._left(name, ways))

    def _resolve(self, model: str | None) -> Resolution:
        name = self._settings.default_model if model is None else model
        if name is None:
            return self._unnamed()
        if name not in self._settings.aliases and (strategy := auto_strategy(name)) is not None:
            return self._auto(name, strategy)
        ways = self._left(name, self._expand(name, set()))
        if not ways:
            raise model_not_found(name, self.offered())
        found = self._planned(name, ways)
        experiment = self._experiments.get(name) or self._experiments.get(found.plan.label)
        return found if experiment is None else _tried(found, experiment)

    def _auto(self, name: str, strategy: str) -> Resolution:
        """Whatever is offered and chats; the first few stand for all where nobody chooses."""
        known = (*self._settings.strategies, *BUILT_IN)
        if strategy not in known:
            raise model_not_found(name, (f"{AUTO}:{each}" for each in known))
        own = (one for one in self.offered() if one not in self._settings.aliases)
        seats = tuple(auto_seats(own, self._catalogue, lambda one: self._expand(one, set())))
        if not seats:
            raise model_not_found(name, self.offered())
        some = seats[:_OF_AUTO]
        plan = Plan(tuple(seat.target for seat in some), name, pool=Pool(strategy, seats, is_auto=True))
        return Resolution(plan, name, slugs=tuple(seat.slug for seat in some))

    def _left(self, name: str, ways: list[Way]) -> list[Way]:
        """The ways that are not switched off for everybody."""
        switches = self._switches
        if not switches:
            return ways
        if name in self._settings.aliases and not switches.is_on((name,)):
            return []
        return [way for way in ways if switches.is_on(names_of(way.target, way.slug))]

    def _resolve_at(self, provider: str, model: str | None) -> Resolution:
        """Plan a call that names its provider; the default model counts where that has it. Of candidates those at that
        provider go before those that it may have as well."""
        name = self._settings.default_model if model is None else model
        ways = [] if name is None else self._left(name, self._expand(name, set(), provider))
        if ways and name is not None:
            if (alias := self._settings.aliases.get(name)) is not None and alias.candidates:
                there = {way.target for way in self._expand(name, set())}
                ways.sort(key=lambda way: way.target not in there)
            return self._planned(name, ways)
        if model is None:
            return self._unnamed(provider)
        elsewhere = None if model in self._settings.aliases else self._places.at_provider(model)
        if elsewhere is not None:
            raise InvalidValue("The model's name begins with another provider than the call names.", param="model")
        raise model_not_found(model, self.offered())

    def _planned(self, name: str, ways: list[Way]) -> Resolution:
        slugs = {way.target: way.slug for way in reversed(ways)}
        targets = tuple(dict.fromkeys(way.target for way in ways))
        own, aliases = tuple(slugs[target] for target in targets), self._settings.aliases
        alias = aliases.get(name)
        if alias is None:
            return Resolution(Plan(targets, ways[0].slug), ways[0].slug, ways[0].is_guess, own)
        label = name if alias.use is None else alias.use.name  # which is not asked for its versions
        use = use_of(aliases, name)
        pool = pool_of(name, aliases, ways, lambda one: self._expand(one, {name}))
        plan = Plan(
            targets,
            label,
            defaults_of(aliases, name),
            use=use,
            stages=self._stages(use),
            pool=pool,
            sharing=sharing_of(aliases, name),
        )
        return Resolution(plan, ways[0].slug, False, own)

    def _stages(self, use: UseCase | None) -> tuple[tuple[int, tuple[Target, ...]], ...]:
        stages = () if use is None else use.at
        return tuple(
            (part, tuple(way.target for way in self._left(name, self._expand(name, set())))) for part, name in stages
        )

    def _unnamed(self, at: str | None = None) -> Resolution:
        """Plan a call that names no model where no default is set: the provider's own default serves it."""
        provider = at or self._places.openrouter or next(iter(self._providers), None)
        if provider is None:
            raise model_not_found("", ())
        label = f"{provider}/default"
        return Resolution(Plan((Target(provider, ""),), label, rewrite=False), label)

    def _expand(self, name: str, seen: set[str], at: str | None = None) -> list[Way]:
        """Follow aliases; one already followed stands for the model of that name, so that none loops."""
        alias = None if name in seen else self._settings.aliases.get(name)
        if alias is None:
            way = self._places.place(name) if at is None else self._places.place_at(at, name, is_ours=bool(seen))
            return [] if way is None else [way]
        seen.add(name)
        return [way for follow in (alias.target, *alias.fallbacks) for way in self._expand(follow, seen, at)]


def _tried(found: Resolution, experiment: str) -> Resolution:
    plan = msgspec.structs.replace(found.plan, experiment=experiment)
    return msgspec.structs.replace(found, plan=plan)


def resolve(names: Names, model: str | None) -> Plan:
    """Return what a call for `model` will try; raises ModelNotFound naming what is nearest."""
    return names.look_up(model).plan


def model_not_found(name: str, candidates: Iterable[str]) -> ModelNotFound:
    """Build the one answer for names unknown and not allowed alike."""
    near = closest(name, (candidate for candidate in candidates if candidate != name))
    many = "name is" if len(near) == 1 else "names are"
    hint = f"The nearest {many} {', '.join(near)}." if near else "GET /v1/models lists the names that work."
    return ModelNotFound(f"No model of this name is available here. {hint}", param="model")
