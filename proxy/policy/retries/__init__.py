"""Retries: what follows an outcome, and which targets are left alone."""
