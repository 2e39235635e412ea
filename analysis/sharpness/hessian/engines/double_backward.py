"""Hessian products by differentiating the gradient once more (Pearlmutter 1994): exact for anything differentiable."""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from analysis.sharpness.hessian.cost import EngineCost
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.engines.lean_convolution import LeanConvolutions
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.problem import Problem, held_still

ByParameter = dict[str, Tensor]  # weights, directions or gradients, each of its parameter's shape
Product = Callable[[ByParameter], ByParameter]

GRAPHS = 7  # bytes of a graph that can be differentiated twice, over those of the results


class DoubleBackward:
    """H v = ∂/∂w ⟨∂L/∂w, v⟩, or the Gauss–Newton product Jᵀ(∂²L/∂f²)J v, on a graph that is kept for all products.

    Only the selected parameters carry gradients, so a late layer's block costs a small part of a pass. Building the
    graph costs one forward and one backward pass; a product about two backward passes through the layers above. Its
    convolutions are `LeanConvolutions`. With more than one chunk of samples the graphs do not fit at once: each
    `matmat` rebuilds them, chunk by chunk.

    J v comes from differentiating u ↦ Jᵀu, which is linear in u. Without `lean` nothing but PyTorch's own derivatives
    is used.
    """

    def __init__(
        self,
        problem: Problem,
        names: Sequence[str],
        curvature: str = "hessian",
        samples_a_chunk: int | None = None,
        lean: bool = True,
    ) -> None:
        self._problem, self._lean = problem, lean
        self._chunk = samples_a_chunk or problem.num_samples
        # Copies of the caller's parameters, whose own gradients and flags are never changed.
        self._parameters = {name: problem.parameters[name].detach().clone().requires_grad_() for name in names}
        self._sizes = [parameter.numel() for parameter in self._parameters.values()]
        self.dim = sum(self._sizes)
        self.device, self.dtype = problem.device, problem.dtype
        self._build = _hessian if curvature == "hessian" else _gauss_newton
        held = self._chunk >= problem.num_samples and problem.stream is None
        self._kept = self._graph(problem) if held else None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        if self._kept is not None:
            return self._products(self._kept, V)
        products = torch.zeros_like(V)
        for chunk in self._problem.chunks(self._chunk):
            products += self._products(self._graph(chunk), V)
        return products

    def block_product(self, name: str, v: Tensor) -> Tensor:
        """The product of one parameter's own block with a vector of its shape, on the graph of all parameters."""
        assert self._kept is not None
        return self._kept({name: v})[name]

    def _graph(self, chunk: Problem) -> Product:
        convolutions = LeanConvolutions()
        with held_still(chunk.model), convolutions if self._lean else nullcontext():
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


# A graph is a closure without a reference to the operator: a cycle would keep it until the garbage collector runs.


def _hessian(chunk: Problem, parameters: ByParameter, share: float, convolutions: LeanConvolutions) -> Product:
    """v ↦ the part of H v that belongs to a chunk with this share of the samples."""
    loss = chunk.mean(chunk.outputs(parameters)) * share
    gradient = _gradient(loss, parameters, None)

    def product(directions: ByParameter) -> ByParameter:
        # A gradient that does not vary has no graph, and a zero derivative.
        varying = [name for name in directions if gradient[name].requires_grad]
        if not varying:
            return {name: torch.zeros_like(v) for name, v in directions.items()}
        seeds = [directions[name] for name in varying]
        return _pull([gradient[name] for name in varying], seeds, parameters, directions, convolutions)

    return product


def _gauss_newton(chunk: Problem, parameters: ByParameter, share: float, convolutions: LeanConvolutions) -> Product:
    """v ↦ the part of Jᵀ(∂²L/∂f²)J v that belongs to a chunk with this share of the samples."""
    outputs = chunk.outputs(parameters)
    u = torch.zeros_like(outputs, requires_grad=True)
    pulled = _gradient(outputs, parameters, u)
    frozen = outputs.detach()

    def product(directions: ByParameter) -> ByParameter:
        varying = [name for name in directions if pulled[name].requires_grad]
        if not varying:
            return {name: torch.zeros_like(v) for name, v in directions.items()}
        tangents = [directions[name] for name in varying]
        with convolutions.holding(parameters.values()):
            (pushed,) = torch.autograd.grad([pulled[name] for name in varying], u, tangents, retain_graph=True)
        curved = chunk.curvature(frozen, pushed[:, None])[:, 0] * (share / chunk.num_samples)
        return _pull([outputs], [curved], parameters, directions, convolutions)

    return product


def _gradient(value: Tensor, parameters: ByParameter, seed: Tensor | None) -> ByParameter:
    """The gradient of ⟨seed, value⟩ by parameter, differentiable again."""
    if not value.requires_grad:  # experts that none of these samples chose
        return {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    parts = torch.autograd.grad(value, list(parameters.values()), seed, create_graph=True, materialize_grads=True)
    return dict(zip(parameters, parts, strict=True))


def _pull(
    values: list[Tensor],
    seeds: list[Tensor],
    parameters: ByParameter,
    names: Collection[str],
    convolutions: LeanConvolutions,
) -> ByParameter:
    """Σ ⟨seed, value⟩ differentiated in the named parameters, and in no other; the graph stays."""
    asked = [parameters[name] for name in names]
    with convolutions.holding(parameter for name, parameter in parameters.items() if name not in names):
        parts = torch.autograd.grad(values, asked, seeds, retain_graph=True, materialize_grads=True)
    return dict(zip(names, parts, strict=True))


# The engine


def graph_bytes(setting: Setting, names: Sequence[str]) -> int:
    """Bytes a sample of a graph that can be differentiated twice, measured on two samples."""
    saved: dict[int, int] = {}
    # A graph whose hooks keep its own results is a cycle that no collector sees: emptied boxes break it.
    boxes: list[list[Tensor]] = []
    few = setting.problem.subset(slice(0, 2))
    parameters = {tensor.data_ptr() for tensor in setting.problem.parameters.values()}

    def note(tensor: Tensor) -> list[Tensor]:
        if tensor.data_ptr() not in parameters:
            saved[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        boxes.append([tensor])
        return boxes[-1]

    with torch.autograd.graph.saved_tensors_hooks(note, lambda box: box[0]):
        DoubleBackward(few, names, setting.curvature)
    for box in boxes:
        box.clear()
    # Two samples may pass these parameters by, as experts that others choose.
    return sum(saved.values()) // few.num_samples or GRAPHS * setting.profile.activations


def _cost(setting: Setting, block: Block) -> EngineCost:
    """The convolutions of the R-operator; what lies between them, batch-norm above all, costs half as much."""
    profile, num_samples = setting.profile, setting.problem.num_samples
    own, reach = profile.reach(block.names)
    product = 3 * reach if len(block.names) == 1 else 3 * reach + 4 * own
    memory = num_samples * GRAPHS * profile.activations
    return EngineCost(1 + 2 * reach, product, profile.size(block.names) * product, memory)


def _build(setting: Setting, block: Block, problem: Problem) -> DoubleBackward:
    return DoubleBackward(problem, block.names, setting.curvature, setting.chunk(graph_bytes(setting, block.names)))


DOUBLE_BACKWARD = Engine(
    name="double_backward", refusal=lambda _setting, _block: None, cost=_cost, build=_build, always_fits=True
)
