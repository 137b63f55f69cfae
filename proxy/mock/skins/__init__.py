"""How each API spells an answer: a body, or the frames of a stream."""
