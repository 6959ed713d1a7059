"""Processes: how they are declared, and where each one stands."""
