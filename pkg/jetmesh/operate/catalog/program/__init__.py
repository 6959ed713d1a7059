"""The program that `jetmesh up` starts to show the pages, in a folder of its own as in cmd/."""
