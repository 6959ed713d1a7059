"""`jetmesh audit …`."""
