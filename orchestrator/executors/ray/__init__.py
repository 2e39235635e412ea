"""The Ray executor: trials by Ray Tune, measuring by a pool of actors. `import ray` means Ray itself."""
