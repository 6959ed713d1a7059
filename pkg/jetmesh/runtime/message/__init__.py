"""The way of one message, from its delivery to its verdict."""
