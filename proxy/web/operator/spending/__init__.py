"""What was spent, what will be, and what would have been."""
