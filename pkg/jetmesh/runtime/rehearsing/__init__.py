"""A service's handlers run on stored messages, without any effect (ADR-0029)."""
