"""The Ray executor: trials by Ray Tune, measuring by a pool of actors. Ray's own package is always meant absolutely."""
