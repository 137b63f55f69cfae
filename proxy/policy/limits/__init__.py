"""Limits: how many calls and tokens, how many at once, whose turn it is."""
