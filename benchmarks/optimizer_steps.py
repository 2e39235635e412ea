"""What a step of each sharpness-aware optimizer costs, against SGD's and against pytorch-optimizer's SAM.

    python benchmarks/optimizer_steps.py                  # about 2 minutes on one core

A ResNet-20 on a batch of 128 random 32×32 images, one thread. The methods take turns, a step each, so that a machine
that slows down slows them all; the figures are medians over rounds of the ratio to SGD in the same round, in processor
seconds (wall seconds beside them), and of the ratio to the peer's SAM, with a 95 % interval. Two passes differ by more
from round to round than the optimizers do, so what each adds to the passes is timed alone too, with gradients that are
ready made. Extra memory is the peak of live tensors in a step above SGD's, in copies of the parameters, from torch's
profiler. Pass criteria: SAM and RSAM at most 2.05 times SGD and no slower than pytorch-optimizer's SAM; one copy.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from trainables.models.resnet import resnet20
from trainables.optimizers import ASAM, GSAM, RSAM, SAM, EigenSAM, FriendlySAM, LookSAM

BASE: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
OPTIMIZERS: dict[str, Callable[[nn.Module], Any]] = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), **BASE),
    "SAM": lambda model: SAM(model.named_parameters(), **BASE),
    "ASAM": lambda model: ASAM(model.named_parameters(), **BASE),
    "RSAM paper": lambda model: RSAM(model.named_parameters(), **BASE),
    "RSAM power": lambda model: RSAM(model.named_parameters(), perturbation="power", **BASE),
    "RSAM exact": lambda model: RSAM(model.named_parameters(), perturbation="exact", **BASE),
    "RSAM per_tensor": lambda model: RSAM(model.named_parameters(), perturbation="per_tensor", **BASE),
    "Eigen-SAM": lambda model: EigenSAM(model.named_parameters(), model=model, **BASE),
    "LookSAM": lambda model: LookSAM(model.named_parameters(), **BASE),
    "GSAM": lambda model: GSAM(model.named_parameters(), **BASE),
    "Friendly SAM": lambda model: FriendlySAM(model.named_parameters(), **BASE),
}


class PeerSAM:
    """pytorch-optimizer's SAM, called as its documentation says: the first gradient is computed before `step`."""

    def __init__(self, model: nn.Module, foreach: bool) -> None:
        import pytorch_optimizer

        self._optimizer = pytorch_optimizer.SAM(model.parameters(), torch.optim.SGD, foreach=foreach, **BASE)

    def step(self, closure: Callable[[], Tensor]) -> None:
        """Both passes."""
        closure()
        self._optimizer.step(closure)  # type: ignore[arg-type]  # a closure may return a tensor


def available() -> dict[str, Callable[[nn.Module], Any]]:
    """Ours, and the peer's where it is installed (extra `dev`)."""
    try:
        import pytorch_optimizer  # noqa: F401
    except ImportError:
        print("pytorch-optimizer is not installed: no comparison with a peer")
        return OPTIMIZERS
    return OPTIMIZERS | {
        "peer's SAM": lambda model: PeerSAM(model, foreach=False),
        "peer's SAM, foreach": lambda model: PeerSAM(model, foreach=True),
    }


def stepper(make: Callable[[nn.Module], Any], batch: int) -> tuple[Callable[[], None], int]:
    """A function that takes one step, and the size of the parameters in bytes."""
    torch.manual_seed(0)
    model = resnet20()
    optimizer = make(model)
    inputs, targets = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))

    def closure() -> Tensor:
        model.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return lambda: optimizer.step(closure), sum(p.numel() * p.element_size() for p in model.parameters())


def bookkeeping(make: Callable[[nn.Module], Any], repetitions: int = 200) -> float:
    """Median processor seconds of a step whose gradients cost a copy."""
    torch.manual_seed(0)
    model = resnet20()
    optimizer = make(model)
    parameters = list(model.parameters())
    gradients = [torch.randn_like(parameter) for parameter in parameters]

    def closure() -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()

    if isinstance(optimizer, EigenSAM):
        optimizer.period = repetitions + 1  # there is no loss to differentiate
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        optimizer.step(closure)
        times.append(time.process_time() - start)
    return statistics.median(times)


def peak_bytes(step: Callable[[], None]) -> int:
    """Peak bytes during a step, above what was held before it."""
    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    assert record.profiler is not None
    assert record.profiler.kineto_results is not None
    held = peak = 0
    for event in sorted(record.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def ratios(times: list[float], others: list[float]) -> list[float]:
    """Round by round."""
    return [time / other for time, other in zip(times, others, strict=True)]


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median between the order statistics that enclose that of the distribution with 95 % confidence."""
    ordered = sorted(values)
    below = max(int(len(ordered) / 2 - 1.96 * math.sqrt(len(ordered)) / 2), 0)
    return ordered[below], statistics.median(ordered), ordered[-1 - below]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    optimizers = available()
    alone = {name: bookkeeping(make) for name, make in optimizers.items()}
    steps, peaks, size = {}, {}, 1
    for name, make in optimizers.items():
        steps[name], size = stepper(make, arguments.batch)
        peaks[name] = peak_bytes(steps[name])

    processor: dict[str, list[float]] = {name: [] for name in optimizers}
    wall: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            start, start_wall = time.process_time(), time.perf_counter()
            step()
            processor[name].append(time.process_time() - start)
            wall[name].append(time.perf_counter() - start_wall)

    peer = min((name for name in optimizers if name.startswith("peer")), key=lambda name: alone[name], default="SAM")
    by_peer = f"× {peer} (cpu)"
    print(f"{'':20}  step (ms)  × SGD (cpu)  × SGD (wall)  {by_peer:>29}  bookkeeping (ms)  extra memory (copies)")
    for name in optimizers:
        milliseconds = 1000 * statistics.median(processor[name])
        by_processor, by_wall = (statistics.median(ratios(times[name], times["SGD"])) for times in (processor, wall))
        low, middle, high = median_interval(ratios(processor[name], processor[peer]))
        extra = (peaks[name] - peaks["SGD"]) / size
        print(
            f"{name:20}  {milliseconds:9.1f}  {by_processor:11.3f}  {by_wall:12.3f}  "
            f"{f'{middle:.3f} ({low:.3f} to {high:.3f})':>29}  {1000 * alone[name]:16.2f}  {extra:21.2f}"
        )


if __name__ == "__main__":
    main()
