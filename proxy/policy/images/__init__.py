"""What models that draw can be asked for, what that costs, and which of them to ask."""
