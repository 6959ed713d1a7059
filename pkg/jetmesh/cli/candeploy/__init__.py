"""`jetmesh can-deploy`: its options in `app`, its work in `view`."""
