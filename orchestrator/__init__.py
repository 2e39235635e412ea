"""Runs sweeps: the only package that knows Ray Tune, the actor pool, MLflow writing and the terminal."""
