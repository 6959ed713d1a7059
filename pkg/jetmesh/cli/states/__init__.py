"""`jetmesh state`: what handlers remember. The work is imported when a command runs."""
