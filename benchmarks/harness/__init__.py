"""What starts the peers, gives them the same work, and measures them from outside."""
