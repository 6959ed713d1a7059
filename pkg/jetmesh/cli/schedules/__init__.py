"""`jetmesh schedule`: deadlines that wait. The work is imported when a command runs."""
