"""Hessian products by differentiating the gradient once more (Pearlmutter 1994): exact for anything differentiable."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from analysis.sharpness.hessian.problem import Problem, held_still


class DoubleBackward:
    """H v = ∂/∂w ⟨∂L/∂w, v⟩, or the Gauss–Newton product Jᵀ(∂²L/∂f²)J v, on a graph that is kept for every product.

    Only the selected parameters carry gradients, so a late layer's block costs a small part of a pass. Building the
    graph costs one forward and one backward pass; a product about two backward passes through the layers above. With
    more than one chunk of samples the graphs do not fit at once: each `matmat` rebuilds them, chunk by chunk.

    J v comes from differentiating u ↦ Jᵀu, which is linear in u.
    """

    engine = "double_backward"

    def __init__(
        self, problem: Problem, names: Sequence[str], curvature: str = "hessian", samples_a_chunk: int | None = None
    ) -> None:
        self._problem = problem
        self._chunk = samples_a_chunk or problem.num_samples
        # Twins of the caller's parameters: their gradients and flags are never touched.
        self._parameters = {name: problem.parameters[name].detach().clone().requires_grad_() for name in names}
        self._sizes = [parameter.numel() for parameter in self._parameters.values()]
        self.dim = sum(self._sizes)
        self.device, self.dtype = problem.device, problem.dtype
        self._build = self._hessian if curvature == "hessian" else self._gauss_newton
        with held_still(problem.model):
            self._kept = [self._build(problem)] if self._chunk >= problem.num_samples else None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        products = torch.zeros_like(V)
        with held_still(self._problem.model):
            for product in self._graphs():
                for row, v in zip(products, V, strict=True):
                    row += product(v)
        return products

    def _graphs(self) -> Iterator[Callable[[Tensor], Tensor]]:
        if self._kept is not None:
            yield from self._kept
        else:
            yield from map(self._build, self._problem.chunks(self._chunk))

    def _hessian(self, chunk: Problem) -> Callable[[Tensor], Tensor]:
        """v ↦ the part of H v that belongs to a chunk of samples."""
        parameters = list(self._parameters.values())
        weight = chunk.num_samples / self._problem.num_samples
        loss = chunk.loss.mean(chunk.outputs(self._parameters), chunk.targets) * weight
        gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        # The gradients that do depend on the parameters: differentiating through a constant is refused by autograd.
        varying = [index for index, part in enumerate(gradient) if part.requires_grad]

        def product(v: Tensor) -> Tensor:
            pieces = self._split(v)
            if not varying:
                return torch.zeros_like(v)
            return self._join(
                torch.autograd.grad(
                    [gradient[index] for index in varying],
                    parameters,
                    [pieces[index] for index in varying],
                    retain_graph=True,
                    materialize_grads=True,
                )
            )

        return product

    def _gauss_newton(self, chunk: Problem) -> Callable[[Tensor], Tensor]:
        """v ↦ the part of Jᵀ(∂²L/∂f²)J v that belongs to a chunk of samples."""
        parameters = list(self._parameters.values())
        outputs = chunk.outputs(self._parameters)
        u = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, parameters, u, create_graph=True, materialize_grads=True)
        varying = [index for index, part in enumerate(pulled) if part.requires_grad]
        frozen = outputs.detach()

        def product(v: Tensor) -> Tensor:
            pieces = self._split(v)
            (pushed,) = torch.autograd.grad(
                [pulled[index] for index in varying], u, [pieces[index] for index in varying], retain_graph=True
            )
            curved = chunk.loss.curvature(frozen, pushed[:, None])[:, 0] / self._problem.num_samples
            return self._join(
                torch.autograd.grad(outputs, parameters, curved, retain_graph=True, materialize_grads=True)
            )

        return product

    def _split(self, v: Tensor) -> list[Tensor]:
        """(n,) cut into the shapes of the parameters."""
        parameters = self._parameters.values()
        return [piece.view_as(p) for piece, p in zip(v.split(self._sizes), parameters, strict=True)]

    def _join(self, products: Sequence[Tensor]) -> Tensor:
        return torch.cat([product.flatten() for product in products])
