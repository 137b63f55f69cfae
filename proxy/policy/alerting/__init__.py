"""Alert rules of one's own: what they measure, when one fires and clears, and how that is said."""
