"""What `jetmesh doctor` can find, one module for each thing it examines."""
