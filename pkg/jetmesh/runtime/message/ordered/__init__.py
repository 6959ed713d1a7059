"""Handlers that take the messages of a key in the order in which they were stored (ADR-0036)."""
