"""What an operator costs: counted from the shapes of the network, before anything is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.tape.linear_maps import CONVOLUTIONS, Convolution, UnsupportedError, computes_as
from analysis.sharpness.hessian.tape.winograd import TILED, suits
from analysis.sharpness.problem import Problem, held_still

# Time of a multiply-add in many small matrix products over one in a convolution: measured 6 for 4 × 4 positions and 3
# for 8 × 8 in float32, twice as much in float64.
SMALL_PRODUCTS = 6
EIGENVALUES = 4 / 3  # multiplications of a symmetric eigenproblem, over the cube of its size


@dataclass(frozen=True)
class EngineCost:
    """Estimated cost of one operator; passes are evaluation forward passes of the whole network on the N samples."""

    setup: float  # passes, once
    product: float  # passes a vector
    exact: float  # passes for the exact spectrum, set-up not counted
    memory: int  # bytes held or needed at the peak

    def of(self, num_products: float, spectrum: bool = False) -> float:
        """Passes for the set-up and so many products; with `spectrum`, or for the exact one where that is cheaper."""
        products = num_products * self.product
        return self.setup + (min(products, self.exact) if spectrum else products)


@dataclass(frozen=True)
class LinearShape:
    """How one sample meets the weights of a convolution or linear map."""

    positions: int  # T, of the result: pixels or tokens, those of several calls together
    fan_in: int  # K: inputs that one output sees
    outputs: int  # C
    groups: int
    inputs: int  # entries of the input that are read

    @property
    def results(self) -> int:
        """Entries of the result."""
        return self.positions * self.outputs

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward pass."""
        return self.results * self.fan_in

    def pair_work(self, rank: int) -> float:
        """Work on a pair of samples for a Gram matrix of R rows a sample by pairs, see `structured_gram`.

        In multiply-adds of a convolution, which take less time.
        """
        T, c = self.positions, self.outputs / self.groups
        return SMALL_PRODUCTS * self.groups * (T * T * (self.fan_in + rank * c) + rank * rank * T * c)


@dataclass(frozen=True)
class Profile:
    """How the work and memory of a network are spread over its layers, for one sample."""

    macs: Mapping[str, float]  # multiply-adds of the module that a parameter belongs to
    after: Mapping[str, float]  # multiply-adds of all modules that run later
    live: Mapping[str, int]  # bytes of the results of this module and all later ones
    crest: Mapping[str, int]  # bytes of the largest of these results
    tiles: Mapping[str, int]  # bytes of the module's input and result as transformed tiles, where it is done by tiles
    shapes: Mapping[str, LinearShape]  # of the weights of convolutions and linear maps
    total: float
    sizes: Mapping[str, int]  # entries of each parameter
    num_outputs: int  # of a sample
    activations: int  # bytes of the results of all modules with parameters
    widest: int  # bytes of the largest result
    itemsize: int
    num_samples: int

    @classmethod
    def of(cls, problem: Problem) -> "Profile":
        """From a forward pass of one sample."""
        names = {id(parameter): name for name, parameter in problem.model.named_parameters()}
        # In the order in which calls begin: a class token that the network itself holds is no last layer.
        calls: list[tuple[list[str], float, int]] = []
        begun: list[int] = []
        tiles: dict[str, int] = {}
        shapes: dict[str, LinearShape] = {}

        # Looked up beforehand: during a functional call the modules hold twins of their parameters.
        owned = {m: [names[id(p)] for p in m._parameters.values() if id(p) in names] for m in problem.model.modules()}

        def begin(module: nn.Module, args: object) -> None:
            begun.append(len(calls))
            calls.append(([], 0.0, 0))

        def note(module: nn.Module, args: object, result: object) -> None:
            index = begun.pop()
            result = result[0] if isinstance(result, tuple) else result
            if isinstance(result, Tensor):
                calls[index] = owned[module], _macs(module, result), result.numel()
                tiles.update(dict.fromkeys(owned[module][:1], _tiles(module, args, result, problem)))
                shape = _shape(module, args, result)
                if shape is not None:
                    shapes[owned[module][0]] = _together(shapes.get(owned[module][0]), shape)

        handles = [module.register_forward_pre_hook(begin) for module, own in owned.items() if own]
        handles += [module.register_forward_hook(note) for module, own in owned.items() if own]
        try:
            with held_still(problem.model), torch.no_grad():
                outputs = problem.subset(slice(0, 1)).outputs()
        finally:
            for handle in handles:
                handle.remove()
        widths, itemsize = [size for _, _, size in calls] or [0], problem.dtype.itemsize
        total, everything = max(1.0, sum(macs for _, macs, _ in calls)), sum(widths) * itemsize
        macs = dict.fromkeys(problem.parameters, 0.0)
        after: dict[str, float] = {}
        live: dict[str, int] = {}
        crest: dict[str, int] = {}
        seen = 0.0
        for index, (own, count, _) in enumerate(calls):
            seen += count
            for name in own:
                macs[name] += count
                after.setdefault(name, total - seen)
                live.setdefault(name, sum(widths[index:]) * itemsize)
                crest.setdefault(name, max(widths[index:]) * itemsize)
        return cls(
            macs=macs,
            after=dict.fromkeys(problem.parameters, total) | after,
            live=dict.fromkeys(problem.parameters, everything) | live,
            crest=dict.fromkeys(problem.parameters, max(widths) * itemsize) | crest,
            tiles=tiles,
            shapes=shapes,
            total=total,
            sizes={name: parameter.numel() for name, parameter in problem.parameters.items()},
            num_outputs=outputs.shape[1],
            activations=everything,
            widest=max(widths) * itemsize,
            itemsize=itemsize,
            num_samples=problem.num_samples,
        )

    def passes(self, multiply_adds: float) -> float:
        """Multiply-adds in forward passes of all N samples."""
        return multiply_adds / (self.total * self.num_samples)

    def reach(self, names: Sequence[str]) -> tuple[float, float]:
        """Shares of a pass: in the modules of these parameters, and from the first of them on."""
        own = sum(self.macs[name] for name in names if self.macs[name] > 1) / self.total
        return own, max(self.after[name] + self.macs[name] for name in names) / self.total

    def size(self, names: Sequence[str]) -> int:
        """Number of entries of several parameters together."""
        return sum(self.sizes[name] for name in names)


