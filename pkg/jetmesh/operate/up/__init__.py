"""`jetmesh up`: the broker, the sandboxes and every service as child processes."""
