"""What follows from what was used: where budgets will stand, what is unusual, whether the bill says the same. Pure."""
