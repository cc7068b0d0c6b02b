"""Decisions: pure functions over frozen state. Time and randomness come in as arguments."""
