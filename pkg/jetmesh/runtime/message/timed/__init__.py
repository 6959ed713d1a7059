"""Deadlines: what a `Later` becomes, and what happens when its time has come (ADR-0035)."""
