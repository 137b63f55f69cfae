"""What is wrong with a finished reply, told from its text and its times alone. Pure; no text is kept."""
