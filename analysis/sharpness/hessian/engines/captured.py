"""The factors of any network: what autograd passes through its modules, checked against autograd's own gradient.

A module's first dimension need not be the samples (recurrent networks run time first, windows and tokens are folded
into the batch, experts see the samples that were sent to them), and a weight may be used outside its module as well.
So nothing is taken on trust: one more backward pass, seeded by a random combination of the columns of the root that
differs from sample to sample, tells whether a module's rows belong to the samples they are taken for, and whether the
factor is the whole derivative. If G' ≠ G then G'ᵀu ≠ Gᵀu for a random u, with probability 1 (Freivalds 1979). What
does not pass is differentiated sample by sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.engines.double_backward import graph_bytes
from analysis.sharpness.hessian.engines.factors import Rows, Unmultiplied, rows_of
from analysis.sharpness.hessian.setting import Setting
from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.folding import Folding
from analysis.sharpness.hessian.tape.linear_maps import MatrixProduct, UnsupportedError
from analysis.sharpness.hessian.tape.tape import folding_of
from analysis.sharpness.problem import Problem, held_still

MISMATCH = 1e-3  # relative: far above round-off in float32, far below what a wrong sample or a missing use makes
ROUND_OFF = 1e-6  # of ‖x‖‖dz‖: what a gradient that cancels to zero may err by in float32

Layout = Callable[[Tensor], Tensor]  # a view with the samples first


class CapturedFactors:
    """Factors of any network: hooks record the inputs and cotangents of its modules on a pass of autograd.

    Convolutions, linear maps and batch-norms are factored from these. Other parameters (LayerNorm, position
    embeddings, weights that a module uses through a function) are differentiated sample by sample.
    """

    def sweep(self, chunk: Problem, names: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """One forward and R + 1 backward passes, down to the first of the named layers; in the order of the names.

        All cotangents are held at once.
        """
        state = {**chunk.parameters, **chunk.buffers}
        with held_still(chunk.model):
            captured = _capture(chunk, names)
        largest = max(
            (float(torch.linalg.vector_norm(gradient)) for gradient in captured.gradients.values()), default=0
        )
        uses = {name: [use for use in captured.uses if name in use.folding.names] for name in names}
        captured.uses.clear()  # each use is freed with the last of its parameters
        for name in names:
            own, gradient = uses.pop(name), captured.gradients[name]
            if own and _is_whole(own, state, name, gradient):
                yield name, _summed([rows_of(u.folding, state, name, u.inputs, Cotangents(u.cotangents)) for u in own])
            else:
                yield name, _one_by_one(chunk, name, captured, largest)

    def bytes_a_sample(self, setting: Setting, names: Sequence[str]) -> int:
        """The graph, and R + 2 cotangents of every result."""
        return graph_bytes(setting, names) + (setting.rank + 3) * setting.profile.activations


@dataclass(frozen=True)
class Use:
    """One use of a module, the samples first."""

    folding: Folding
    inputs: Tensor  # (B, …)
    cotangents: Tensor  # (B, R, …) of the columns of the root
    mixed: Tensor  # (B, …) of their random combination


@dataclass(frozen=True)
class Captured:
    """What one pass over B samples leaves."""

    uses: list[Use]  # in the order of the forward pass; those whose samples were not found are left out
    roots: Tensor  # (B, R, D)
    weights: Tensor  # u (B, R), the random combination
    gradients: dict[str, Tensor]  # Σ_ij u_ij s_ijᵀ J_i by parameter, by autograd


class Call:
    """One call of a module in a forward pass."""

    def __init__(self, folding: Folding, inputs: Tensor, edge: GradientEdge) -> None:
        self.folding, self.inputs, self.edge = folding, inputs, edge
        self.version = inputs._version
        self.columns: list[Tensor | None] = []  # cotangents of the result; None is zero
        self.mixed: Tensor | None = None

    def uses(self, weights: Tensor) -> list[Use]:
        """As uses with the samples first; none where no dimension is that of the samples, or nothing arrives."""
        if self.mixed is None:
            return []
        columns = [torch.zeros_like(self.mixed) if column is None else column for column in self.columns]
        for layout in _layouts(self.inputs, len(weights), isinstance(self.folding.map, MatrixProduct)):
            mixed = layout(self.mixed)
            cotangents = torch.stack([layout(column) for column in columns], dim=1)
            if _belongs(cotangents, mixed, weights):
                return self._split(layout(self.inputs), cotangents, mixed)
        return []

    def _split(self, inputs: Tensor, cotangents: Tensor, mixed: Tensor) -> list[Use]:
        """A convolution or batch-norm that sees several images a sample is as many uses of it."""
        if isinstance(self.folding.map, MatrixProduct) or inputs.ndim == self.inputs.ndim:
            return [Use(self.folding, inputs, cotangents, mixed)]
        parts = zip(inputs.unbind(1), cotangents.unbind(2), mixed.unbind(1), strict=True)
        return [Use(self.folding, *part) for part in parts]


def _capture(chunk: Problem, names: Sequence[str]) -> Captured:
    calls: list[Call] = []
    foldings = _foldings(chunk.model, names)
    twins = {name: chunk.parameters[name].detach().clone().requires_grad_() for name in names}

    def catch(module: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> Tensor:
        if not result.requires_grad:
            return result
        calls.append(Call(foldings[module], args[0].detach(), get_gradient_edge(result)))
        return result.clone()  # later operations may work in place

    # The weights that are used are the twins; the modules' own parameters only serve to name the layers.
    handles = [module.register_forward_hook(catch) for module in foldings]
    try:
        outputs = chunk.outputs(twins)
    finally:
        for handle in handles:
            handle.remove()
    for call in calls:
        if call.inputs._version != call.version:
            raise UnsupportedError(f"the input of {call.folding.names[0]} is overwritten later")
    roots = chunk.root(outputs.detach())
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(*roots.shape[:2], generator=generator, dtype=torch.float64).to(roots)
    edges = [call.edge for call in calls]
    mixed, gradients = _backward(outputs, edges, twins, torch.einsum("br,br...->b...", weights, roots))
    for call, cotangents in zip(calls, mixed, strict=True):
        call.mixed = cotangents
    for column in range(roots.shape[1] if calls else 0):
        last = column + 1 == roots.shape[1]
        grads = torch.autograd.grad(outputs, edges, roots[:, column], retain_graph=not last, allow_unused=True)
        for call, grad in zip(calls, grads, strict=True):
            call.columns.append(grad)
    uses = []
    for call in calls:
        uses += call.uses(weights)
        call.columns.clear()
    return Captured(uses, roots, weights, gradients)


def _foldings(model: nn.Module, names: Sequence[str]) -> dict[nn.Module, Folding]:
    identities = {id(parameter): name for name, parameter in model.named_parameters()}
    foldings = {}
    for path, module in model.named_modules():
        try:
            folding = folding_of(module, path, identities) if module._parameters else None
        except UnsupportedError:
            continue  # a padding that is not known, or weights that are computed: sample by sample
        if folding is not None and set(folding.names).intersection(names):
            foldings[module] = folding
    return foldings


def _backward(
    outputs: Tensor, edges: list[GradientEdge], twins: dict[str, Tensor], seed: Tensor
) -> tuple[list[Tensor | None], dict[str, Tensor]]:
    """Cotangents at the edges, None for zero, and gradients by parameter; the graph stays."""
    if not outputs.requires_grad:
        return [None] * len(edges), {name: torch.zeros_like(twin) for name, twin in twins.items()}
    places: list[Any] = [*edges, *twins.values()]
    found = torch.autograd.grad(outputs, places, seed, retain_graph=True, allow_unused=True)
    cotangents, gradients = found[: len(edges)], found[len(edges) :]
    pairs = zip(twins.items(), gradients, strict=True)
    return list(cotangents), {
        name: torch.zeros_like(twin) if gradient is None else gradient for (name, twin), gradient in pairs
    }


def _layouts(x: Tensor, num_samples: int, is_linear: bool) -> Iterator[Layout]:
    """Views that may have the samples first; of the result as of the input."""
    if len(x) == num_samples:
        yield lambda tensor: tensor
    for dim in range(1, x.ndim - 1) if is_linear else ():
        if x.shape[dim] == num_samples:
            yield lambda tensor, dim=dim: tensor.movedim(dim, 0)  # type: ignore[misc]
    if len(x) > num_samples and len(x) % num_samples == 0:
        yield lambda tensor: torch.unflatten(tensor, 0, (num_samples, -1))
        yield lambda tensor: torch.unflatten(tensor, 0, (-1, num_samples)).transpose(0, 1)


def _belongs(cotangents: Tensor, mixed: Tensor, weights: Tensor) -> bool:
    """Whether row b is what the outputs of sample b alone send there: then it is scaled as these are."""
    rows = weights.view(*weights.shape, *[1] * (cotangents.ndim - 2)) * cotangents
    scale = torch.linalg.vector_norm(rows.flatten(2), dim=2).sum(1)  # (B,)
    error = torch.linalg.vector_norm((rows.sum(1) - mixed).flatten(1), dim=1)
    allowed = MISMATCH * scale + ROUND_OFF * scale.max()
    return bool((error <= allowed).all())


def _is_whole(uses: Sequence[Use], state: dict[str, Tensor], name: str, gradient: Tensor) -> bool:
    """Whether these uses are all that the outputs depend on a parameter by, in the way that their modules say."""
    total, scale, bound = torch.zeros_like(gradient).flatten(), 0.0, 0.0
    for use in uses:
        rows = gradient.new_empty(len(use.inputs), 1, gradient.numel())
        with torch.no_grad():
            use.folding.sample_gradients(state, name, use.inputs, use.mixed.unsqueeze(1), 1.0, rows)
        total += rows.sum((0, 1))
        scale += float(torch.linalg.vector_norm(rows))
        bound += float(torch.linalg.vector_norm(use.inputs) * torch.linalg.vector_norm(use.mixed))
    error = float(torch.linalg.vector_norm(total - gradient.flatten()))
    return error <= MISMATCH * scale or error <= ROUND_OFF * bound


def _summed(parts: list[Rows]) -> Rows:
    """The sum of the factors of several uses of one weight."""
    if len(parts) == 1:
        return parts[0]

    def write(out: Tensor, scale: float) -> None:
        parts[0].write(out, scale)
        for part in parts[1:]:
            more = torch.empty_like(out)
            part.write(more, scale)
            out += more

    makers = [part.unmultiplied for part in parts if part.unmultiplied is not None]

    def unmultiplied() -> list[Unmultiplied]:
        return [use for make in makers for use in make()]

    return Rows(parts[0].num_samples, write, unmultiplied=unmultiplied)


def _one_by_one(chunk: Problem, name: str, captured: Captured, largest: float) -> Rows:
    def write(out: Tensor, scale: float) -> None:
        twin = chunk.parameters[name].detach().clone().requires_grad_()
        with held_still(chunk.model):
            for index in range(chunk.num_samples):
                _write_sample(chunk.subset(slice(index, index + 1)), name, twin, captured.roots[index], out[index])
        total = torch.einsum("br,brn->n", captured.weights, out)
        error = torch.linalg.vector_norm(total - captured.gradients[name].flatten())
        if not error <= MISMATCH * (torch.linalg.vector_norm(total) + largest):
            raise AnalysisError(
                f"{name}: the derivative of a sample's outputs depends on which other samples are computed with it "
                "(statistics or routing over the batch?); the loss is not a mean over samples"
            )
        out *= scale

    return Rows(chunk.num_samples, write)


def _write_sample(sample: Problem, name: str, twin: Tensor, roots: Tensor, out: Tensor) -> None:
    """s_jᵀ J of one sample, for the columns s_j (R, D) of its root, into (R, n)."""
    outputs = sample.outputs({name: twin})
    if not outputs.requires_grad:  # an expert that this sample was not sent to
        out.zero_()
        return
    for column, row in zip(roots, out, strict=True):
        (gradient,) = torch.autograd.grad(outputs, twin, column[None], retain_graph=True, materialize_grads=True)
        row.copy_(gradient.flatten())
