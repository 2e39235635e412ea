"""Products of the loss Hessian's blocks with vectors."""

from analysis.sharpness.hessian.operator import BlockOperator, block_operator

__all__ = ["BlockOperator", "block_operator"]
