"""`jetmesh init` and `new`: the files that a project, and a service of it, begin with."""
