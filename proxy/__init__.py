"""Tollkeeper: a local OpenAI-compatible reverse proxy that keeps keys to their budgets.

cli        the commands                    app       the wiring: settings in, daemon out
web        what we answer to               exchange  the way through: read `exchange/serve.py` first
observe    what we tell the operator       config    the shape of config.yaml
dialects   how upstreams speak             policy    what we decide
wire       what bytes mean                 mock      an upstream to practise on

Imports point one way: cli → app → web → exchange → observe, config → mock → dialects → policy → wire → errors.
"""

__version__ = "0.1.0"
