"""The results of sweeps, from MLflow or files. `load_results` is imported on first use, because it needs pandas."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.results.mlflow import load_results

__all__ = ["load_results"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from analysis.results import mlflow

        return getattr(mlflow, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
