"""A sweep on a cluster, driven from this terminal."""
