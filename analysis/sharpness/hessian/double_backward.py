"""Hessian products by differentiating the gradient once more (Pearlmutter 1994): exact for anything differentiable."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from analysis.sharpness.hessian.problem import Problem, held_still

Directions = dict[str, Tensor]  # by parameter, each of its shape
Product = Callable[[Directions], Directions]


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
                    moved = product(dict(zip(self._parameters, self._split(v), strict=True)))
                    row += torch.cat([moved[name].flatten() for name in self._parameters])
        return products

    def block_product(self, name: str, v: Tensor) -> Tensor:
        """The product of one parameter's own block with a vector of its shape, on the graph of them all."""
        with held_still(self._problem.model):
            return torch.stack([product({name: v})[name] for product in self._graphs()]).sum(0)

    def _graphs(self) -> Iterator[Product]:
        if self._kept is not None:
            yield from self._kept
        else:
            yield from map(self._build, self._problem.chunks(self._chunk))

    def _hessian(self, chunk: Problem) -> Product:
        """The part of H v that belongs to a chunk of samples."""
        weight = chunk.num_samples / self._problem.num_samples
        loss = chunk.loss.mean(chunk.outputs(self._parameters), chunk.targets) * weight
        gradient = self._gradient(loss, None)

        def product(directions: Directions) -> Directions:
            # A gradient that does not vary has no graph, and a zero derivative.
            varying = [name for name in directions if gradient[name].requires_grad]
            if not varying:
                return {name: torch.zeros_like(v) for name, v in directions.items()}
            return self._pull([gradient[name] for name in varying], directions, [directions[name] for name in varying])

        return product

    def _gauss_newton(self, chunk: Problem) -> Product:
        """The part of Jᵀ(∂²L/∂f²)J v that belongs to a chunk of samples."""
        outputs = chunk.outputs(self._parameters)
        u = torch.zeros_like(outputs, requires_grad=True)
        pulled = self._gradient(outputs, u)
        frozen = outputs.detach()

        def product(directions: Directions) -> Directions:
            varying = [name for name in directions if pulled[name].requires_grad]
            if not varying:
                return {name: torch.zeros_like(v) for name, v in directions.items()}
            tangents = [directions[name] for name in varying]
            (pushed,) = torch.autograd.grad([pulled[name] for name in varying], u, tangents, retain_graph=True)
            curved = chunk.loss.curvature(frozen, pushed[:, None])[:, 0] / self._problem.num_samples
            return self._pull([outputs], directions, [curved])

        return product

    def _gradient(self, value: Tensor, seed: Tensor | None) -> Directions:
        """The gradient of ⟨seed, value⟩ by parameter, differentiable again."""
        parameters = list(self._parameters.values())
        parts = torch.autograd.grad(value, parameters, seed, create_graph=True, materialize_grads=True)
        return dict(zip(self._parameters, parts, strict=True))

    def _pull(self, values: list[Tensor], names: Iterable[str], seeds: list[Tensor]) -> Directions:
        """Σ ⟨seed, value⟩ differentiated in the named parameters; the graph stays."""
        parameters = [self._parameters[name] for name in names]
        parts = torch.autograd.grad(values, parameters, seeds, retain_graph=True, materialize_grads=True)
        return dict(zip(names, parts, strict=True))

    def _split(self, v: Tensor) -> list[Tensor]:
        """(n,) cut into the shapes of the parameters."""
        parameters = self._parameters.values()
        return [piece.view_as(p) for piece, p in zip(torch.split(v, self._sizes), parameters, strict=True)]
