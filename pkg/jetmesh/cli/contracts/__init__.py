"""`jetmesh contracts`."""
