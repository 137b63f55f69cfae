"""The same prompt to several models, side by side: each a call of the key that asks, by the line of every other call."""
