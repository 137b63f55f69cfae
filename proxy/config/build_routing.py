"""From the sections of strategies to the values calls are decided by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple, replace

from proxy.policy.strategies import Ceilings, Strategy, Weights
from proxy.policy.values import Switch

if TYPE_CHECKING:
    from proxy.config.models import Config
    from proxy.config.models_routing import CeilingsSection, StrategySection


def choosing(config: Config) -> dict[str, Any]:
    """The members of `Settings` about what may be chosen, and how."""
    return {
        "strategies": {name: strategy_of(name, one) for name, one in config.strategies.items()},
        "model_switches": {name: Switch(name, one.enabled, one.keys) for name, one in config.model_switches.items()},
    }


def strategy_of(name: str, section: StrategySection) -> Strategy:
    """A strategy of one's own; weights come to 1 together, so that scores can be compared."""
    own = section.weights
    total = own.cost + own.speed + own.quality + own.load
    return Strategy(
        name,
        Weights(own.cost / total, own.speed / total, own.quality / total, own.load / total),
        _ceilings(section.ceilings),
        section.sticky,
        section.explore,
    )


def ceilings_of(strategy: Strategy, given: dict[str, Any]) -> Strategy:
    """A strategy with these ceilings beside its own, as they are written there. Raises ValueError."""
    try:
        from proxy.config.models_routing import CeilingsSection  # only where somebody asks
        from proxy.config.new_key import read_section

        own, more = strategy.ceilings, _ceilings(read_section(CeilingsSection, given))
    except ValueError as error:
        raise ValueError(f"of `ceilings`, {error}") from None
    chosen = [theirs if new is None else new for theirs, new in zip(astuple(own), astuple(more), strict=True)]
    return replace(strategy, ceilings=Ceilings(*chosen))


def _ceilings(most: CeilingsSection) -> Ceilings:
    return Ceilings(most.usd_per_mtok, most.first_token, None if most.uptime is None else 1 - most.uptime)
