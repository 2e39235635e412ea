"""Batch-norm folded into the layer before it: the arithmetic, and the pairs that the flow of data gives."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from analysis.errors import AnalysisError
from analysis.sharpness.layers import widened_copy
from analysis.sharpness.problem import BATCH_NORMS, Problem, held_still

Pair = tuple[str, str]  # names of a convolution or linear map, and of the batch-norm that its output goes into
FOLDABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FixedNorm(NamedTuple):
    """A batch-norm with fixed statistics after a layer A(W) x + b: together they are A(W̃) x + b̃.

    W̃ = s W and b̃ = β + s (b − μ), with s = γ/σ and σ² = running variance + ε.
    """

    inverse: Tensor  # 1/σ (C,)
    scale: Tensor  # s (C,)
    shift: Tensor  # b − μ (C,)
    beta: Tensor | None  # (C,)

    @classmethod
    def of(
        cls,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        gamma: Tensor | None,
        beta: Tensor | None,
        bias: Tensor | None,
    ) -> "FixedNorm":
        """From the running statistics, γ and β, and the bias of the layer; None: there is none."""
        inverse = (variance + eps).rsqrt()
        scale = inverse if gamma is None else inverse * gamma
        return cls(inverse, scale, -mean if bias is None else bias - mean, beta)

    def weight(self, W: Tensor) -> Tensor:
        """W̃ for weights (C, …)."""
        return self.scale.view(-1, *[1] * (W.ndim - 1)) * W

    def bias(self) -> Tensor:
        """b̃."""
        b = self.scale * self.shift
        return b if self.beta is None else b + self.beta


def normalized_pairs(problem: Problem) -> list[Pair]:
    """The layers whose very output is the input of a batch-norm, in the order they are run, each with its batch-norm.

    Not the order in which modules are registered: a shortcut's convolution stands beside batch-norms that are not its
    own. Layers and batch-norms that are used more than once are left out. Cost: a forward pass of one sample.
    """
    outputs: list[tuple[str, Tensor]] = []
    found: list[Pair] = []
    handles: list[RemovableHandle] = []

    def keep(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append((name, output))

    def match(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.extend((layer, name) for layer, output in outputs if output is inputs[0])

    try:
        for name, module in problem.model.named_modules():
            if isinstance(module, FOLDABLE):
                handles.append(module.register_forward_hook(partial(keep, name)))
            elif isinstance(module, BATCH_NORMS):
                handles.append(module.register_forward_pre_hook(partial(match, name)))
        with held_still(problem.model), torch.no_grad():
            problem.subset(slice(0, 1)).outputs()
    finally:
        for handle in handles:
            handle.remove()
    runs = [name for name, _ in outputs]
    norms = [norm for _, norm in found]
    return [(layer, norm) for layer, norm in found if runs.count(layer) == 1 and norms.count(norm) == 1]


def fold_batch_norm(model: nn.Module, pairs: Iterable[Pair]) -> nn.Module:
    """A copy of the network in which each pair is one layer, with the weights and the bias of `FixedNorm`.

    In eval mode it computes the same, as `widened_copy` does; the batch-norms are identities in it.

    Raises:
        AnalysisError: a name that is no such layer or no batch-norm with running statistics.
    """
    folded = widened_copy(model)
    for layer_name, norm_name in pairs:
        layer, norm = (_module(folded, name) for name in (layer_name, norm_name))
        if not isinstance(layer, FOLDABLE) or not isinstance(norm, BATCH_NORMS):
            raise AnalysisError(
                f"a pair must be a convolution or linear map and a batch-norm; got {layer_name!r}, a "
                f"{type(layer).__name__}, and {norm_name!r}, a {type(norm).__name__}"
            )
        if norm.running_mean is None or norm.running_var is None:
            raise AnalysisError(f"batch-norm {norm_name!r} has no running statistics to fold")
        with torch.no_grad():
            fixed = FixedNorm.of(norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias, layer.bias)
            layer.weight.copy_(fixed.weight(layer.weight))
            layer.bias = nn.Parameter(fixed.bias())
        parent, _, own_name = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), own_name, nn.Identity())
    return folded


def _module(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise AnalysisError(f"the model has no module {name!r}") from error
