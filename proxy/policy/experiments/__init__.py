"""Which arm of an experiment a call belongs to, what its arms have shown, and what follows from that."""
