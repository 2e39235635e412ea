"""Which parameters the outputs depend on at all, and whether moving them moves the network."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.problem import PROBED_SAMPLES, Problem, held_still

CHUNK = 64  # samples at a time, where few of them did not reach every parameter


def unreached(problem: Problem) -> frozenset[str]:
    """The parameters that no output depends on: auxiliary heads, poolers, experts nobody chose, detached backbones.

    Cost: a forward and a backward pass of a few samples; of all samples where a parameter is not reached.
    """
    missing = set(problem.parameters)
    with held_still(problem.model):
        for few in chain([problem.subset(slice(0, PROBED_SAMPLES))], problem.chunks(CHUNK)):
            missing -= _reached(few, missing)
            if not missing:
                break
    return frozenset(missing)


def _reached(few: Problem, names: set[str]) -> set[str]:
    return {name for name, gradient in _gradients(few, _twins(few, names)).items() if gradient is not None}


def cut_off(problem: Problem) -> frozenset[str]:
    """The parameters whose gradient can't be differentiated again: an operation cuts its derivative off.

    What is marked `once_differentiable` puts a node into the gradient's graph that raises when it is reached. Autograd
    does not reach it on its way to a parameter, and gives a second derivative without that part.

    Cost: a forward and a backward pass of a few samples.
    """
    few = problem.subset(slice(0, PROBED_SAMPLES))
    twins = _twins(few, set(few.parameters))
    with held_still(problem.model):
        outputs = few.outputs(twins)
        if not outputs.requires_grad:
            return frozenset()
        seed = outputs.square().sum()
        found = torch.autograd.grad(seed, list(twins.values()), create_graph=True, allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(twins, found, strict=True) if gradient is not None}
    if not _is_cut(gradients.values()):
        return frozenset()
    return frozenset(name for name, gradient in gradients.items() if _is_cut([gradient]))


def _is_cut(gradients: Iterable[Tensor]) -> bool:
    waiting = [gradient.grad_fn for gradient in gradients if gradient.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.name().endswith("Error"):
            return True
        below = {following for following, _ in node.next_functions if following is not None} - seen
        seen |= below
        waiting += below
    return False


def check_replaceable(problem: Problem) -> None:
    """Refuse a network that uses a parameter through another reference than its module's attribute.

    Engines put moved weights in the places of the parameters. A network that keeps the same tensor in a list or a
    closure would go on with the old weights, and a part of the derivative would be missing without a sign.

    Cost: two forward and backward passes of a few samples.

    Raises:
        AnalysisError: the gradient in the network's own parameters differs from that in tensors put in their places.
    """
    own = dict(problem.model.named_parameters())
    types = {parameter.dtype for parameter in own.values() if parameter.is_floating_point()}
    if len(types) != 1 or any(parameter.is_inference() for parameter in own.values()):
        return  # autograd can't save a tensor that was made in inference mode
    few = problem.subset(slice(0, PROBED_SAMPLES)).to(types.pop())
    with held_still(problem.model), _requiring_gradients(problem.model):
        theirs = _gradients(few, {name: own[name] for name in few.parameters if own[name].is_floating_point()})
        ours = _gradients(few, _twins(few, set(few.parameters)))
    largest = max((float(gradient.abs().max()) for gradient in theirs.values() if gradient is not None), default=0.0)
    for name, gradient in ours.items():
        if not _agree(gradient, theirs[name], largest):
            raise AnalysisError(
                f"{name} is used by more than its module's attribute (a list, a closure or a cached copy refers to the "
                "same tensor), so moved weights would not reach all of the network; use the attribute in forward()"
            )


def _twins(few: Problem, names: set[str]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().clone().requires_grad_()
        for name, tensor in few.parameters.items()
        if name in names and tensor.is_floating_point()
    }


def _gradients(few: Problem, leaves: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Of a fixed combination of the outputs, by parameter; None: the outputs do not depend on it."""
    outputs = few.outputs(leaves)
    if not leaves or not outputs.requires_grad:
        return dict.fromkeys(leaves)
    seed = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(outputs)
    gradients = torch.autograd.grad(outputs, list(leaves.values()), seed, allow_unused=True)
    return dict(zip(leaves, gradients, strict=True))


def _agree(ours: Tensor | None, theirs: Tensor | None, largest: float) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    tolerance = torch.finfo(theirs.dtype).eps ** 0.5
    error, scale = float((ours - theirs).abs().max()), float(theirs.abs().max())
    return bool(error <= tolerance * (scale + tolerance * largest))


@contextmanager
def _requiring_gradients(model: nn.Module) -> Iterator[None]:
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    for parameter in frozen:
        parameter.requires_grad_()
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
