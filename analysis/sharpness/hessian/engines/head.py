"""The last linear layer in closed form: the outputs are linear in its weights, f = W a + b."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.cost import EIGENVALUES, EngineCost
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.engines.gauss_newton import gram, semidefinite_eigenvalues
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError, computes_as
from analysis.sharpness.problem import Problem, held_still

MISMATCH = 1e-3  # relative, of the gradient: far above round-off in float32


class Head:
    """(1/N) Σ_i ∂²ℓ_i/∂f² ⊗ a_i a_iᵀ, a_i the features that reach the layer: Hessian and Gauss–Newton block at once.

    Set-up: one forward pass. A product: 4·N·C·K operations.

    Raises:
        UnsupportedError: the outputs of the network are not those of this layer, or the layer is applied to tokens.
    """

    def __init__(self, problem: Problem, name: str, samples_a_chunk: int | None = None) -> None:
        self._problem, self._num_samples = problem, problem.num_samples
        module = _owner(problem.model, name)
        caught: list[tuple[Tensor, Tensor]] = []
        handle = module.register_forward_hook(
            lambda _, args, result: caught.append((args[0].detach(), result.detach()))
        )
        twin = problem.parameters[name].detach().clone().requires_grad_()
        outputs = []
        try:
            with held_still(problem.model):
                for chunk in problem.chunks(samples_a_chunk or problem.num_samples):
                    found = chunk.outputs({name: twin})
                    outputs.append(found.detach())
                    if len(caught) != len(outputs) or caught[-1][0].ndim != 2:
                        raise UnsupportedError(f"{name} is not applied once to each sample")
                    features, result = caught[-1]
                    if result.shape != outputs[-1].shape or not torch.allclose(chunk.flat(result), outputs[-1]):
                        raise UnsupportedError(f"the outputs are not those of {name}")
                    _check_linear(found, twin, features, name)
        finally:
            handle.remove()
        self._features = torch.cat([features for features, _ in caught])  # (N, K)
        self._outputs = torch.cat(outputs)  # (N, C)
        self.dim = self._outputs.shape[1] * self._features.shape[1]
        self.device, self.dtype = problem.device, problem.dtype

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        num_outputs, num_features = self._outputs.shape[1], self._features.shape[1]
        pushed = (self._features @ V.reshape(-1, num_features).T).view(-1, len(V), num_outputs)
        curved = self._problem.curvature(self._outputs, pushed) / self._num_samples  # (N, p, C)
        return (curved.flatten(1).T @ self._features).view(len(V), -1)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The min(N·R, n) eigenvalues that can differ from zero, largest first, in float64.

        From n products, or from (A Aᵀ) ∘ (S Sᵀ), which is (N·R, N·R), where that is smaller; A are the features, S the
        columns of the curvature's square root. `dtype` is the type in which either is formed.
        """
        A, outputs = self._features.to(dtype or self.dtype), self._outputs.to(dtype or self.dtype)
        roots = self._problem.root(outputs) * self._num_samples**-0.5  # (N, R, C)
        num_rows = roots.shape[0] * roots.shape[1]
        if num_rows <= self.dim:
            by_sample = (A @ A.T).repeat_interleave(roots.shape[1], 0).repeat_interleave(roots.shape[1], 1)
            return semidefinite_eigenvalues(by_sample * gram(roots.flatten(0, 1)))
        rows = roots[:, :, :, None] * A[:, None, None, :]
        return semidefinite_eigenvalues(gram(rows.flatten(0, 1).flatten(1).T))


def _check_linear(outputs: Tensor, W: Tensor, features: Tensor, name: str) -> None:
    """Refuse features that depend on W themselves, as where one weight serves at both ends of the network."""
    seed = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(outputs)
    (gradient,) = torch.autograd.grad(outputs, W, seed, materialize_grads=True)
    expected = seed.T @ features
    if torch.linalg.vector_norm(gradient - expected) > MISMATCH * torch.linalg.vector_norm(expected):
        raise UnsupportedError(f"the outputs depend on {name} by more than one linear map")


def _owner(model: nn.Module, name: str) -> nn.Linear:
    """The linear map whose weight has this name."""
    path, _, attribute = name.rpartition(".")
    modules: Iterable[tuple[str, nn.Module]] = model.named_modules()
    module = dict(modules).get(path)
    if attribute != "weight" or not isinstance(module, nn.Linear) or not computes_as(module, nn.Linear):
        raise UnsupportedError(f"{name} is not the weight of a linear map")
    return module


# The engine


def _refusal(setting: Setting, block: Block) -> str | None:
    layer = block.layer
    if len(setting.problem.shape) != 1:
        return f"the outputs of a sample have shape {setting.problem.shape}"
    if layer is None or setting.profile.after[layer] != 0:
        return f"{layer or 'the set of all layers'} is not the last linear layer"
    if setting.profile.macs[layer] != setting.profile.sizes[layer]:
        return f"{layer} is not applied once to each sample"
    try:
        _owner(setting.problem.model, layer)
    except UnsupportedError as error:
        return str(error)
    return None


def _cost(setting: Setting, block: Block) -> EngineCost:
    """A forward pass, then two products with the (N, K) features."""
    profile, num_samples, n = setting.profile, setting.problem.num_samples, setting.profile.size(block.names)
    work = 2.0 * num_samples * n
    exact = profile.passes(n * work + EIGENVALUES * n**3)
    return EngineCost(1.0, profile.passes(work), exact, 2 * num_samples * n * profile.itemsize)


def _build(setting: Setting, block: Block, problem: Problem) -> Head:
    return Head(problem, block.names[0], setting.chunk(setting.profile.activations))


HEAD = Engine(name="head", refusal=_refusal, cost=_cost, build=_build, always_fits=True)
