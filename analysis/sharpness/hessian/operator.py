"""The blocks of a network's loss Hessian as operators: one block, or all layers from one pass."""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.life import alive
from analysis.sharpness.hessian.build import OperatorBuilder
from analysis.sharpness.hessian.choice import AUTO, CHOICES, Choice, choose, choose_factor, fall_back
from analysis.sharpness.hessian.cost import EngineCost
from analysis.sharpness.hessian.derivatives import Undefined, naming_derivatives
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.layers import default_layers, select_parameters
from analysis.sharpness.linalg import BlockOperator, tensor_eigvalsh
from analysis.sharpness.loss import LossLike, Targets
from analysis.sharpness.memory import settle_allocator
from analysis.sharpness.problem import Problem, pose
from analysis.sharpness.samples import Inputs


@dataclass(frozen=True)
class HessianBlock:
    """One block of a network's loss curvature as an operator, with its engine and the reason for that engine."""

    operator: BlockOperator
    layer: str | None  # None: all trainable parameters
    curvature: str
    choice: Choice
    problem: Problem

    def __repr__(self) -> str:
        return f"<{self.curvature} of {self.layer or 'all layers'}, {self.dim} × {self.dim}, by {self.engine}>"

    @property
    def dim(self) -> int:
        """Number of rows, n."""
        return self.operator.dim

    @property
    def engine(self) -> str:
        """The name of the way in which the products are computed."""
        return self.choice.engine.name

    @property
    def reason(self) -> str:
        """Why this engine."""
        return self.choice.reason

    @property
    def cost(self) -> EngineCost:
        """Estimated, in forward passes."""
        return self.choice.cost

    @property
    def has_gram(self) -> bool:
        """Whether the exact spectrum comes from a Gram matrix that fits into memory, without any product."""
        return self.choice.engine.has_gram and math.isfinite(self.choice.cost.exact)

    @property
    def gram_in_any_precision(self) -> bool:
        """Whether that matrix is formed in the precision that `exact_eigenvalues` is given."""
        return self.choice.engine.gram_in_any_precision

    @property
    def device(self) -> torch.device:
        """Where vectors must live."""
        return self.operator.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the vectors."""
        return self.operator.dtype

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products.

        Raises:
            AnalysisError: another shape.
            UndefinedMeasureError: an operation of the network has no second derivative; it is named.
        """
        if V.ndim != 2 or V.shape[1] != self.dim:
            raise AnalysisError(f"vectors must be (p, {self.dim}); got {tuple(V.shape)}")
        alive()
        with torch.inference_mode(False), naming_derivatives(self.problem, self.layer):
            return self.operator.matmat(V.clone() if V.is_inference() else V.detach())

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """All eigenvalues that can differ from zero, largest first, in float64: at most n, the others are zero.

        Args:
            dtype: type in which a factor's Gram matrix is formed; float64 costs about twice as much as float32 and
                resolves eigenvalues below 1e-7 of the largest.

        Cost: `cost.exact`; engines without a factor take n products and a dense eigenproblem.
        """
        with torch.inference_mode(False), torch.no_grad():
            eigenvalues: Tensor
            own = getattr(self.operator, "exact_eigenvalues", None)
            if own is not None:
                eigenvalues = own(dtype)
                return eigenvalues
            identity = torch.eye(self.dim, dtype=self.dtype, device=self.device)
            H = self.matmat(identity).double()
            return tensor_eigvalsh(0.5 * (H + H.T)).flip(0)


