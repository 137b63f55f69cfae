"""What is asked of the ledger. Law of this package: it reads, within the transaction of whoever asks."""