def _tiles(module: nn.Module, args: object, result: Tensor, problem: Problem) -> int:
    """Bytes of one sample's transformed tiles, of the input and of cotangents of the result; zero without tiles."""
    x = args[0] if isinstance(args, tuple) and args else None
    if not isinstance(module, nn.Conv2d) or not isinstance(x, Tensor):
        return 0
    try:
        like = x[:1].expand(problem.num_samples, *x.shape[1:])
        tiled = suits(Convolution.of(module), like, result.shape[1], moved=True)
    except UnsupportedError:
        return 0
    return int(TILED * (x.numel() + result.numel())) * x.element_size() if tiled else 0


def _shape(module: nn.Module, args: object, result: Tensor) -> LinearShape | None:
    """Of one call on one sample; None for a module that is no convolution or linear map."""
    x = args[0] if isinstance(args, tuple) and args else None
    if not isinstance(x, Tensor) or module._parameters.get("weight") is None:
        return None
    if isinstance(module, nn.Linear) and computes_as(module, nn.Linear):
        return LinearShape(result.numel() // result.shape[-1], x.shape[-1], result.shape[-1], 1, x.numel())
    if isinstance(module, CONVOLUTIONS) and computes_as(module, *CONVOLUTIONS):
        outputs, fan_in = len(module.weight), module.weight[0].numel()
        positions = result.numel() // outputs
        pointwise = module.weight[0, 0].numel() == 1
        inputs = min(x.numel(), positions * module.in_channels) if pointwise else x.numel()
        return LinearShape(positions, fan_in, outputs, module.groups, inputs)
    return None


def _together(before: LinearShape | None, more: LinearShape) -> LinearShape:
    """Two calls of one module."""
    if before is None:
        return more
    return replace(before, positions=before.positions + more.positions, inputs=before.inputs + more.inputs)


def _macs(module: nn.Module, result: Tensor) -> float:
    """Multiply-adds of one call on one sample: every entry of a weight is used once an output position."""
    weight = module._parameters.get("weight")
    if weight is not None and weight.ndim >= 2:
        return float(result.numel() * weight[0].numel())
    parameters = sum(p.numel() for p in module._parameters.values() if p is not None and p.ndim >= 2)
    return float(max(result.numel(), result.numel() // max(1, result.shape[-1]) * parameters))
