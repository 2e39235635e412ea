"""How missing trials are trained and measured: in this process, or over a cluster by Ray."""
