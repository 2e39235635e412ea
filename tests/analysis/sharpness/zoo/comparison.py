"""Every layer of a network: products of the engine that the library chose, against float64 double backward by hand."""

import copy
import math
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.zoo.entry import Case, Inputs

TOLERANCE = 1e-5  # relative, of networks in float32
DENSE_BELOW = 2000  # weights of a layer whose Gauss–Newton trace is compared with the dense one
MOST_OUTPUTS = 1000  # of all samples together, for a dense Jacobian
CURVATURES = ("hessian", "gauss_newton")


@dataclass(frozen=True)
class Compared:
    """One curvature of one layer; errors are relative."""

    layer: str
    curvature: str
    engine: str
    reason: str
    product: float  # error of the library's product
    by_hand: float  # that of double backward by hand in float32, which the network's own round-off gives
    trace: float | None  # error of the trace; None: not compared


@dataclass(frozen=True)
class Findings:
    """What was found for one network."""

    layers: list[Compared]
    said: list[str]  # warnings
    seconds: float  # that the library took

    def engines(self, curvature: str) -> Counter[str]:
        """How many layers each engine served."""
        return Counter(found.engine for found in self.layers if found.curvature == curvature)

    @property
    def worst(self) -> float:
        """The largest error of a product or trace."""
        return max(max(found.product, found.trace or 0.0) for found in self.layers)


class ByHand:
    """Products with the Hessian and Gauss–Newton blocks of layers, by autograd alone."""

    def __init__(self, case: Case, names: Sequence[str], dtype: torch.dtype) -> None:
        self.dtype = dtype
        model = _twice_differentiable(copy.deepcopy(case.model).to(dtype).eval())
        self.parameters = {name: model.get_parameter(name).requires_grad_() for name in names}
        with sdpa_kernel(SDPBackend.MATH):
            outputs = case.outputs(model, _cast(case.inputs, dtype))
        self.outputs, self.seed = outputs, torch.zeros_like(outputs, requires_grad=True)
        self.gradient = self._gradient(case.loss(outputs), None)
        self.pulled = self._gradient(outputs, self.seed)
        self.leaf = outputs.detach().requires_grad_()
        (self.slope,) = torch.autograd.grad(case.loss(self.leaf), self.leaf, create_graph=True)

    def product(self, curvature: str, name: str, v: Tensor) -> Tensor:
        """H v; or Jᵀ(∂²L/∂f²)J v, with J v by differentiating u ↦ Jᵀu."""
        place, v = self.parameters[name], v.to(self.dtype).view_as(self.parameters[name])
        if curvature == "hessian":
            return _pull(self.gradient[name], place, v).flatten()
        pushed = _pull(self.pulled[name], self.seed, v)
        return _pull(self.outputs, place, _pull(self.slope, self.leaf, pushed)).flatten()

    def traces(self, names: Sequence[str]) -> dict[str, float]:
        """Of the Gauss–Newton blocks, from dense Jacobians: Σ (∂²L/∂f²) ∘ (J Jᵀ)."""
        if not names:
            return {}
        unit = torch.eye(self.outputs.numel(), dtype=self.dtype).view(-1, *self.outputs.shape)
        S = torch.stack([_pull(self.slope, self.leaf, row).flatten() for row in unit])
        places = [self.parameters[name] for name in names]
        rows = [
            torch.autograd.grad(self.outputs, places, row, retain_graph=True, materialize_grads=True) for row in unit
        ]
        jacobians = {name: torch.stack([row[k].flatten() for row in rows]) for k, name in enumerate(names)}
        return {name: float((S * (J @ J.T)).sum()) for name, J in jacobians.items()}

    def _gradient(self, value: Tensor, seed: Tensor | None) -> dict[str, Tensor]:
        places = list(self.parameters.values())
        found = torch.autograd.grad(value, places, seed, create_graph=True, materialize_grads=True)
        return dict(zip(self.parameters, found, strict=True))


def compare(case: Case, every: int = 1) -> Findings:
    """Both curvatures of every layer, or of every so-manieth: a product, and the traces of small Gauss–Newton blocks.

    The engine is the library's choice: for products with the Hessian, and for the exact spectrum of the Gauss–Newton
    block.
    """
    names = weight_layers(case.model)[::every]
    exact, plain = (ByHand(case, names, dtype) for dtype in (torch.float64, torch.float32))
    generator = torch.Generator().manual_seed(7)
    V = {name: torch.randn(exact.parameters[name].numel(), generator=generator) for name in names}
    dense = [n for n in names if len(V[n]) < DENSE_BELOW and exact.outputs.numel() <= MOST_OUTPUTS]
    traces = exact.traces(dense)
    layers: list[Compared] = []
    seconds = 0.0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RuntimeWarning)
        for curvature in CURVATURES:
            spectrum = curvature == "gauss_newton"
            start = time.perf_counter()
            for block in layer_operators(
                case.model, case.inputs, case.targets, names, curvature=curvature, spectrum=spectrum
            ):
                assert block.layer is not None
                v, trace = V[block.layer], traces.get(block.layer) if spectrum else None
                product = block.matmat(v[None])[0]
                found = None if trace is None else float(block.exact_eigenvalues().sum())
                seconds += time.perf_counter() - start
                expected = exact.product(curvature, block.layer, v)
                layers.append(
                    Compared(
                        block.layer,
                        curvature,
                        block.engine,
                        block.reason,
                        _difference(product, expected),
                        _difference(plain.product(curvature, block.layer, v), expected),
                        None if found is None else _difference(torch.tensor(found), torch.tensor(trace)),
                    )
                )
                start = time.perf_counter()
    return Findings(layers, [str(warning.message) for warning in said], seconds)


def _difference(value: Tensor, reference: Tensor) -> float:
    """Relative to the reference; infinite where that alone is zero."""
    error, scale = float((value.double() - reference).norm()), float(reference.norm())
    return 0.0 if error == 0 else error / scale if scale else math.inf


def _pull(value: Tensor, place: Tensor, seed: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(place)
    (found,) = torch.autograd.grad(value, place, seed, retain_graph=True, materialize_grads=True)
    return found


def _cast(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    if isinstance(inputs, Tensor):
        return inputs.to(dtype) if inputs.is_floating_point() else inputs
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}


class _PiecewiseLinear(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(x + 3) / 6


def _twice_differentiable(model: nn.Module) -> nn.Module:
    """The network with every Hardsigmoid written out, which PyTorch can't differentiate twice."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Hardsigmoid):
                setattr(module, name, _PiecewiseLinear())
    return model
