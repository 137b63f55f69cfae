"""From the sections of experiments and features to the values calls are decided by."""

from __future__ import annotations

from typing import Any

from proxy.config.models import Config
from proxy.config.models_experiments import ExperimentSection
from proxy.config.units import hundredths
from proxy.policy.experiments.values import Arm, Experiment, Guard, Shadow
from proxy.policy.features import Features
from proxy.policy.money.budgets import shadow_scope


def trying(config: Config) -> dict[str, Any]:
    """The members of `Settings` about what is tried, and which parts are there."""
    features = Features(
        frozenset(name for name, section in config.features.items() if not section.enabled),
        {name: section.keys for name, section in config.features.items() if section.keys},
    )
    experiments = {name: _experiment(name, section) for name, section in config.experiments.items()}
    return {"features": features, "experiments": experiments}


def _experiment(name: str, section: ExperimentSection) -> Experiment:
    said = section.guard
    errors = None if said.errors is None else hundredths(said.errors) / 100**2
    return Experiment(
        name,
        section.model,
        tuple(Arm(arm.target, arm.share) for arm in section.arms),
        section.sticky,
        section.metric,
        Guard(errors, said.cost_ratio, said.first_token_ratio),
        tuple(section.ramp),
        section.step,
        section.min_calls,
        tuple(Shadow(one.target, one.share, shadow_scope(name, one.target)) for one in section.shadows),
    )
