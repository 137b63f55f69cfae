"""What operators are told, once: thresholds of budgets and rules of their own. Calls have no part in it."""
