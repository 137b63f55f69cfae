"""From the sections of strategies to the values calls are decided by."""

from __future__ import annotations

from typing import Any

from proxy.config.models import Config
from proxy.config.models_routing import StrategySection
from proxy.policy.strategies import Ceilings, Strategy, Weights
from proxy.policy.values import Switch


def choosing(config: Config) -> dict[str, Any]:
    """The members of `Settings` about what may be chosen, and how."""
    return {
        "strategies": {name: strategy_of(name, one) for name, one in config.strategies.items()},
        "model_switches": {name: Switch(name, one.enabled, one.keys) for name, one in config.model_switches.items()},
    }


def strategy_of(name: str, section: StrategySection) -> Strategy:
    """A strategy of one's own; weights come to 1 together, so that scores can be compared."""
    own, most = section.weights, section.ceilings
    total = own.cost + own.speed + own.quality + own.load
    return Strategy(
        name,
        Weights(own.cost / total, own.speed / total, own.quality / total, own.load / total),
        Ceilings(most.usd_per_mtok, most.first_token, None if most.uptime is None else 1 - most.uptime),
        section.sticky,
        section.explore,
    )
