"""`jetmesh deploy`."""
