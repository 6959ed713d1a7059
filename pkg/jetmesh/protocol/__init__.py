"""The words of the mesh on the broker: streams, subjects, headers, message ids, fingerprints."""
