"""Hessian products by differentiating the gradient once more (Pearlmutter 1994): exact for anything differentiable."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.layers import evaluation_mode


class DoubleBackward:
    """H v = ∂/∂w ⟨∂L/∂w, v⟩ on a graph that is built once and kept for every product.

    Only the selected parameters carry gradients, so a late layer's block costs a small part of a pass. Building it
    costs one forward and one backward pass; a product costs about two backward passes through the layers above.
    """

    engine = "double_backward"

    def __init__(self, model: nn.Module, inputs: Tensor, targets: Tensor, names: list[str]) -> None:
        own = dict(model.named_parameters())
        # Detached twins: the caller's parameters, their gradients and flags are never touched.
        state = {name: tensor.detach() for name, tensor in (*own.items(), *model.named_buffers())}
        self._parameters = [state[name].clone().requires_grad_() for name in names]
        state.update(zip(names, self._parameters, strict=True))
        with evaluation_mode(model), torch.enable_grad():
            loss = cross_entropy(functional_call(model, state, (inputs,)), targets)
            if not torch.isfinite(loss):
                raise UndefinedMeasureError(f"the loss is {loss.item()}, so it has no Hessian")
            self._gradient = torch.autograd.grad(loss, self._parameters, create_graph=True)
        self._sizes = [parameter.numel() for parameter in self._parameters]
        self.dim = sum(self._sizes)
        self.device = self._parameters[0].device
        self.dtype = self._parameters[0].dtype

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        return torch.stack([self._product(v) for v in V])

    def _product(self, v: Tensor) -> Tensor:
        """H v, with v (n,) cut into the shapes of the parameters."""
        pieces = [
            piece.view_as(parameter) for piece, parameter in zip(v.split(self._sizes), self._parameters, strict=True)
        ]
        # A gradient that does not depend on a parameter (its block is zero) has no graph: materialized as zeros.
        products = torch.autograd.grad(
            self._gradient, self._parameters, grad_outputs=pieces, retain_graph=True, materialize_grads=True
        )
        return torch.cat([product.flatten() for product in products])
