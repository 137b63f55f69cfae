"""How older ledgers become what `schema.py` says. Run by `stores/upgrade.py` only."""
