"""Work that nobody waits for: batches of calls, and single ones. Each line of it goes the way of every other call."""
