"""Deadlines that wait: what operators see and end of them."""
