"""Contracts as they change: what was released, and what a change does to whoever reads it."""
