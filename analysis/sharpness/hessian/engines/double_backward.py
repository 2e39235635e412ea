"""Hessian products by differentiating the gradient once more (Pearlmutter 1994): exact for anything differentiable."""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from analysis.sharpness.hessian.engines.lean_convolution import LeanConvolutions
from analysis.sharpness.problem import Problem, held_still

Directions = dict[str, Tensor]  # by parameter, each of its shape
Product = Callable[[Directions], Directions]


class DoubleBackward:
    """H v = ∂/∂w ⟨∂L/∂w, v⟩, or the Gauss–Newton product Jᵀ(∂²L/∂f²)J v, on a graph that is kept for every product.

    Only the selected parameters carry gradients, so a late layer's block costs a small part of a pass. Building the
    graph costs one forward and one backward pass; a product about two backward passes through the layers above. Its
    convolutions are `LeanConvolutions`. With more than one chunk of samples the graphs do not fit at once: each
    `matmat` rebuilds them, chunk by chunk.

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
        self._build = _hessian if curvature == "hessian" else _gauss_newton
        self._kept = self._graph(problem) if self._chunk >= problem.num_samples else None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        if self._kept is not None:
            return self._products(self._kept, V)
        products = torch.zeros_like(V)
        for chunk in self._problem.chunks(self._chunk):
            products += self._products(self._graph(chunk), V)
        return products

    def block_product(self, name: str, v: Tensor) -> Tensor:
        """The product of one parameter's own block with a vector of its shape, on the kept graph of them all."""
        assert self._kept is not None
        return self._kept({name: v})[name]

    def _graph(self, chunk: Problem) -> Product:
        convolutions = LeanConvolutions()
        with held_still(chunk.model), convolutions:
            share = chunk.num_samples / self._problem.num_samples
            return self._build(chunk, self._parameters, share, convolutions)

    def _products(self, graph: Product, V: Tensor) -> Tensor:
        products = torch.empty_like(V)
        for v, product in zip(V, products, strict=True):
            moved = graph(dict(zip(self._parameters, self._split(v), strict=True)))
            torch.cat([moved[name].flatten() for name in self._parameters], out=product)
        return products

    def _split(self, v: Tensor) -> list[Tensor]:
        """(n,) cut into the shapes of the parameters."""
        parameters = self._parameters.values()
        return [piece.view_as(p) for piece, p in zip(torch.split(v, self._sizes), parameters, strict=True)]


# A graph is a closure that knows nothing of the operator: a cycle of references would keep it until the collector runs.


def _hessian(chunk: Problem, parameters: Directions, share: float, convolutions: LeanConvolutions) -> Product:
    """v ↦ the part of H v that belongs to a chunk with this share of the samples."""
    loss = chunk.loss.mean(chunk.outputs(parameters), chunk.targets) * share
    gradient = _gradient(loss, parameters, None)

    def product(directions: Directions) -> Directions:
        # A gradient that does not vary has no graph, and a zero derivative.
        varying = [name for name in directions if gradient[name].requires_grad]
        if not varying:
            return {name: torch.zeros_like(v) for name, v in directions.items()}
        seeds = [directions[name] for name in varying]
        return _pull([gradient[name] for name in varying], seeds, parameters, directions, convolutions)

    return product


def _gauss_newton(chunk: Problem, parameters: Directions, share: float, convolutions: LeanConvolutions) -> Product:
    """v ↦ the part of Jᵀ(∂²L/∂f²)J v that belongs to a chunk with this share of the samples."""
    outputs = chunk.outputs(parameters)
    u = torch.zeros_like(outputs, requires_grad=True)
    pulled = _gradient(outputs, parameters, u)
    frozen = outputs.detach()

    def product(directions: Directions) -> Directions:
        varying = [name for name in directions if pulled[name].requires_grad]
        if not varying:
            return {name: torch.zeros_like(v) for name, v in directions.items()}
        tangents = [directions[name] for name in varying]
        with convolutions.holding(parameters.values()):
            (pushed,) = torch.autograd.grad([pulled[name] for name in varying], u, tangents, retain_graph=True)
        curved = chunk.loss.curvature(frozen, pushed[:, None])[:, 0] * (share / chunk.num_samples)
        return _pull([outputs], [curved], parameters, directions, convolutions)

    return product


def _gradient(value: Tensor, parameters: Directions, seed: Tensor | None) -> Directions:
    """The gradient of ⟨seed, value⟩ by parameter, differentiable again."""
    parts = torch.autograd.grad(value, list(parameters.values()), seed, create_graph=True, materialize_grads=True)
    return dict(zip(parameters, parts, strict=True))


def _pull(
    values: list[Tensor],
    seeds: list[Tensor],
    parameters: Directions,
    names: Collection[str],
    convolutions: LeanConvolutions,
) -> Directions:
    """Σ ⟨seed, value⟩ differentiated in the named parameters, and in no other; the graph stays."""
    asked = [parameters[name] for name in names]
    with convolutions.holding(parameter for name, parameter in parameters.items() if name not in names):
        parts = torch.autograd.grad(values, asked, seeds, retain_graph=True, materialize_grads=True)
    return dict(zip(names, parts, strict=True))
