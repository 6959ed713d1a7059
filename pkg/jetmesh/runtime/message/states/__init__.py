"""Handlers that remember: the steps of a state's key, and what follows from them (ADR-0033)."""