def block_operator(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets = None,
    layer: str | None = None,
    engine: str = AUTO,
    *,
    curvature: str = "hessian",
    loss: LossLike = "cross_entropy",
    memory_budget: int | None = None,
    num_products: float = 150,
    spectrum: bool = False,
) -> HessianBlock:
    """The block of the loss Hessian that belongs to one layer, as an operator.

    H_ll = ∂²L/∂w_l∂w_l, or its Gauss–Newton part J_lᵀ(∂²L/∂f²)J_l, with L the mean loss over the samples and the model
    in eval mode; it is left unchanged. For several layers `layer_operators` costs far less.

    Args:
        model: any differentiable network. Its outputs are a tensor, the first of a tuple, or the entry or attribute
            `logits` (or `out`) of a mapping or object.
        inputs: (N, …) tensor on the parameters' device, of their type if it is floating-point; a tuple of such tensors,
            passed by position, or a mapping of them, passed by name; numpy arrays, which are brought to the model's
            device and type. Or, without targets, a `DataLoader` or another iterable of batches, see `gather`.
        targets: what the loss takes: (N,) integer classes for the cross-entropy of (N, C) outputs, see `loss`.
        layer: a name from `weight_layers`, any other parameter's name, or None for all trainable parameters.
        engine: `auto`, the cheapest for `num_products` products that fits into memory; or the name of an engine, a key
            of `analysis.sharpness.hessian.engines.ENGINES`. Where it can't serve the block, or its product differs from
            double backward's, double backward replaces it, with a warning.
        curvature: `hessian` or `gauss_newton`.
        loss: `cross_entropy`, `mse` or `bce` (with logits), a mean over samples; a `CrossEntropy`, `MeanSquaredError`
            or `BinaryCrossEntropy` with options; torch's module or function of these; or any function (outputs,
            targets) → losses of the samples, or their mean, which double backward serves.
        memory_budget: bytes that the process may use on a CPU, or its tensors on a GPU; samples and directions are
            processed in chunks to stay within it. Left out: what it uses, and all that is free.
        num_products: how many products the caller expects to need; only `auto` uses it.
        spectrum: whether the exact spectrum would serve the caller instead of the products; `auto` then counts the
            cheaper of the two.

    Cost: see the engine. Where the batches of a loader take more than a quarter of the memory budget, a product of any
    number of vectors reads all of them once.

    Raises:
        AnalysisError: unknown layer (the nearest names are given), engine or loss; samples and targets that do not
            fit; a network that is not deterministic in eval mode or whose samples depend on one another.
        UndefinedMeasureError: NaN or infinite weights, inputs or outputs.

    Source: Pearlmutter 1994 (products); Schraudolph 2002 (Gauss–Newton).

    >>> import torch, renyi
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> inputs, targets = torch.randn(8, 3), torch.arange(8) % 2
    >>> block = renyi.block_operator(model, inputs, targets, "2.weight", loss=renyi.CrossEntropy(weight=(1, 3)))
    >>> block.matmat(torch.eye(8)).shape, block.exact_eigenvalues().shape
    (torch.Size([8, 8]), torch.Size([8]))
    """
    blocks = layer_operators(
        model,
        inputs,
        targets,
        [layer],
        engine,
        curvature=curvature,
        loss=loss,
        memory_budget=memory_budget,
        num_products=num_products,
        spectrum=spectrum,
    )
    block = next(blocks)
    if isinstance(block.operator, Undefined):
        raise block.operator.reason
    return block


def layer_operators(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets = None,
    layers: Iterable[str | None] | None = None,
    engine: str = AUTO,
    *,
    curvature: str = "hessian",
    loss: LossLike = "cross_entropy",
    memory_budget: int | None = None,
    num_products: float = 150,
    spectrum: bool = False,
) -> Iterator[HessianBlock]:
    """Operators of many blocks, from one factor pass where that serves them: last layer first, all layers at the end.

    One forward and R backward passes (R = C − 1 for the cross-entropy) give the factors of every layer. A block's
    memory is reused when the next one is requested, so use each block before going on.

    Args:
        layers: names, None among them for all trainable parameters at once; left out: every weight layer.
        The others are as for `block_operator`. With `gauss_newton`, None comes from the sum of the layers' Gram
        matrices, for the cost of its eigenvalues alone.

    Raises:
        As `block_operator`, before the first operator is made.
    """
    if engine not in CHOICES:
        raise AnalysisError(f"engine must be one of {', '.join(CHOICES)}; got {engine!r}")
    wanted = list(dict.fromkeys(default_layers(model) if layers is None else layers))
    blocks = list(dict.fromkeys(_block(model, layer) for layer in wanted))
    settle_allocator()
    with torch.inference_mode(False):
        problem = pose(model, inputs, targets, loss, memory_budget)
        setting = Setting.of(problem, curvature, memory_budget, num_products, spectrum)
    choices = {block: choose(setting, block, engine) for block in blocks}
    for block, choice in choices.items():
        if engine not in (AUTO, choice.engine.name):
            _warn(block.layer, engine, choice)
    return _outside_inference_mode(_built(OperatorBuilder(setting), choices))


def _block(model: nn.Module, layer: str | None) -> Block:
    names = tuple(select_parameters(model, layer))
    return Block(None if layer is None else names[0], names)


def _outside_inference_mode(blocks: Iterator[HessianBlock]) -> Iterator[HessianBlock]:
    """The same blocks, made outside inference mode, whose tensors autograd can't save."""
    while True:
        with torch.inference_mode(False):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _built(builder: OperatorBuilder, choices: dict[Block, Choice]) -> Iterator[HessianBlock]:
    failures = builder.failures(choices)
    setting = builder.setting
    for block, choice in list(choices.items()):
        refusal = failures.get(block) or choice.engine.refusal(setting, block)
        if refusal is None:
            continue
        choices[block] = fall_back(setting, block, refusal)
        if block not in failures and not choice.asked:
            choices[block] = choose_factor(setting, block, refusal)
        if block in failures or choice.asked:
            _warn(block.layer, choice.engine.name, choices[block])
    for block, choice, operator in builder.build(choices):
        if choice.engine is not choices[block].engine:
            _warn(block.layer, choices[block].engine.name, choice)
        yield HessianBlock(operator, block.layer, setting.curvature, choice, setting.problem)
        del operator  # its memory is free for the next


def _warn(layer: str | None, engine: str, choice: Choice) -> None:
    where = layer or "all layers"
    text = f"{where}: {choice.engine.name} is used instead of {engine}: {choice.reason}"
    warnings.warn(text, RuntimeWarning, stacklevel=3)
