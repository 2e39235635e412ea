"""A piecewise-linear network written out as a list of steps, so that its derivatives can be taken step by step.

Autograd computes a derivative in one go. A tape can stop at every layer: the factor pass uses a layer's factor before
the next one is made, and the R-operator reuses one primal pass for all products.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.folding import Folding, Norm
from analysis.sharpness.hessian.tape.linear_maps import (
    CONVOLUTIONS,
    ChannelScale,
    Convolution,
    MatrixProduct,
    UnsupportedError,
    computes_as,
)
from analysis.sharpness.hessian.tape.operations import Add, Operation, step_of_call, step_of_module

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Weights = Mapping[int, tuple[Tensor, Tensor | None]]  # W̃ and b̃ by step


class Step(NamedTuple):
    """One step: what it does to the results of which earlier ones. Step −1 is the input."""

    operation: Operation | Folding | Add
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Record:
    """What a primal pass leaves for the derivatives, for (B, …) inputs."""

    saved: list[Any]  # by step: what its Jacobian depends on; the input of a Folding
    outputs: Tensor  # (B, C)


@dataclass(frozen=True)
class Tape:
    """The steps of a network, in an order in which they can be carried out; the last one gives the outputs."""

    steps: tuple[Step, ...]

    def step_of(self, name: str) -> int | None:
        """The step that a parameter belongs to."""
        for index, step in enumerate(self.steps):
            if isinstance(step.operation, Folding) and name in step.operation.names:
                return index
        return None

    def downstream(self, sources: set[int]) -> list[bool]:
        """By step: whether it is one of `sources` or depends on one."""
        reached: list[bool] = []
        for index, step in enumerate(self.steps):
            reached.append(index in sources or any(s >= 0 and reached[s] for s in step.sources))
        return reached

    @cached_property
    def last_use(self) -> dict[int, int]:
        """By step: the last one that takes its result."""
        return {source: index for index, step in enumerate(self.steps) for source in step.sources}

    def fold(self, state: Mapping[str, Tensor]) -> Weights:
        """W̃ and b̃ of every Folding."""
        steps = enumerate(self.steps)
        return {index: step.operation.fold(state) for index, step in steps if isinstance(step.operation, Folding)}

    def primal(self, weights: Weights, inputs: Tensor, keep: list[bool]) -> Record:
        """Run the network; what the steps in `keep` need later is saved."""
        results: list[Any] = []  # tensors; None once nobody needs them
        saved: list[Any] = []
        for index, (operation, sources) in enumerate(self.steps):
            xs = [inputs if s < 0 else results[s] for s in sources]
            if isinstance(operation, Folding):
                y, rest = operation.map.apply(xs[0], *weights[index]), xs[0]
            elif isinstance(operation, Add):
                y, rest = _add(*xs), None
            else:
                y, rest = operation.primal(xs[0])
            results.append(y)
            saved.append(rest if keep[index] else None)
            for source in sources:
                if source >= 0 and self.last_use[source] == index:
                    results[source] = None
        return Record(saved, y)

    def pull(
        self,
        weights: Weights,
        record: Record,
        seed: Tensor,
        needed: list[bool],
        transpose: Callable[[int, Tensor], Tensor] | None = None,
        consume: bool = False,
    ) -> Iterator[tuple[int, Cotangents]]:
        """Carry cotangents (B, P, C) of the outputs backward through the steps in `needed`.

        Yields every Folding, last first, with the cotangents of its result. These go on to its input when the next one
        is requested: by `transpose`, which gets its index and the cotangents (B, P, …), or by its own map. With
        `consume`, what was saved for a step is dropped as soon as it has been used.
        """
        cotangents = {len(self.steps) - 1: Cotangents(seed)}
        del seed
        for index in range(len(self.steps) - 1, -1, -1):
            if index not in cotangents:
                continue
            dy = cotangents.pop(index)
            operation, sources = self.steps[index]
            if isinstance(operation, Folding):
                yield index, dy
            for source in sources:
                if source >= 0 and needed[source]:
                    below = self._below(index, dy, weights, record, transpose)
                    before = cotangents.get(source)
                    cotangents[source] = below if before is None else below.plus(before)
                    del below, before  # no cotangents outlive their use while the caller works on the next ones
            if consume:
                record.saved[index] = None

    def _below(
        self,
        index: int,
        dy: Cotangents,
        weights: Weights,
        record: Record,
        transpose: Callable[[int, Tensor], Tensor] | None,
    ) -> Cotangents:
        """Cotangents of a step's result to those of its input."""
        operation, saved = self.steps[index].operation, record.saved[index]
        if isinstance(operation, Add):
            return dy.shared()
        if not isinstance(operation, Folding):
            return dy.pull(operation, saved)
        scaled = isinstance(operation.map, ChannelScale)
        values = dy.values if scaled else dy.dense()
        if transpose is None:
            below = operation.map.transpose(values, weights[index][0], saved)
        else:
            below = transpose(index, values)
        return Cotangents(below, dy.scales if scaled else None, owned=True)


