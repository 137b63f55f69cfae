"""Money: what a call may cost, what it did cost, what budgets leave. No float."""
