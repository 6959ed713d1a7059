"""`jetmesh deadletters …`."""
