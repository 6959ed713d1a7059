"""Dead letters: list, read, mend, replay, drop, export."""
