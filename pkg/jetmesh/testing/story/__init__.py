"""Services in memory: the real way of a message on a simulated server, told step by step."""
