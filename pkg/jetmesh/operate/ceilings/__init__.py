"""Where a mesh and its broker end, told before they get there: in sentences, from plain values."""
