"""`jetmesh process`: where processes stand. The work is imported when a command runs."""