def _add(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape:
        raise UnsupportedError("an addition that broadcasts")
    return a + b


def tape_of(model: nn.Module) -> Tape:
    """Write a network as a tape; batch-norms are folded into the convolution or linear map before them.

    Convolutions, linear maps, batch-norm in eval mode, (leaky) ReLU, additions, pooling, means and flattening are
    known; to be called in eval mode.

    Raises:
        UnsupportedError: anything else, forward hooks, or a weight that is used twice.
    """
    kept = [(places, dict(places)) for module in model.modules() for places in (vars(module), module._buffers)]
    try:
        return _traced(model)
    finally:
        for places, values in kept:  # a model that keeps what it computes would keep a proxy
            places.clear()
            places.update(values)


class _Tracer(fx.Tracer):  # type: ignore[misc]
    """Refuses what a graph of calls does not show: operations under `torch.no_grad`, which cut the derivative off."""

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if not torch.is_grad_enabled():
            raise UnsupportedError("operations without a gradient, under torch.no_grad")
        return super().create_node(*args, **kwargs)


def _traced(model: nn.Module) -> Tape:
    hooked = [name for name, module in model.named_modules() if module._forward_hooks or module._forward_pre_hooks]
    if hooked:
        raise UnsupportedError(f"forward hooks on {hooked[0]!r}")
    try:
        # Wrapped, so that a model that is a single torch module is a step as well.
        graph = _Tracer().trace(nn.Sequential(model))
    except UnsupportedError:
        raise
    except Exception as error:  # the user's code may do anything with a proxy
        raise UnsupportedError(f"a forward pass that can't be traced ({type(error).__name__})") from error
    steps: list[Step] = []
    makers: list[fx.Node] = []  # the node whose result a step is
    index_of: dict[fx.Node, int] = {}  # of the step whose result a node is
    modules, names = (
        {f"0.{path}".rstrip("."): module for path, module in model.named_modules()},
        {id(p): name for name, p in model.named_parameters()},
    )
    for node in graph.nodes:
        if node.op == "placeholder":
            index_of[node] = -1
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node) or index_of.get(node.args[0], -1) != len(steps) - 1:
                raise UnsupportedError("outputs that are not one tensor")
        elif not _is_size(node):
            sources, operation = _read(node, modules, names)
            if not all(source in index_of for source in sources):
                raise UnsupportedError(f"{node.name} works on something that is not a tensor")
            steps_read = tuple(index_of[source] for source in sources)
            if operation is None:
                index_of[node] = steps_read[0]
            elif (
                steps_read[0] >= 0
                and makers[steps_read[0]] is sources[0]
                and _joins(operation, steps[steps_read[0]], sources[0])
            ):
                index_of[node] = steps_read[0]
                makers[steps_read[0]] = node
                steps[steps_read[0]] = steps[steps_read[0]]._replace(
                    operation=_join(steps[steps_read[0]].operation, operation)
                )
            else:
                index_of[node] = len(steps)
                makers.append(node)
                steps.append(Step(operation, steps_read))
    _refuse_ties(steps)
    return Tape(tuple(steps))


def _is_size(node: fx.Node) -> bool:
    """Whether a node reads a shape; only a view that flattens may use the result."""
    return (node.op == "call_method" and node.target == "size") or (
        node.op == "call_function" and getattr(node.target, "__name__", "") in ("getattr", "getitem")
    )


def _read(
    node: fx.Node, modules: Mapping[str, nn.Module], names: Mapping[int, str]
) -> tuple[list[fx.Node], Operation | Folding | Add | None]:
    """The nodes a node takes tensors from, and its operation; None for the identity."""
    if node.op != "call_module":
        return step_of_call(node)
    module = modules[str(node.target)]
    source = node.args[0]
    if len(node.args) != 1 or node.kwargs or not isinstance(source, fx.Node):
        raise UnsupportedError(f"{type(module).__name__} with several inputs")
    return [source], folding_of(module, str(node.target).removeprefix("0").removeprefix("."), names) or step_of_module(
        module
    )


def folding_of(module: nn.Module, path: str, names: Mapping[int, str]) -> Folding | None:
    """A convolution, linear map or batch-norm as a `Folding`; None for any other module.

    A subclass that computes in its own way is such another module.

    Args:
        path: where the module is in the network, to name its buffers.
        names: the name of every parameter, by identity.

    Raises:
        UnsupportedError: a weight that is not a parameter (it is computed from others), or odd padding.
    """

    def named(tensor: Tensor | None) -> str | None:
        if tensor is not None and id(tensor) not in names:
            raise UnsupportedError(f"weights of {path} that are computed from others")
        return None if tensor is None else names[id(tensor)]

    if isinstance(module, nn.Linear) and computes_as(module, nn.Linear):
        return Folding(MatrixProduct(), named(module.weight), named(module.bias), None)
    if isinstance(module, CONVOLUTIONS) and computes_as(module, *CONVOLUTIONS):
        return Folding(Convolution.of(module), named(module.weight), named(module.bias), None)
    if isinstance(module, NORMS) and computes_as(module, *NORMS):
        mean, variance = (f"{path}.{name}".removeprefix(".") for name in ("running_mean", "running_var"))
        norm = Norm(mean, variance, module.eps, named(module.weight), named(module.bias))
        return Folding(ChannelScale(), None, None, norm)
    return None


def _joins(operation: Operation | Folding | Add, before: Step, source: fx.Node) -> bool:
    """Whether a batch-norm can be folded into the step before it, whose result must have no other user."""
    if not isinstance(operation, Folding) or operation.norm is None or not isinstance(before.operation, Folding):
        return False
    return before.operation.norm is None and len(source.users) == 1


def _join(weights: Operation | Folding | Add, norm: Operation | Folding | Add) -> Folding:
    assert isinstance(weights, Folding)
    assert isinstance(norm, Folding)
    return Folding(weights.map, weights.weight, weights.bias, norm.norm)


def _refuse_ties(steps: list[Step]) -> None:
    seen: set[str] = set()
    for step in steps:
        for name in step.operation.names if isinstance(step.operation, Folding) else []:
            if name in seen:
                raise UnsupportedError(f"{name} is used twice")
            seen.add(name)
