"""A matrix as an operator that counts its products."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.analysis.closed_forms import rotated


class DenseOperator:
    """V ↦ V H for a symmetric matrix held in memory."""

    def __init__(self, matrix: NDArray[np.float64], dtype: torch.dtype = torch.float64) -> None:
        self.matrix = torch.as_tensor(matrix).to(dtype)
        self.dim = len(matrix)
        self.device = self.matrix.device
        self.dtype = dtype
        self.num_products = 0

    @classmethod
    def of_eigenvalues(cls, eigenvalues: NDArray[np.float64], dtype: torch.dtype = torch.float64) -> "DenseOperator":
        """A full matrix with these eigenvalues, in a random basis."""
        return cls(rotated(eigenvalues), dtype)

    def matmat(self, V: Tensor) -> Tensor:
        self.num_products += len(V)
        return V @ self.matrix


def zero_dominant(n: int, seed: int = 0) -> NDArray[np.float64]:
    """(n,) spectrum like a trained layer's: a few outliers, a decaying bulk, half of it zero."""
    rng = np.random.default_rng(seed)
    rank = n // 2
    eigenvalues = np.zeros(n)
    eigenvalues[:rank] = np.arange(1.0, rank + 1) ** -1.5 * np.exp(0.3 * rng.normal(size=rank))
    return eigenvalues
