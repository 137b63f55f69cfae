"""What an operator would check at three in the morning. Law: looking changes nothing, and judging is pure."""
