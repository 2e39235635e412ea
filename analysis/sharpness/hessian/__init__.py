"""Products of the loss Hessian's blocks with vectors."""

from analysis.sharpness.hessian.operator import HessianBlock, block_operator, layer_operators

__all__ = ["HessianBlock", "block_operator", "layer_operators"]
