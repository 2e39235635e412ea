"""The path norm: all paths from an input to an output, each with the product of its squared weights."""

import copy

import torch
from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.seeding import derive_seed
from analysis.sharpness.measures.effective_weights import folded_network
from analysis.sharpness.measures.margin import MARGIN, margin_of
from analysis.sharpness.problem import BATCH_NORMS, held_still
from analysis.sharpness.subject import Subject, Values, tabulate

SCALES = (2.0**-30, 2.0**30)  # inputs of these sizes tell whether outputs grow in proportion to them
TOLERANCE = 1e-8  # relative, in float64


class _SquaredScale(nn.Module):
    """A batch-norm that no layer could take in, y = s x + b a channel, with squared s and b."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        gamma, beta = (dict(norm.named_parameters()).get(name) for name in ("weight", "bias"))
        scale = (variance + float(getattr(norm, "eps"))).rsqrt() * (1.0 if gamma is None else gamma.detach())  # noqa: B009
        shift = -mean * scale + (0.0 if beta is None else beta.detach())
        self.scale, self.bias = nn.Parameter(scale.square()), nn.Parameter(shift.square())

    def forward(self, x: Tensor) -> Tensor:
        shape = [1, -1, *[1] * (x.ndim - 2)]
        return x * self.scale.view(shape) + self.bias.view(shape)


def path_norm(model: nn.Module, example: Tensor) -> float:
    """Σ_k f_{w²}(1)_k: the outputs, for an input of ones, of the network with all its weights and biases squared.

    In a network of linear maps and ReLU that is the sum, over all paths from an input or a bias to an output, of the
    product of the path's squared weights. A max-pooling passes the largest of its inputs.

    Args:
        model: in eval mode, with batch-norms folded where that is possible; those that stay are counted as the
            channel-wise scales that they are.
        example: (1, …) of the shape of an input.

    Cost: three passes of one sample.

    Raises:
        UndefinedMeasureError: with squared weights and without biases the outputs are not in proportion to the inputs,
            so the network is not made of linear maps and ReLU (as with GELU, attention, or layer norm).

    Source: Neyshabur et al. 2015; Jiang et al. 2019, appendix C.4; Dziugaite et al. 2020.
    """
    squared = _squared(model)
    ones = torch.ones_like(example, dtype=torch.float64)
    with held_still(squared), torch.no_grad():
        total: float = squared(ones).sum().item()
        _check_paths(squared, ones)
    return total


def _squared(model: nn.Module) -> nn.Module:
    squared = copy.deepcopy(model).double()
    scales: dict[str, _SquaredScale] = {}
    with torch.no_grad():
        for name, module in list(squared.named_modules()):
            if isinstance(module, BATCH_NORMS):
                scales[name] = _SquaredScale(module)
        for parameter in squared.parameters():
            parameter.square_()
    for name, scale in scales.items():
        parent, _, own_name = name.rpartition(".")
        setattr(squared.get_submodule(parent), own_name, scale)
    return squared


def _check_paths(squared: nn.Module, ones: Tensor) -> None:
    """Refuse a network whose outputs, without its biases, are not in proportion to the inputs at every scale."""
    for name, parameter in squared.named_parameters():
        if name.rpartition(".")[2] == "bias":
            parameter.zero_()
    generator = torch.Generator().manual_seed(derive_seed("path norm"))
    inputs = torch.rand(ones.shape, generator=generator, dtype=torch.float64).to(ones.device)
    small, large = (squared(scale * inputs) / scale for scale in SCALES)
    if not (large - small).abs().max() <= TOLERANCE * large.abs().max():
        raise UndefinedMeasureError(
            "with squared weights the outputs do not grow in proportion to the inputs, so the network is not made of "
            "linear maps and ReLU and has no paths"
        )


def path_norms(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `path_norm`, and of `path_norm_margin`: over γ²."""

    def values(_: str) -> Values:
        norm = subject.shared(_path_norm)
        return {None: (norm / subject.shared(margin_of) ** 2 if measure.endswith(MARGIN) else norm, 0.0)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def _path_norm(subject: Subject) -> float:
    inputs = subject.landscape(ALL_LAYERS).problem.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise UndefinedMeasureError("paths lead from inputs that are one floating-point tensor")
    return path_norm(subject.shared(folded_network), inputs[:1])
