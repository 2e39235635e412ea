"""A convolution or linear map with the batch-norm that follows it folded in, as a function of the parameters of both.

With fixed statistics the pair is one bilinear map z = A(W̃) x + b̃, see `FixedNorm`. A batch-norm on its own is the
same with W = 1. Since W̃ is bilinear in (γ, W), a Hessian
product in the network's own parameters is the one in (W̃, b̃), carried over by the chain rule, plus the curvature of
the folding. All weights are matrices (C, K), their directions and gradients (P, C, K); biases (C,) and (P, C).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from analysis.sharpness.batch_norm import FixedNorm
from analysis.sharpness.hessian.tape.linear_maps import Bilinear, ChannelScale, spread

Directions = Mapping[str, Tensor]  # (P, *shape) by parameter name


@dataclass(frozen=True)
class Norm:
    """Names of a batch-norm's tensors; γ and β may be absent."""

    mean: str
    variance: str
    eps: float
    gamma: str | None
    beta: str | None


@dataclass(frozen=True)
class Folding:
    """Which parameters make up W̃ and b̃, and how."""

    map: Bilinear
    weight: str | None  # None: a batch-norm on its own
    bias: str | None
    norm: Norm | None

    @property
    def names(self) -> list[str]:
        """The parameters involved."""
        norm = () if self.norm is None else (self.norm.gamma, self.norm.beta)
        return [name for name in (self.weight, self.bias, *norm) if name is not None]

    def fold(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """W̃ and b̃."""
        if self.norm is None:
            return self._weight(state), self._bias(state)
        fixed = self._fixed(self.norm, state)
        return fixed.weight(self._weight(state)), fixed.bias()

    def at(self, state: Mapping[str, Tensor]) -> "Folded":
        """The folding at one point, where many products are taken."""
        norm = self.norm
        fixed = None if norm is None else FoldedNorm(norm.gamma, norm.beta, self._fixed(norm, state))
        return Folded(self.weight, self.bias, self._weight(state), fixed)

    def sample_gradients(
        self, state: Mapping[str, Tensor], name: str, x: Tensor, dz: Tensor, scale: float, out: Tensor
    ) -> None:
        """Per sample `scale` times the gradient of ⟨dz_p, z⟩ in one parameter, for x (B, …), dz (B, P, …).

        Written to out (B, P, numel). Factors, batch-norm's s too, are applied where that costs no pass over memory.
        """
        norm = self.norm
        if norm is not None and name == norm.gamma:
            raw = self.map.apply(x, self._weight(state), self._bias(state))
            mean, inverse = state[norm.mean], self._fixed(norm, state).inverse
            centred = (raw - spread(mean, raw.ndim - 1)) * spread(inverse, raw.ndim - 1)
            everywhere = dz.new_full((raw.shape[1],), scale)
            ChannelScale().sample_gradients(centred, dz, everywhere, out[..., None])
        elif norm is not None and name == norm.beta:
            torch.mul(self.map.bias_gradient(dz), scale, out=out)
        else:
            num_outputs, own = len(state[name]), self.output_scale(state)
            by_output = dz.new_full((num_outputs,), scale) if own is None else scale * own
            if name == self.bias:
                torch.mul(self.map.bias_gradient(dz), by_output, out=out)
            else:
                self.map.sample_gradients(x, dz, by_output, torch.unflatten(out, 2, (num_outputs, -1)))

    def output_scale(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """(C,): what the batch-norm multiplies the results of the map by; None without one."""
        return None if self.norm is None else self._fixed(self.norm, state).scale

    def _weight(self, state: Mapping[str, Tensor]) -> Tensor:
        if self.weight is not None:
            return state[self.weight].flatten(1)
        assert self.norm is not None
        return torch.ones_like(state[self.norm.mean])[:, None]

    def _bias(self, state: Mapping[str, Tensor]) -> Tensor | None:
        return None if self.bias is None else state[self.bias]

    def _fixed(self, norm: Norm, state: Mapping[str, Tensor]) -> FixedNorm:
        gamma, beta = (None if name is None else state[name] for name in (norm.gamma, norm.beta))
        return FixedNorm.of(state[norm.mean], state[norm.variance], norm.eps, gamma, beta, self._bias(state))


class FoldedNorm(NamedTuple):
    """A batch-norm at one point."""

    gamma: str | None
    beta: str | None
    fixed: FixedNorm


@dataclass(frozen=True)
class Folded:
    """A folding at one point: the maps between directions, gradients and curvature of the parameters and of W̃, b̃."""

    weight: str | None
    bias: str | None
    W: Tensor  # (C, K)
    norm: FoldedNorm | None

    def push(self, V: Directions) -> tuple[Tensor | None, Tensor | None]:
        """Directions of the parameters to those of W̃ and b̃; None for zero."""
        dW, db, norm = V.get(self.weight or ""), V.get(self.bias or ""), self.norm
        dW = None if dW is None else dW.flatten(2)
        if norm is None:
            return dW, db
        dW, db = None if dW is None else norm.fixed.scale[:, None] * dW, None if db is None else norm.fixed.scale * db
        if norm.gamma is not None and norm.gamma in V:
            ds = V[norm.gamma] * norm.fixed.inverse
            dW = _sum(dW, ds[:, :, None] * self.W)
            db = _sum(db, ds * norm.fixed.shift)
        d_beta = V.get(norm.beta or "")
        return dW, db if d_beta is None else _sum(db, d_beta)

    def pull(self, gW: Tensor, gb: Tensor, names: set[str]) -> dict[str, Tensor]:
        """Gradients in W̃ and b̃ to those in the named parameters, each (P, numel): the transpose of `push`."""
        norm, gradients = self.norm, {}
        if self.weight is not None and self.weight in names:
            gradients[self.weight] = (gW if norm is None else norm.fixed.scale[:, None] * gW).flatten(1)
        if self.bias is not None and self.bias in names:
            gradients[self.bias] = gb if norm is None else norm.fixed.scale * gb
        if norm is not None and norm.gamma in names:
            gradients[norm.gamma] = norm.fixed.inverse * ((gW * self.W).sum(2) + gb * norm.fixed.shift)
        if norm is not None and norm.beta in names:
            gradients[norm.beta] = gb
        return gradients

    def curvature(self, V: Directions, gW: Tensor, gb: Tensor, names: set[str]) -> dict[str, Tensor]:
        """⟨(gW, gb), ∂²(W̃, b̃)[V, ·]⟩ for one gradient gW (C, K), gb (C,); each (P, numel)."""
        norm = self.norm
        if norm is None or norm.gamma is None:
            return {}
        d_gamma, d_weight, d_bias = V.get(norm.gamma), V.get(self.weight or ""), V.get(self.bias or "")
        ds = None if d_gamma is None else d_gamma * norm.fixed.inverse
        out: dict[str, Tensor] = {}
        if ds is not None and self.weight is not None and self.weight in names:
            out[self.weight] = (ds[:, :, None] * gW).flatten(1)
        if ds is not None and self.bias is not None and self.bias in names:
            out[self.bias] = ds * gb
        if norm.gamma in names and d_weight is not None:
            out[norm.gamma] = norm.fixed.inverse * (d_weight.flatten(2) * gW).sum(2)
        if norm.gamma in names and d_bias is not None:
            out[norm.gamma] = _sum(out.get(norm.gamma), norm.fixed.inverse * d_bias * gb)
        return out


def _sum(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
