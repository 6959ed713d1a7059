"""The shop: one flat module per service."""
