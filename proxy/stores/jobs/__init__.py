"""The database of jobs, beside the ledger."""
