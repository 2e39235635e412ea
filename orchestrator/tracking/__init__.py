"""The record in MLflow: the only package that writes to it."""
