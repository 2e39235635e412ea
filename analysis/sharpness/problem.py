"""What is differentiated: a network in eval mode, its samples and its loss, checked once before engines use them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.sharpness.layers import evaluation_mode, unwrapped
from analysis.sharpness.loss import LOSSES, Loss
from analysis.sharpness.substitutes import substitutes

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
NARROW = (torch.bfloat16, torch.float16)  # types of weights that are measured in float32
PROBED_SAMPLES = (
    4  # samples on which it is checked that the outputs repeat and that samples do not depend on one another
)


@dataclass(frozen=True)
class Problem:
    """L(w) = (1/N) Σ ℓ(f(x_i; w), y_i). The tensors are detached from the caller's, which are never written to."""

    model: nn.Module
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    inputs: Tensor  # (N, …)
    targets: Tensor  # (N,) classes, or (N, C) for the squared error
    loss: Loss
    offset: Tensor | None = None  # (N, C), added to the outputs; only the self-check uses it

    @property
    def num_samples(self) -> int:
        """N."""
        return len(self.inputs)

    @property
    def device(self) -> torch.device:
        """Where inputs and parameters live."""
        return self.inputs.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of inputs and parameters."""
        return self.inputs.dtype

    def outputs(self, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N, C) outputs of the network, with some of its parameters replaced. To be called inside `held_still`."""
        state = {**self.parameters, **self.buffers, **(parameters or {})}
        outputs: Tensor = functional_call(self.model, state, (self.inputs,))
        return outputs if self.offset is None else outputs + self.offset

    def subset(self, samples: slice | Tensor) -> "Problem":
        """The same problem on some of the samples; its loss is the mean over these."""
        offset = None if self.offset is None else self.offset[samples]
        return replace(self, inputs=self.inputs[samples], targets=self.targets[samples], offset=offset)

    def chunks(self, size: int) -> Iterator["Problem"]:
        """The problem cut into pieces of at most `size` samples; the last may be smaller."""
        for start in range(0, self.num_samples, size):
            yield self.subset(slice(start, start + size))

    def to(self, dtype: torch.dtype) -> "Problem":
        """The same problem in another precision."""
        return replace(
            self,
            parameters={name: _cast(tensor, dtype) for name, tensor in self.parameters.items()},
            buffers={name: _cast(tensor, dtype) for name, tensor in self.buffers.items()},
            inputs=_cast(self.inputs, dtype),
            targets=_cast(self.targets, dtype),
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


def pose(model: nn.Module, inputs: Tensor, targets: Tensor, loss: str = "cross_entropy") -> Problem:
    """Check a network and its samples, and freeze them into a `Problem`.

    A network in bfloat16 or float16 is measured in float32, with its weights as they are. One that is wrapped
    (compiled, in parallel) is measured without its wrapper, eagerly.

    Cost: two forward passes of four samples and one of all, without gradients.

    Raises:
        AnalysisError: samples, targets or loss that do not fit the model or each other; a network whose samples
            depend on one another (batch-norm without running statistics) or whose outputs differ
            from one call to the next (dropout left on).
        UndefinedMeasureError: weights, inputs or the loss are NaN or infinite.
    """
    model = unwrapped(model, say=True)
    if loss not in LOSSES:
        raise AnalysisError(f"loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise AnalysisError(f"inputs and targets must hold the same samples; got {len(inputs)} and {len(targets)}")
    if not inputs.is_floating_point():
        raise AnalysisError(f"inputs must be floating-point; got {inputs.dtype}: convert them with .float() and scale")
    problem = Problem(
        model,
        parameters={name: _plain(tensor) for name, tensor in model.named_parameters()},
        buffers={name: _plain(tensor).clone() for name, tensor in model.named_buffers()},
        inputs=_plain(inputs),
        targets=_plain(targets) if targets.is_floating_point() else _plain(targets).long(),
        loss=LOSSES[loss],
    )
    problem = _widened(problem)
    _check_tensors(problem)
    with held_still(model), torch.no_grad():
        _check_modules(model)
        _check_outputs(problem)
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
    for name, tensor in floats.items():
        if tensor.dtype != problem.dtype or tensor.device != problem.device:
            raise AnalysisError(
                f"inputs must have the type and device of the parameters; got {problem.dtype} on {problem.device}, "
                f"and {name} is {tensor.dtype} on {tensor.device}"
            )
    if problem.targets.device != problem.device:
        raise AnalysisError(f"targets must be on {problem.device}, like the inputs; got {problem.targets.device}")
    named = {**floats, "the inputs": problem.inputs}
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in named.values()]).tolist()
    for name, good in zip(named, finite, strict=True):
        if not good:
            raise UndefinedMeasureError(f"{name} has NaN or infinite entries, so the loss has no Hessian")


def _check_modules(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) and (module.training or module.running_mean is None):
            raise AnalysisError(
                f"batch-norm {name!r} uses the statistics of the batch even in eval mode, so the samples depend on "
                "one another; set track_running_stats=True and run the model on data in train mode first"
            )
        if isinstance(module, DROPOUTS) and module.training:
            raise AnalysisError(f"dropout {name!r} stays on in eval mode; switch it off, since the loss must not vary")


def _check_outputs(problem: Problem) -> None:
    few = problem.subset(slice(0, PROBED_SAMPLES))
    first, again = few.outputs(), few.outputs()
    if first.ndim != 2 or len(first) != few.num_samples:
        raise AnalysisError(
            f"the model must return (N, C) outputs; got {tuple(first.shape)} for {few.num_samples} samples"
        )
    problem.loss.check(first, problem.targets)
    if not torch.isfinite(first).all():
        raise UndefinedMeasureError("the model's outputs are NaN or infinite, so the loss has no Hessian")
    tolerance = torch.finfo(first.dtype).eps ** 0.5 * first.abs().max()
    if (first - again).abs().max() > tolerance:
        raise AnalysisError(
            "the model gives different outputs for the same inputs (dropout left on, or random augmentation inside "
            "it); make it deterministic in eval mode"
        )
    alone = few.subset(slice(0, 1)).outputs()
    if (first[:1] - alone).abs().max() > tolerance:
        raise AnalysisError(
            "the model's output for a sample depends on the other samples of the batch (batch statistics in eval "
            "mode?); its loss is not a mean over samples"
        )
