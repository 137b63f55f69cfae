"""What is told of calls that ended: to the log, the metrics, the ledger."""
