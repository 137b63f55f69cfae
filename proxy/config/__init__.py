"""The configuration. Law: a Settings that leaves here is whole; all that is wrong is said at once, with its place."""

from proxy.config.discover import NO_PROVIDER, find_config, user_config
from proxy.config.load import Loaded, environment_settings, load
from proxy.config.models import Config
from proxy.config.problems import ConfigProblems, Problem

__all__ = [
    "NO_PROVIDER",
    "Config",
    "ConfigProblems",
    "Loaded",
    "Problem",
    "environment_settings",
    "find_config",
    "load",
    "user_config",
]
