"""How older ledgers become what `schema.py` says. Run by `stores/ledger/upgrade.py` only."""
