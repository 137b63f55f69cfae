"""Past calls, one and many."""
