"""What clients reach: the data port."""
