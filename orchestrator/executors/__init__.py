"""How missing trials are trained and measured: in this process, or on a cluster with Ray."""
