"""What is differentiated: a network in eval mode, its samples and its loss, checked once before engines use them."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.sharpness.forward import run
from analysis.sharpness.layers import NARROW, evaluation_mode, unwrapped
from analysis.sharpness.loss import Loss, LossFunction, LossLike, loss_of
from analysis.sharpness.samples import Samples, Stream, gather
from analysis.sharpness.substitutes import substitutes
from analysis.sharpness.tree import Tree, described, length, mapped, tensors

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
SAMPLES_AT_ONCE = 512  # in a forward pass without gradients
PROBED_SAMPLES = (
    4  # samples on which it is checked that the outputs repeat and that samples do not depend on one another
)


@dataclass(frozen=True)
class Problem:
    """L(w) = (1/N) Σ ℓ(f(x_i; w), y_i). The tensors are detached from the caller's, which are never written to.

    A loss whose samples do not all count the same is brought to this form: ℓ_i = s_i N/Z, with Z what all samples
    count together. Outputs are flat, (N, D), whatever their shape is in the network.
    """

    model: nn.Module
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    inputs: Tree  # (N, …): a tensor, or a tuple or mapping of tensors
    targets: Tree  # as the loss takes them
    loss: Loss
    shape: tuple[int, ...] = ()  # of a sample's outputs
    scale: float = 1.0  # N/Z
    even: bool = True  # whether every sample counts the same
    offset: Tensor | None = None  # (N, D), added to the outputs; only the self-check uses it
    stream: Stream | None = None  # all samples, of which `inputs` and `targets` are then the first few

    @property
    def num_samples(self) -> int:
        """N."""
        return self.stream.num_samples if self.stream else length(self.inputs, "inputs")

    @property
    def device(self) -> torch.device:
        """Where samples and parameters live."""
        return self._reference.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters, and of samples that are floating-point."""
        return self._reference.dtype

    @property
    def _reference(self) -> Tensor:
        return next(parameter for parameter in self.parameters.values() if parameter.is_floating_point())

    @property
    def rank(self) -> int:
        """R, the rank of the loss curvature of a sample."""
        return self.loss.rank(self.shape)

    @property
    def samples(self) -> Samples:
        """All samples, as another network may be posed on them."""
        return Samples(self.inputs, self.targets, self.stream)

    @property
    def chance(self) -> float:
        """The accuracy of a guess; see `Loss.chance`."""
        return self.loss.chance(torch.empty(1, *self.shape))

    def outputs(self, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N, D) outputs of the network, with some of its parameters replaced. To be called inside `held_still`."""
        return self.flat(run(self.model, {**self.parameters, **self.buffers, **(parameters or {})}, self.inputs))

    def losses(self, outputs: Tensor) -> Tensor:
        """(N,) ℓ_i in float64, at (N, D) outputs."""
        values = self.loss.values(self.shaped(self._precise(outputs)), self.targets).double()
        return values if self.scale == 1 else values * self.scale

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean of ℓ_i over these samples, at (N, D) outputs; in float64, like its derivatives in the outputs.

        In float32 those of torch's cross-entropy lose their digits where a network is confident: p − 1 is 0 once the
        largest logit is 17 above the others.
        """
        outputs = self._precise(outputs)
        if self.even:
            return self.loss.mean(self.shaped(outputs), self.targets)
        return self.loss.values(self.shaped(outputs), self.targets).mean() * self.scale

    def _precise(self, outputs: Tensor) -> Tensor:
        """In float64, but for functions, which may hold tensors of another type."""
        return outputs if isinstance(self.loss, LossFunction) else outputs.double()

    def curvature(self, outputs: Tensor, U: Tensor) -> Tensor:
        """Per sample (∂²ℓ/∂f²) u, for (N, P, D) vectors u."""
        curved = self.loss.curvature(self.shaped(outputs), self.targets, U.reshape(*U.shape[:2], *self.shape))
        return (curved if self.scale == 1 else curved * self.scale).reshape(U.shape)

    def root(self, outputs: Tensor) -> Tensor:
        """(N, R, D): R vectors r_j per sample with Σ_j r_j r_jᵀ = ∂²ℓ/∂f²."""
        root = self.loss.root(self.shaped(outputs), self.targets)
        root = root.reshape(*root.shape[:2], outputs.shape[1])
        return root if self.scale == 1 else root * math.sqrt(self.scale)

    def hits(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """How many predictions at (N, D) outputs are right, and how many there are; see `Loss.hits`."""
        return self.loss.hits(self.shaped(outputs), self.targets)

    def flat(self, outputs: Tensor) -> Tensor:
        """Outputs in the network's own shape as `outputs` gives them, (N, D)."""
        outputs = outputs.reshape(len(outputs), -1)
        return outputs if self.offset is None else outputs + self.offset

    def shaped(self, outputs: Tensor) -> Tensor:
        """(N, D) outputs in the network's own shape."""
        return outputs.reshape(len(outputs), *self.shape)

    def subset(self, samples: slice | Tensor) -> "Problem":
        """The same problem on some samples (of a stream, of its first batch); its loss is the mean over these."""
        offset = None if self.offset is None else self.offset[samples]
        inputs, targets = mapped((self.inputs, self.targets), lambda tensor: tensor[samples])
        return replace(self, inputs=inputs, targets=targets, offset=offset, stream=None)

    def chunks(self, size: int) -> Iterator["Problem"]:
        """The problem cut into pieces of at most `size` samples; the last may be smaller."""
        if self.stream is not None:
            for inputs, targets in self.stream.pieces(size):
                yield replace(self, inputs=inputs, targets=targets, stream=None)
            return
        for start in range(0, self.num_samples, size):
            yield self.subset(slice(start, start + size))

    def to(self, dtype: torch.dtype) -> "Problem":
        """The same problem in another precision."""
        return replace(
            self,
            parameters={name: _cast(tensor, dtype) for name, tensor in self.parameters.items()},
            buffers={name: _cast(tensor, dtype) for name, tensor in self.buffers.items()},
            inputs=mapped(self.inputs, lambda tensor: _cast(tensor, dtype)),
            targets=mapped(self.targets, lambda tensor: _cast(tensor, dtype)),
            stream=self.stream and self.stream.to(dtype),
        )


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


@contextmanager
def held_still(model: nn.Module) -> Iterator[None]:
    """Eval mode, differentiation on, and kernels that can be differentiated twice; all put back afterwards.

    The fused attention kernels have no second derivative; the `MATH` kernel has. Mixed precision is switched off, and
    so are checkpoints and compilation, see `substitutes`.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(substitutes())
        stack.enter_context(evaluation_mode(model))
        yield


def pose(
    model: nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: LossLike = "cross_entropy",
    memory_budget: int | None = None,
) -> Problem:
    """Check a network and its samples, and freeze them into a `Problem`.

    A network in bfloat16 or float16 is measured in float32, with its weights as they are. One that is wrapped
    (compiled, in parallel) is measured without its wrapper, eagerly.

    Args:
        model: the network.
        inputs, targets, memory_budget: as for `gather`.
        loss: as for `loss_of`.

    Cost: two forward passes of four samples and one of all, without gradients. Samples that are read again on each pass
    are read once here. A loss function that returns a mean costs a forward pass of all samples and a call for each.

    Raises:
        AnalysisError: samples, targets or loss that do not fit the model or each other; a network whose samples
            depend on one another (batch-norm without running statistics) or whose outputs differ
            from one call to the next (dropout left on).
        UndefinedMeasureError: weights, inputs or the loss are NaN or infinite, or no target counts.
    """
    model = unwrapped(model, say=True)
    wanted = loss_of(loss)
    samples = gather(model, inputs, targets, memory_budget)
    problem = Problem(
        model,
        parameters={name: _plain(tensor) for name, tensor in model.named_parameters()},
        buffers={name: _plain(tensor).clone() for name, tensor in model.named_buffers()},
        inputs=samples.inputs,
        targets=samples.targets,
        loss=wanted,
        stream=samples.stream,
    )
    problem = _widened(problem)
    _check_tensors(problem)
    with held_still(model), torch.no_grad():
        _check_modules(model)
        outputs = _checked_outputs(problem)
        problem = _with_loss(problem, outputs)
        _check_independence(problem, outputs)
        if isinstance(wanted, LossFunction):
            _check_means(problem, wanted)
    return problem


def _plain(tensor: Tensor) -> Tensor:
    """Detached; a tensor made in inference mode is copied, since autograd can't save it."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _widened(problem: Problem) -> Problem:
    """In float32 where a weight is of a narrower type: the weights are what they are, and arithmetic loses no more.

    In bfloat16 the largest eigenvalue errs by 1 to 4 %, and entropies below order 1 are useless.
    """
    types = {tensor.dtype for tensor in problem.parameters.values() if tensor.is_floating_point()}
    if not types.intersection(NARROW) or not types.issubset({*NARROW, torch.float32}):
        return problem
    return problem.to(torch.float32)


def _check_tensors(problem: Problem) -> None:
    floats = {name: tensor for name, tensor in problem.parameters.items() if tensor.is_floating_point()}
    if not floats:
        raise AnalysisError("the model has no parameter")
    _same_placement(problem, floats, list(tensors(problem.inputs)))
    for tensor in tensors(problem.targets):
        if tensor.device != problem.device:
            raise AnalysisError(f"targets must be on {problem.device}, like the parameters; got {tensor.device}")
    named = [*floats.items(), *(("the inputs", tensor) for tensor in _floats(problem.inputs))]
    finite = torch.stack([torch.isfinite(tensor).all() for _, tensor in named]).tolist()
    for (name, _), good in zip(named, finite, strict=True):
        if not good:
            raise UndefinedMeasureError(f"{name} has NaN or infinite entries, so the loss has no Hessian")


def _same_placement(problem: Problem, parameters: Mapping[str, Tensor], inputs: list[Tensor]) -> None:
    for x in inputs:
        for name, tensor in parameters.items():
            if tensor.device != x.device or (x.is_floating_point() and tensor.dtype != x.dtype):
                raise AnalysisError(
                    f"inputs must have the type and device of the parameters; got {x.dtype} on {x.device}, and {name} "
                    f"is {tensor.dtype} on {tensor.device}"
                )


def _floats(tree: Tree) -> list[Tensor]:
    return [tensor for tensor in tensors(tree) if tensor.is_floating_point()]


def _check_modules(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) and (module.training or module.running_mean is None):
            raise AnalysisError(
                f"batch-norm {name!r} uses the statistics of the batch even in eval mode, so the samples depend on "
                "one another; set track_running_stats=True and run the model on data in train mode first"
            )
        if isinstance(module, DROPOUTS) and module.training:
            raise AnalysisError(f"dropout {name!r} stays on in eval mode; switch it off, since the loss must not vary")


def _checked_outputs(problem: Problem) -> Tensor:
    """The outputs of a few samples, in the network's own shape."""
    few = problem.subset(slice(0, PROBED_SAMPLES))
    try:
        outputs = run(few.model, {**few.parameters, **few.buffers}, few.inputs)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise AnalysisError(
            f"the model can't be called with inputs of {described(few.inputs)}: {type(error).__name__}: {error}"
        ) from error
    if outputs.ndim == 0 or len(outputs) != few.num_samples or not outputs.is_floating_point():
        raise AnalysisError(
            f"the model must return (N, …) outputs that are floating-point; got {tuple(outputs.shape)} of "
            f"{outputs.dtype} for {few.num_samples} samples"
        )
    if not torch.isfinite(outputs).all():
        raise UndefinedMeasureError("the model's outputs are NaN or infinite, so the loss has no Hessian")
    return outputs


def _with_loss(problem: Problem, outputs: Tensor) -> Problem:
    """The problem with its loss fitted to outputs and targets, and normalized over all samples."""
    loss = problem.loss.fitted(outputs, problem.targets)
    low, high, total = math.inf, -math.inf, 0.0
    for inputs, targets in _all_samples(problem):
        if any(not torch.isfinite(tensor).all() for tensor in _floats(inputs)):
            raise UndefinedMeasureError("the inputs have NaN or infinite entries, so the loss has no Hessian")
        loss.check(outputs, targets)
        blank = outputs[:1].double().expand(length(targets, "targets"), *outputs.shape[1:])  # only its shape is read
        counts = loss.counts(blank, targets)
        low, high = min(low, counts.min().item()), max(high, counts.max().item())
        total += counts.sum().item()
    if not total > 0:
        raise UndefinedMeasureError("no target counts (all have ignore_index or weight 0), so there is no loss")
    scale = problem.num_samples / total
    return replace(problem, loss=loss, shape=tuple(outputs.shape[1:]), scale=scale, even=low == high)


def _all_samples(problem: Problem) -> Iterator[tuple[Tree, Tree]]:
    if problem.stream is None:
        yield None, problem.targets
    else:
        yield from problem.stream.batches()


def _check_independence(problem: Problem, outputs: Tensor) -> None:
    """That outputs repeat, and that those of a sample do not depend on the other samples."""
    outputs = outputs.reshape(len(outputs), -1)
    few = problem.subset(slice(0, PROBED_SAMPLES))
    tolerance = torch.finfo(outputs.dtype).eps ** 0.5 * outputs.abs().max()
    if (outputs - few.outputs()).abs().max() > tolerance:
        raise AnalysisError(
            "the model gives different outputs for the same inputs (dropout left on, or random augmentation inside "
            "it); make it deterministic in eval mode"
        )
    alone = few.subset(slice(0, 1)).outputs()
    if (outputs[:1] - alone).abs().max() > tolerance:
        raise AnalysisError(
            "the model's output for a sample depends on the other samples of the batch (batch statistics in eval "
            "mode?); its loss is not a mean over samples"
        )


def _check_means(problem: Problem, loss: LossFunction) -> None:
    """That a function which returns a scalar returns the mean over samples, for all of them."""
    few = problem.subset(slice(0, PROBED_SAMPLES))
    if loss.is_mean(few.shaped(few.outputs()), few.targets):
        for chunk in problem.chunks(SAMPLES_AT_ONCE):
            loss.check(chunk.shaped(chunk.outputs()), chunk.targets)
