"""Who may ask, for what, and what is written down of it."""
