"""Secrets at rest, and the keys they hang on."""
